"""Synthetic text written after human training text, on the engines that edit."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.config import EngineConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import TRAIN, text_folder
from experiments.stages.domains import PASSAGE, SYNTHETIC
from experiments.stages.score import TRAINED, prior_of
from toedit.corpora.documents import write_documents, write_shards
from toedit.corpora.files import save_table
from toedit.corpora.sources import local_documents
from toedit.corpora.units import WORK_SCRATCH, make_units, manifest_path, write_units
from toedit.document import Document
from toedit.errors import UserError
from toedit.priors import PriorConfig
from toedit.priors.loading import embedded_revision
from toedit.synthesis import Request, Synthesis, requests

REQUESTS = "requests.parquet"
EXPORT = "synthetic.parquet"
SIGNATURE = 64


@dataclass
class SynthesizeStage(StageConfig, kind="synthesize", rev=2, scratch=WORK_SCRATCH):
    """Who writes what, and with which randomness."""

    model: PriorConfig
    synthesis: Synthesis
    seed: int = 0
    generation: int = 0
    embedded: str | None = None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes ``train/`` and, as one file to be used elsewhere, ``synthetic.parquet``."""
        from toedit import pipeline

        engine: EngineConfig = context.stage.runtime
        asked, manifest = context.folder / REQUESTS, manifest_path(context.folder)
        if not manifest.exists():
            folder = text_folder(context.stage.inputs["text"], context.inputs["text"])
            human = [d for d in local_documents([folder]) if d.metadata.get("kind") != SYNTHETIC]
            made = requests(human, self.synthesis, self.seed, self.generation)
            write_documents(asked, map(_document, made))
            # A unit is a whole number of batches, so that batches are the same for every engine.
            batches = max(1, engine.rows_per_unit // self.synthesis.batch)
            write_units(manifest, make_units([asked], batches * self.synthesis.batch))
        steps = [
            pipeline.ReadUnit(str(manifest)),
            pipeline.Generate(
                prior_of(self.model, context.inputs.get("model")),
                self.synthesis,
                self.seed,
                self.generation,
                engine.worker_threads,
            ),
            pipeline.WriteDocuments(str(context.folder)),
        ]
        units = pipeline.read_units(manifest)
        pipeline.run_steps(steps, units, context.folder, f"synthesize {context.stage.name}", engine)
        written = list(local_documents([context.folder / pipeline.SHARDS]))
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
        text: the corpus.
        name: of the stage.
        model: who writes: of a prior, its model, revision and dtype.
        synthesis: what, and how.
        seed: of the run.
        engine: where it runs.
        trained: training whose model writes, in place of ``model.model``.
        generation: of the model.
        arm: it belongs to; None for the name.
    """
    own = PriorConfig(
        model=model.model, revision=model.revision, dtype=model.dtype, device=model.device,
        parameters=model.parameters,
    )  # fmt: skip
    if trained is not None:
        own = replace(own, model=TRAINED, parameters=trained.config.model.parameters)
    config = SynthesizeStage(own, synthesis, seed, generation, embedded_revision(own.model))
    return Stage(
        config, name,
        {"text": text} if trained is None else {"text": text, "model": trained},
        runtime=engine, arm=arm or name, seed=seed, tracked=trained is None,
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
    """Texts that are long enough and resemble no earlier one, and how many are neither."""
    from toedit.stats.density import MinHash, near_duplicates

    long = [d for d in documents if len(d.text) >= max(1, settings.min_characters)]
    hashes = MinHash(SIGNATURE)
    empty = np.zeros((0, SIGNATURE), np.uint32)
    signatures = np.stack([hashes.of(d.text) for d in long]) if long else empty
    copies = near_duplicates(signatures, settings.similarity)
    kept = [d for d, copy in zip(long, copies, strict=True) if not copy]
    return kept, {"too_short": len(documents) - len(long), "near_duplicates": sum(copies)}
