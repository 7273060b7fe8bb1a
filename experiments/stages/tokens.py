"""Tokenize a text once, for all mixtures that use it."""

from dataclasses import dataclass
from typing import Any

from experiments.config import EngineConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import inputs_of
from experiments.stages.tokenizer import FOLDER
from experiments.stages.units import run_units, text_manifest
from toedit.corpora import SHARDS
from toedit.corpora.tokens import read_index
from toedit.corpora.units import WORK_SCRATCH

COLUMNS = ("kind", "domain")
"""Metadata of documents to store next to their ids."""


@dataclass
class TokensStage(StageConfig, kind="tokens", scratch=WORK_SCRATCH):
    """No settings: the result depends on the text and the tokenizer alone."""

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write a shard of tokens per shard of text; return numbers of documents and tokens."""
        from toedit import pipeline
        from toedit.pipeline.overlapping import Without

        folder, tokenizer = context.folder / SHARDS, str(context.inputs["tokenizer"] / FOLDER)
        overlap = context.inputs.get("overlap")
        without = [] if overlap is None else [Without(str(overlap / SHARDS))]
        tokenize = pipeline.Tokenize(tokenizer)
        write = pipeline.WriteTokens(str(folder), tokenizer, COLUMNS)
        label = f"tokenize {context.stage.name}"
        run_units(context, text_manifest(context), label, *without, tokenize, write)
        index, _ = read_index([folder])
        return {"documents": len(index), "tokens": int(index["tokens"].to_numpy().sum())}


def stage(
    text: Stage, tokenizer: Stage, engine: EngineConfig, overlap: Stage | None = None
) -> Stage:
    """The tokens of a training text, each document ended by the end-of-sequence token; without the
    documents that ``overlap`` lists."""
    inputs = inputs_of(text=text, tokenizer=tokenizer, overlap=overlap)
    return Stage(TokensStage(), text.name, inputs, runtime=engine)
