"""A table with all that is known of it: cells, comparisons, and how to fill what is empty."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.headers import header
from experiments.paper.runs import Evidence, Run
from experiments.paper.tables.cells import FilledBlock, fill
from experiments.paper.tables.compare import Comparisons
from experiments.paper.tables.layout import SCALES, Block, Row, Table


@dataclass
class Built:
    """A table and what stands in it.

    Attributes:
        table: its layout.
        blocks: its blocks of the wanted scales.
        comparisons: between their rows.
    """

    table: Table
    blocks: list[FilledBlock]
    comparisons: Comparisons

    @property
    def filled(self) -> int:
        """Cells that hold a number of ours."""
        return sum(block.filled for block in self.blocks)

    @property
    def total(self) -> int:
        """Cells."""
        return sum(block.total for block in self.blocks)


def build(
    table: Table, evidence: Evidence, scales: Sequence[str] = SCALES, compare: bool = True
) -> Built:
    """Fills a table.

    Args:
        table: its layout.
        evidence: the runs.
        scales: blocks of these are built.
        compare: whether rows are compared, which reads every answer.
    """
    chosen = [block for block in table.blocks if block.scale in scales]
    blocks = [fill(table.number, block, evidence) for block in chosen]
    return Built(table, blocks, Comparisons(blocks if compare else [], evidence))


def missing(block: FilledBlock) -> list[tuple[str, str, list[str]]]:
    """What fills the empty cells: command, cost by the experiment's own words, and the rows."""
    found: dict[str, list[str]] = {}
    for row in block.rows:
        if any(column.label not in row.cells for column in block.block.columns):
            found.setdefault(command(block.block, row.row), []).append(row.label)
    return [(line, cost(line), rows) for line, rows in found.items()]


def command(block: Block, row: Row) -> str:
    """The command that fills a row."""
    line = f"python -m experiments.run +exp={row.experiment or block.experiment}"
    return f"{line} {row.options}".strip()


def cost(line: str) -> str:
    """What an experiment's file says that it costs; a sweep costs so much a job at most."""
    name = re.search(r"\+exp=(\S+)", line)
    text = header(name.group(1)).cost.rstrip(".;") if name else ""
    return f"{'a job: ' if '+sweep=' in line else ''}{text or 'not stated'}"


def runs_of(block: FilledBlock) -> list[Run]:
    """The runs that fill a block, each once."""
    found = [result.run for row in block.rows for result in row.results.values()]
    return list({run.folder: run for run in found}.values())
