"""Write synthetic text after human training text with a language model."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.config import EngineConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import TRAIN, inputs_of, training_text
from experiments.stages.domains import PASSAGE, SYNTHETIC
from experiments.stages.score import prior_of, with_trained_model
from experiments.stages.units import run_units
from toedit.corpora import SHARDS
from toedit.corpora.documents import write_documents, write_shards
from toedit.corpora.files import save_table
from toedit.corpora.sources import local_documents
from toedit.corpora.split import normalized
from toedit.corpora.units import WORK_SCRATCH, make_units, manifest_path, write_units
from toedit.document import Document
from toedit.errors import UserError
from toedit.priors import PriorConfig
from toedit.priors.loading import embedded_revision
from toedit.stats.density import MinHash, near_duplicates
from toedit.synthesis import Request, Synthesis, requests

REQUESTS = "requests.parquet"
EXPORT = "synthetic.parquet"
SIGNATURE = 64
"""Hashes in a MinHash signature."""


@dataclass
class SynthesizeStage(StageConfig, kind="synthesize", rev=2, scratch=WORK_SCRATCH):
    """The model that writes, its prompts and sampling, and the randomness."""

    model: PriorConfig
    synthesis: Synthesis
    seed: int = 0
    generation: int = 0
    embedded: str | None = None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write ``train/`` and, as one file for use elsewhere, ``synthetic.parquet``; return how
        many texts were requested, written and dropped."""
        from toedit import pipeline

        engine: EngineConfig = context.stage.runtime
        manifest = manifest_path(context.folder)
        if not manifest.exists():
            text = training_text(context, "text")
            human = [d for d in text if d.metadata.get("kind") != SYNTHETIC]
            prompts = requests(human, self.synthesis, self.seed, self.generation)
            write_documents(context.folder / REQUESTS, map(_document, prompts))
            # A unit is a whole number of batches, so that batches are the same for every engine.
            batches = max(1, engine.rows_per_unit // self.synthesis.batch)
            unit_rows = batches * self.synthesis.batch
            write_units(manifest, make_units([context.folder / REQUESTS], unit_rows))
        model = prior_of(self.model, context.inputs.get("model"))
        generate = pipeline.Generate(
            model, self.synthesis, self.seed, self.generation, engine.worker_threads
        )
        writer = pipeline.WriteDocuments(str(context.folder))
        run_units(context, manifest, f"synthesize {context.stage.name}", generate, writer)
        written = list(local_documents([context.folder / SHARDS]))
        kept, dropped = _without_copies(written, self.synthesis)
        if not kept:
            raise UserError(
                f"none of {len(written)} texts is left: {dropped}; lower "
                "synthesis.min_characters or raise synthesis.max_new_tokens"
            )
        digest = write_shards(context.folder / TRAIN, kept)
        rows = [{"id": d.id, "text": d.text, **d.metadata} for d in kept]
        save_table(context.folder / EXPORT, rows, compression="zstd")
        return {
            "asked": len(written),
            "documents": len(kept),
            "characters": sum(len(d.text) for d in kept),
            **dropped,
            "sha256": digest,
        }


def stage(
    text: Stage,
    name: str,
    model: PriorConfig,
    synthesis: Synthesis,
    seed: int,
    engine: EngineConfig,
    trained: Stage | None = None,
    generation: int = 0,
    arm: str | None = None,
) -> Stage:
    """Text written after the human training text of a corpus.

    Args:
        model: a prior, of which only kind, model, revision and dtype change the result, and in vLLM
            its maximum length and further arguments.
        synthesis: prompts and sampling.
        trained: training whose model replaces ``model.model``.
        generation: generation of the model.
        arm: the arm of the text; None for the name.
    """
    writer = PriorConfig(
        model=model.model, revision=model.revision, dtype=model.dtype, device=model.device,
        parameters=model.parameters, kind=model.kind, vllm=model.vllm,
        batch_tokens=model.batch_tokens,
    )  # fmt: skip
    if model.kind == "vllm":  # whose prompt and text have to fit
        writer = replace(writer, max_length=model.max_length, overlap=0)
    writer = with_trained_model(writer, trained)
    config = SynthesizeStage(writer, synthesis, seed, generation, embedded_revision(writer.model))
    return Stage(
        config, name, inputs_of(text=text, model=trained), runtime=engine, arm=arm or name,
        seed=seed, tracked=trained is None,
    )  # fmt: skip


def _document(request: Request) -> Document:
    return Document(
        request.id,
        request.prompt,
        {"kind": SYNTHETIC, "domain": request.format, "format": request.format,
         "audience": request.audience, "seed_source": PASSAGE, "seed_id": request.seed},
    )  # fmt: skip


def _without_copies(
    documents: list[Document], settings: Synthesis
) -> tuple[list[Document], dict[str, int]]:
    """Texts that are long enough and resemble no earlier one, whatever the forms of its characters,
    and numbers of the dropped ones."""
    long = [d for d in documents if len(d.text) >= max(1, settings.min_characters)]
    hashes = MinHash(SIGNATURE)
    empty = np.zeros((0, SIGNATURE), np.uint32)
    signatures = np.stack([hashes.of(normalized(d.text)) for d in long]) if long else empty
    copies = near_duplicates(signatures, settings.similarity)
    kept = [d for d, copy in zip(long, copies, strict=True) if not copy]
    return kept, {"too_short": len(documents) - len(long), "near_duplicates": sum(copies)}
