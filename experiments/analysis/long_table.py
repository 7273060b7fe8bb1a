"""Export all observations of some stores as one long table: one row per model, item and metric.

The input of every estimate, for further analysis in R or pandas. A value is the sum of numerators
over the sum of denominators; errors are clustered by ``cluster``.
"""

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.analysis import metrics
from experiments.analysis.evidence import Evidence, Result
from experiments.analysis.metrics import DOCUMENTS, PREDICTIONS
from toedit.corpora.files import atomic_path

SCHEMA = pa.schema({
    "experiment": pa.string(), "run": pa.string(), "result": pa.string(), "arm": pa.string(),
    "seed": pa.int64(), "checkpoint": pa.int64(), "task": pa.string(), "domain": pa.string(),
    "item": pa.string(), "cluster": pa.string(), "gold": pa.int64(), "prediction": pa.int64(),
    "metric": pa.string(), "numerator": pa.float64(), "denominator": pa.float64(),
})  # fmt: skip
"""Columns and their types. ``gold`` and ``prediction`` are the numbers of options, where a task has
some, as F1 needs them; seed and checkpoint are null where there is none."""

HELD_OUT = {"bits per byte": metrics.bits_per_byte(), "log perplexity": metrics.perplexity()}
NEAR_CERTAIN = {
    "near-certain tokens": metrics.near_certain(),
    "near-certain tokens of responses": metrics.near_certain("response_certain", "response_tokens"),
}


def rows(result: Result) -> Iterator[dict[str, Any]]:
    """The rows of one evaluated model, or of one text with counts of near-certain tokens.

    Raises:
        UserError: a file is not as it was recorded.
    """
    model = {"experiment": result.run.experiment, "run": result.run.folder.name,
             "result": result.label, "arm": result.arm, "seed": result.seed,
             "checkpoint": result.checkpoint}  # fmt: skip
    for name in sorted(result.record["files"]):
        path = PurePath(name)
        if name != DOCUMENTS and path.parent.name != PREDICTIONS:
            continue
        task = result.entry.name if name == DOCUMENTS else path.stem
        for row in metrics.item_rows(result, task):
            item = {"task": task, "domain": row.get("domain"), "item": str(row["item"]),
                    "cluster": str(row.get("cluster") or row["item"]), "gold": row.get("gold"),
                    "prediction": row.get("prediction")}  # fmt: skip
            for metric, (above, below) in _metrics(task, name, row).items():
                yield {**model, **item, "metric": metric, "numerator": above, "denominator": below}


def _metrics(task: str, file: str, row: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Numerator and denominator of each metric of an item."""
    if file == DOCUMENTS or task == metrics.HELD_OUT_TASK:
        ratios = NEAR_CERTAIN if file == DOCUMENTS else HELD_OUT
        return {name: (m.factor * row[m.column], row[m.weight or ""]) for name, m in ratios.items()}
    values = {"score": (row["value"], 1.0)}
    if row.get("gold") is not None:
        values |= {name: (metrics.item_value(row, name), 1.0) for name in metrics.FIELDS}
    return values


def write(evidence: Evidence, path: Path) -> int:
    """Write the table as Parquet and return its number of rows.

    A result that several runs share is in it once per run.

    Raises:
        UserError: as :func:`rows`.
    """
    number = 0
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        for run in evidence.distinct:
            for result in (*evidence.of_run(run, "evaluate"), *evidence.of_run(run, "certain")):
                table = pa.Table.from_pylist(list(rows(result)), SCHEMA)
                writer.write_table(table)
                number += table.num_rows
    return number
