"""A text cut into tokens once, for every mixture that takes from it."""

from dataclasses import dataclass
from typing import Any

from experiments.config import EngineConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import text_folder, text_inputs
from experiments.stages.tokenizer import FOLDER
from toedit.corpora.units import WORK_SCRATCH, corpus_files, make_units, manifest_path, write_units
from toedit.errors import UserError

COLUMNS = ("kind", "domain")
"""What is known of a document besides its id."""


@dataclass
class TokensStage(StageConfig, kind="tokens", scratch=WORK_SCRATCH):
    """Nothing but the text and the tokenizer decides the tokens."""

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes a shard of tokens a shard of text; returns documents and tokens."""
        from toedit import pipeline
        from toedit.corpora.tokens import read_index
        from toedit.pipeline.overlapping import Without

        manifest, folder = manifest_path(context.folder), context.folder / pipeline.SHARDS
        if not manifest.exists():
            text = text_folder(context.stage.inputs["text"], context.inputs["text"])
            write_units(manifest, make_units(corpus_files([text])))
        tokenizer = str(context.inputs["tokenizer"] / FOLDER)
        overlap = context.inputs.get("overlap")
        without = [] if overlap is None else [Without(str(overlap / pipeline.SHARDS))]
        steps = [
            pipeline.ReadUnit(str(manifest)),
            *without,
            pipeline.Tokenize(tokenizer),
            pipeline.WriteTokens(str(folder), tokenizer, COLUMNS),
        ]
        units, label = pipeline.read_units(manifest), f"tokenize {context.stage.name}"
        if not units:
            raise UserError(f"the text {context.stage.name!r} holds no document")
        pipeline.run_steps(steps, units, context.folder, label, context.stage.runtime)
        index, _ = read_index([folder])
        return {"documents": len(index), "tokens": int(index["tokens"].to_numpy().sum())}


def stage(
    text: Stage, tokenizer: Stage, engine: EngineConfig, overlap: Stage | None = None
) -> Stage:
    """The tokens of a training text, each document ended by the end-of-sequence token.

    Args:
        text: the text.
        tokenizer: what cuts it.
        engine: where it runs.
        overlap: names documents that are left out; None leaves out none.
    """
    inputs = {**text_inputs([text]), "tokenizer": tokenizer}
    inputs |= {} if overlap is None else {"overlap": overlap}
    return Stage(TokensStage(), text.name, inputs, runtime=engine)
