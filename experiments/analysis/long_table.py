"""All observations of some stores as one long table: a row a model, item and metric.

For analyses of one's own, in R or pandas: what every estimate is made of. A value is the sum of
numerators over the sum of denominators; errors are clustered by ``cluster``.
"""

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.analysis.evidence import Evidence
from experiments.analysis.metrics import (
    DOCUMENTS,
    FIELDS,
    HELD_OUT_TASK,
    PREDICTIONS,
    bits_per_byte,
    item_rows,
    item_value,
    near_certain,
    perplexity,
)
from experiments.analysis.result import Result
from toedit.corpora.files import atomic_path

COLUMNS = {
    "experiment": str, "run": str, "result": str, "arm": str, "seed": int, "checkpoint": int,
    "task": str, "domain": str, "item": str, "cluster": str, "gold": int, "prediction": int,
    "metric": str, "numerator": float, "denominator": float,
}  # fmt: skip
"""Columns and their types. ``gold`` and ``prediction`` are the numbers of options, where a task has
some, as F1 needs them; seed and checkpoint are null where there is none."""


HELD_OUT = {"bits per byte": bits_per_byte(), "log perplexity": perplexity()}
COUNTED = {
    "near-certain tokens": near_certain(),
    "near-certain tokens of responses": near_certain("response_certain", "response_tokens"),
}


def rows(result: Result) -> Iterator[dict[str, Any]]:
    """The rows of one evaluated model, or of one text with counted near-certain tokens.

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
        for row in item_rows(result, task):
            item = {"task": task, "domain": row.get("domain"), "item": str(row["item"]),
                    "cluster": str(row.get("cluster") or row["item"]), "gold": row.get("gold"),
                    "prediction": row.get("prediction")}  # fmt: skip
            for metric, (above, below) in _metrics(task, name, row).items():
                yield {**model, **item, "metric": metric, "numerator": above, "denominator": below}


def _metrics(task: str, file: str, row: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Numerator and denominator of each metric of an item."""
    if file == DOCUMENTS or task == HELD_OUT_TASK:
        metrics = COUNTED if file == DOCUMENTS else HELD_OUT
        return {name: (own.factor * row[own.column], row[own.weight or ""])
                for name, own in metrics.items()}  # fmt: skip
    found = {"score": (row["value"], 1.0)}
    if row.get("gold") is not None:
        found |= {metric: (item_value(row, metric), 1.0) for metric in FIELDS}
    return found


def write(evidence: Evidence, path: Path) -> int:
    """Writes the table as parquet; a result that several runs share stands once a run.

    Args:
        evidence: the runs.
        path: of the file.

    Returns:
        The number of rows.

    Raises:
        UserError: as :func:`rows`.
    """
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    number = 0
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for run in evidence.distinct:
            for result in (*evidence.of_run(run, "evaluate"), *evidence.of_run(run, "certain")):
                found = pa.Table.from_pylist(list(rows(result)), schema)
                writer.write_table(found)
                number += found.num_rows
    return number
