"""Perplexity and token probabilities of every document, read off the scores of a prior."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from experiments.stage import Stage, StageConfig, StageContext
from toedit.corpora.files import load_table, save_table
from toedit.stats.sums import BINS

DOCUMENTS = "documents"


@dataclass
class PerplexityStage(StageConfig, kind="perplexity"):
    """Nothing but the scores decides what is found."""

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes a table of documents a shard; returns sums, shares and quantiles."""
        from toedit.corpora.scores import read_scores
        from toedit.pipeline import SHARDS
        from toedit.stats.scores import ScoreStats

        total = ScoreStats()
        schema = pa.schema(
            [("id", pa.string()), ("scored", pa.int32()), ("log_perplexity", pa.float64()),
             ("above_99", pa.int32()), ("above_999", pa.int32()),
             ("histogram", pa.list_(pa.int32(), BINS))]
        )  # fmt: skip
        for shard in sorted((context.inputs["scores"] / SHARDS).glob("*.parquet")):
            rows = []
            for identity, scores in read_scores(shard):
                found = ScoreStats.of(identity, scores)
                total.add(found)
                if found.perplexity is not None:
                    rows.append(
                        {"id": identity, "scored": found.scored,
                         "log_perplexity": float(np.log(found.perplexity)),
                         "above_99": found.above_99, "above_999": found.above_999,
                         "histogram": found.histogram}
                    )  # fmt: skip
            save_table(context.folder / DOCUMENTS / shard.name, pa.Table.from_pylist(rows, schema))
        values = np.exp(read(context.folder, "log_perplexity")["log_perplexity"])
        named = (0.05, 0.25, 0.5, 0.75, 0.95)
        quantiles = np.quantile(values, named).tolist()
        return {**total.summary(), "quantiles": dict(zip(map(str, named), quantiles, strict=True))}


def stage(scores: Stage, arm: str) -> Stage:
    """The perplexities of a scored corpus; it reads no text and runs no model."""
    return Stage(PerplexityStage(), scores.name, {"scores": scores}, arm=arm, tracked=True)


def read(folder: Path, *columns: str) -> dict[str, np.ndarray]:
    """Columns of the documents that have a perplexity.

    Args:
        folder: of the stage.
        *columns: ``id``, ``scored``, ``log_perplexity``, ``above_99``, ``above_999`` ``[n]`` and
            ``histogram`` ``[n, 10]``.
    """

    paths = sorted((folder / DOCUMENTS).glob("*.parquet"))
    tables = [load_table(path, list(columns)) for path in paths]
    table = pa.concat_tables(tables).combine_chunks()
    found = {}
    for name in columns:
        if name == "histogram":
            flat = table[name].combine_chunks().flatten().to_numpy()
            found[name] = flat.reshape(len(table), BINS)
        else:
            found[name] = table[name].to_numpy()
    return found
