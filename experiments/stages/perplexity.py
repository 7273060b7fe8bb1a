"""Compute perplexity and token probabilities of every document from the scores of a prior."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from experiments.stage import Stage, StageConfig, StageContext
from toedit.corpora import SHARDS
from toedit.corpora.files import load_table, parquet_files, save_table
from toedit.corpora.scores import read_scores
from toedit.stats.scores import ScoreStats
from toedit.stats.sums import BINS

DOCUMENTS = "documents"


@dataclass
class PerplexityStage(StageConfig, kind="perplexity"):
    """No settings: the result depends on the scores alone."""

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write a table of documents per shard; return sums, shares and quantiles."""
        total = ScoreStats()
        schema = pa.schema(
            [("id", pa.string()), ("scored", pa.int32()), ("log_perplexity", pa.float64()),
             ("above_99", pa.int32()), ("above_999", pa.int32()),
             ("histogram", pa.list_(pa.int32(), BINS))]
        )  # fmt: skip
        for shard in parquet_files(context.inputs["scores"] / SHARDS):
            rows = []
            for identity, scores in read_scores(shard):
                stats = ScoreStats.of(identity, scores)
                total.add(stats)
                if stats.perplexity is not None:
                    rows.append(
                        {"id": identity, "scored": stats.scored,
                         "log_perplexity": float(np.log(stats.perplexity)),
                         "above_99": stats.above_99, "above_999": stats.above_999,
                         "histogram": stats.histogram}
                    )  # fmt: skip
            save_table(context.folder / DOCUMENTS / shard.name, pa.Table.from_pylist(rows, schema))
        values = np.exp(read(context.folder, "log_perplexity")["log_perplexity"])
        levels = (0.05, 0.25, 0.5, 0.75, 0.95)
        quantiles = np.quantile(values, levels).tolist()
        return {**total.summary(), "quantiles": dict(zip(map(str, levels), quantiles, strict=True))}


def stage(scores: Stage, arm: str) -> Stage:
    """The perplexities of a scored corpus, without its text or a model."""
    return Stage(PerplexityStage(), scores.name, {"scores": scores}, arm=arm, tracked=True)


def read(folder: Path, *columns: str) -> dict[str, np.ndarray]:
    """Columns of the documents that have a perplexity, from the folder of the stage.

    Columns are ``id``, ``scored``, ``log_perplexity``, ``above_99``, ``above_999`` ``[n]`` and
    ``histogram`` ``[n, 10]``.
    """
    tables = [load_table(path, list(columns)) for path in parquet_files(folder / DOCUMENTS)]
    table = pa.concat_tables(tables).combine_chunks()
    values = {}
    for name in columns:
        if name == "histogram":
            flat = table[name].combine_chunks().flatten().to_numpy()
            values[name] = flat.reshape(len(table), BINS)
        else:
            values[name] = table[name].to_numpy()
    return values
