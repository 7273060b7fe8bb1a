"""How a table is laid out: blocks of rows and columns, and which experiment fills them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.paper.tables.measures import Measure

PAPER, EMBEDDED = SCALES = ("paper", "embedded")


@dataclass(frozen=True)
class Column:
    """A column of a block.

    Attributes:
        label: above it.
        measure: what it holds.
        printed: the column of the printed table beside it; None for none.
        averaged: whether the block's average counts it.
    """

    label: str
    measure: Measure
    printed: str | None = None
    averaged: bool = True


@dataclass(frozen=True)
class Row:
    """A row of a block.

    Attributes:
        label: before it.
        arm: the arm of the experiment, or the name of the stage where it is no evaluation.
        printed: keys of the printed row beside it.
        where: what the configurations of the arm and of all it rests on must hold, by
            ``kind.field``; a run with other settings does not count.
        experiment: the experiment that has the arm, where it is not the block's.
        options: what to add to the experiment's command for this row.
    """

    label: str
    arm: str
    printed: dict[str, str] = field(default_factory=dict)
    where: dict[str, Any] = field(default_factory=dict)
    experiment: str = ""
    options: str = ""


@dataclass(frozen=True)
class Block:
    """A part of a table.

    Attributes:
        name: of the block in the ids of its cells.
        title: above it.
        experiment: what fills it.
        rows: from above.
        columns: from the left.
        reference: label of the row that others are compared with; empty for no comparison.
        published: file of the printed numbers; empty for none.
        pivot: for a file whose rows are our columns: the column that holds our column's name, and
            the one that holds its number.
        average: label of the column of averages; empty for none.
    """

    name: str
    title: str
    experiment: str
    rows: Sequence[Row]
    columns: Sequence[Column]
    reference: str = ""
    published: str = ""
    pivot: tuple[str, str] | None = None
    average: str = "Avg"

    @property
    def scale(self) -> str:
        """``paper`` or ``embedded``."""
        return PAPER if self.experiment.startswith("paper/") else EMBEDDED


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        number: in the paper.
        title: what it shows.
        blocks: its parts, those of the paper's scale first.
        note: what a reader should know.
    """

    number: int
    title: str
    blocks: Sequence[Block]
    note: str = ""
