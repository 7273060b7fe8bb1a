"""Read the tables that the paper prints (arXiv 2412.14689 v3; ``_v1`` where version 1 differs).

Numbers stay strings, because the number of printed digits bounds the rounding error. The files are
in ``published/``: one row per printed row; in tables 13, 14 and 17 one row per printed column.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PUBLISHED = Path(__file__).parent / "published"

KEYS = (
    "base_model", "dataset", "row", "condition", "strategy", "k", "generation", "data_type",
    "synthetic_data_ratio", "tokens_size", "unique_tokens", "training_tokens", "epochs",
    "interval_low", "interval_high", "source", "doc_type",
)  # fmt: skip
"""Columns that identify a row; the others hold numbers."""

ERROR, AVERAGE = "_stderr", "Avg"


@dataclass(frozen=True, eq=False)
class PrintedRow:
    """A row of a printed table.

    Attributes:
        table: name of its file.
        keys: values of :data:`KEYS` that identify the row, by column.
        cells: printed numbers by column, without averages and standard errors.
        errors: printed standard errors by column.
        average: the printed average; None if there is none.
    """

    table: str
    keys: dict[str, str]
    cells: dict[str, str]
    errors: dict[str, str]
    average: str | None

    @property
    def name(self) -> str:
        """The values of the keys, joined by spaces."""
        return " ".join(self.keys.values())


@lru_cache
def read(name: str) -> tuple[dict[str, str], ...]:
    """Read the rows of a file of ``published/``, as strings by column.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with (PUBLISHED / f"{name}.csv").open(newline="", encoding="utf-8") as handle:
        return tuple(csv.DictReader(handle))


@lru_cache
def rows(name: str) -> tuple[PrintedRow, ...]:
    """Read the rows of a printed table."""
    table = []
    for row in read(name):
        keys = {column: text for column, text in row.items() if column in KEYS}
        rest = {column: text for column, text in row.items() if column not in KEYS and text}
        average = rest.pop(AVERAGE, None)
        errors = {c.removesuffix(ERROR): t for c, t in rest.items() if c.endswith(ERROR)}
        cells = {column: text for column, text in rest.items() if not column.endswith(ERROR)}
        table.append(PrintedRow(name, keys, cells, errors, average))
    return tuple(table)


@lru_cache
def tables() -> list[str]:
    """List the names of all printed tables, in order of their numbers."""
    names = [path.stem for path in PUBLISHED.glob("table*.csv")]
    return sorted(names, key=lambda name: (number_of(name), name))


def number_of(table: str) -> int:
    """Return the number of the table that a file belongs to."""
    return int(table.removeprefix("table").partition("_")[0])


@lru_cache
def items(column: str) -> int | None:
    """Return the size of the test set of a column of accuracies or F1; None if it has none."""
    return next((int(row["items"]) for row in read("items") if row["column"] == column), None)


@lru_cache
def is_accuracy(column: str) -> bool:
    """Return whether a column is a share of right answers, which F1 is not."""
    return any(r["column"] == column and r["kind"] == "accuracy" for r in read("items"))


def half_unit(text: str) -> float:
    """Return half of the last printed digit, the largest rounding error of a printed number."""
    return 0.5 * 10.0 ** -len(text.partition(".")[2])
