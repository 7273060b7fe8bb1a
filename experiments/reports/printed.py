"""The tables as the paper prints them (arXiv 2412.14689 v3; ``_v1`` where version 1 differs).

Numbers stay strings, since how many digits are printed is what a reader can check. The files are in
``published/``: a row a printed row, but for tables 13, 14 and 17, where it is a printed column.
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
"""Columns that say what a row is."""

ERROR, AVERAGE = "_stderr", "Avg"


@dataclass(frozen=True, eq=False)
class PrintedRow:
    """A row of a printed table.

    Attributes:
        table: name of its file.
        keys: what the row is, by column.
        cells: printed numbers by column, without averages and standard errors.
        errors: printed standard errors by column.
        average: the printed average; None where there is none.
    """

    table: str
    keys: dict[str, str]
    cells: dict[str, str]
    errors: dict[str, str]
    average: str | None

    @property
    def name(self) -> str:
        """The row in words."""
        return " ".join(self.keys.values())


@lru_cache
def read(name: str) -> tuple[dict[str, str], ...]:
    """Rows of a file of ``published/``, as strings by column.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with (PUBLISHED / f"{name}.csv").open(newline="", encoding="utf-8") as handle:
        return tuple(csv.DictReader(handle))


@lru_cache
def rows(name: str) -> tuple[PrintedRow, ...]:
    """Rows of a printed table."""
    found = []
    for row in read(name):
        keys = {column: text for column, text in row.items() if column in KEYS}
        rest = {column: text for column, text in row.items() if column not in KEYS and text}
        average = rest.pop(AVERAGE, None)
        errors = {c.removesuffix(ERROR): t for c, t in rest.items() if c.endswith(ERROR)}
        cells = {column: text for column, text in rest.items() if not column.endswith(ERROR)}
        found.append(PrintedRow(name, keys, cells, errors, average))
    return tuple(found)


@lru_cache
def tables() -> list[str]:
    """Names of all printed tables, in order of their numbers."""
    names = [path.stem for path in PUBLISHED.glob("table*.csv")]
    return sorted(names, key=lambda name: (number_of(name), name))


def number_of(table: str) -> int:
    """The number of the table that a file belongs to."""
    return int(table.removeprefix("table").partition("_")[0])


@lru_cache
def items(column: str) -> int | None:
    """Items of the test set behind a column of accuracies or F1; None where it has none."""
    return next((int(row["items"]) for row in read("items") if row["column"] == column), None)


@lru_cache
def is_accuracy(column: str) -> bool:
    """Whether a column is a share of items, which F1 is not."""
    return any(r["column"] == column and r["kind"] == "accuracy" for r in read("items"))


def half_unit(text: str) -> float:
    """Half of the last printed digit: how far rounding can move a number."""
    return 0.5 * 10.0 ** -len(text.partition(".")[2])
