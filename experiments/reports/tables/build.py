"""A table with all that is known of it: cells, comparisons, and how to fill what is empty."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.analysis.evidence import Evidence
from experiments.config.headers import header
from experiments.reports.tables.catalogue import TABLES
from experiments.reports.tables.cells import FilledBlock, fill
from experiments.reports.tables.comparisons import Comparisons
from experiments.reports.tables.layout import SCALES, Block, Row, Table
from experiments.store.runs import Run


@dataclass
class FilledTable:
    """A table and what stands in it.

    Attributes:
        table: its layout.
        blocks: its blocks.
        comparisons: between their rows.
        shown: scales whose blocks are shown.
    """

    table: Table
    blocks: list[FilledBlock]
    comparisons: Comparisons
    shown: tuple[str, ...] = SCALES

    def of(self, scales: Sequence[str]) -> "FilledTable":
        """The same with blocks of some scales shown; comparisons stay those of the whole table."""
        return replace(self, shown=tuple(scales))

    @property
    def numbered(self) -> list[tuple[int, FilledBlock]]:
        """Blocks that are shown, with their places in the table."""
        found = enumerate(self.blocks)
        return [(number, own) for number, own in found if own.block.scale in self.shown]

    @property
    def filled(self) -> int:
        """Cells that hold a number of ours."""
        return sum(block.filled for _, block in self.numbered)

    @property
    def total(self) -> int:
        """Cells."""
        return sum(block.total for _, block in self.numbered)


def build(table: Table, evidence: Evidence, compare: bool = True) -> FilledTable:
    """Fills a table.

    Args:
        table: its layout.
        evidence: the runs.
        compare: whether rows are compared.
    """
    blocks = [fill(table.number, block, evidence) for block in table.blocks]
    return FilledTable(table, blocks, Comparisons(blocks if compare else [], evidence))


def build_all(evidence: Evidence) -> list[FilledTable]:
    """Fills and compares every table."""
    return [build(table, evidence) for table in TABLES.values()]


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
