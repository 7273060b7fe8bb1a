"""Fill whole tables: cells and comparisons of their blocks, and the commands for empty cells."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from experiments.analysis.evidence import Evidence
from experiments.config.headers import header
from experiments.reports.controls import span
from experiments.reports.format import cut_text
from experiments.reports.tables.catalogue import TABLES
from experiments.reports.tables.cells import Cell, FilledBlock, FilledRow, cut_items, fill
from experiments.reports.tables.comparisons import Comparisons
from experiments.reports.tables.layout import SCALES, Block, Row, Table


@dataclass
class FilledTable:
    """A table with its numbers.

    Attributes:
        table: its layout.
        blocks: its blocks.
        comparisons: between their rows.
        scales: of the blocks to display.
    """

    table: Table
    blocks: list[FilledBlock]
    comparisons: Comparisons
    scales: tuple[str, ...] = SCALES

    @property
    def numbered(self) -> list[tuple[int, FilledBlock]]:
        """The blocks to display with their indices in the table."""
        return [(i, b) for i, b in enumerate(self.blocks) if b.block.scale in self.scales]

    @property
    def filled(self) -> int:
        """Number of cells with a number of our own runs."""
        return sum(block.filled for _, block in self.numbered)

    @property
    def total(self) -> int:
        """Number of cells."""
        return sum(block.total for _, block in self.numbered)


def build(table: Table, evidence: Evidence, compare: bool = True) -> FilledTable:
    """Fill a table from runs, and compare its rows unless ``compare`` is false."""
    blocks = [fill(table.number, block, evidence) for block in table.blocks]
    return FilledTable(table, blocks, Comparisons(blocks if compare else [], evidence))


def build_all(evidence: Evidence) -> list[FilledTable]:
    """Fill and compare every table."""
    return [build(table, evidence) for table in TABLES.values()]


def all_cells(tables: Sequence[FilledTable]) -> Iterator[tuple[FilledBlock, FilledRow, Cell]]:
    """Yield every cell with a number of our own runs, with its block and row."""
    for table in tables:
        for block in table.blocks:
            for row in block.rows:
                for cell in row.cells.values():
                    yield block, row, cell


def missing(block: FilledBlock) -> list[tuple[str, str, str]]:
    """List what fills the empty cells: command, cost as its experiment states it, and the rows.

    The cost of a sweep is the largest of one job.
    """
    labels: dict[tuple[str, str], list[str]] = {}
    for row in block.rows:
        if any(column.label not in row.cells for column in block.block.columns):
            experiment = row.row.experiment or block.block.experiment
            key = experiment, command(block.block, row.row)
            labels.setdefault(key, []).append(row.label)
    lines = []
    for (experiment, line), names in labels.items():
        cost = header(experiment).cost.rstrip(".;") or "not stated"
        rows = "all rows" if len(names) == len(block.rows) else ", ".join(names)
        lines.append((line, f"a job: {cost}" if "+sweep=" in line else cost, rows))
    return lines


def command(block: Block, row: Row) -> str:
    """Return the command that fills a row."""
    line = f"python -m experiments.run +exp={row.experiment or block.experiment}"
    return f"{line} {row.options}".strip()


def run_notes(block: FilledBlock) -> str:
    """Join the distinct notes of the runs that fill a block."""
    notes = (result.run.note for row in block.rows for result in row.results.values())
    return " ".join(dict.fromkeys(filter(None, notes)))


def cut_notes(blocks: Iterable[FilledBlock]) -> str:
    """Say how many items of each benchmark were longer than the models of some blocks read."""
    counts: dict[str, dict[str, int | None]] = {}
    for block in blocks:
        for column in block.columns:
            cells = (row.cells[column.label] for row in block.rows if column.label in row.cells)
            for cell in cells:
                counts.setdefault(column.label, {}).update(cut_items(column, cell))
    known = {label: [n for n in by.values() if n is not None] for label, by in counts.items()}
    tasks = ", ".join(
        f"{label} {span(numbers)}" for label, numbers in known.items() if any(numbers)
    )
    return cut_text([n for by in counts.values() for n in by.values()], f": {tasks}")
