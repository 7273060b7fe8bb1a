"""Format tables as Markdown: our rows above the printed ones, comparisons, and empty cells."""

from collections.abc import Iterator

from experiments.reports.format import (
    EMPTY,
    detectable_text,
    interval_text,
    legend,
    p_text,
    signed,
    value_of,
    value_text,
)
from experiments.reports.format import table as markdown_table
from experiments.reports.tables.build import FilledTable, command, cut_notes, missing, run_notes
from experiments.reports.tables.cells import Cell, FilledBlock, FilledRow, identity, printed_at
from experiments.reports.tables.comparisons import Comparison
from experiments.reports.tables.layout import EMBEDDED, Column

PRINTED = "Below a row stands what the paper prints, and ours minus it."
BEST = (
    "Bold is the best of a column where several seeds of it beat several of every other row, "
    "p < 0.05 after Holm over all pairs of rows of the block."
)
CORRECTED = (
    "p, corrected: the averages by Holm over the rows, then the columns of a row by Holm where its "
    "average is rejected; columns that count in no average by Holm over the rows. A difference is "
    "over the seeds that both rows have, so it need not be that of two cells."
)


def markdown(table: FilledTable, empty_blocks: bool = True) -> str:
    """Format a table; blocks without a number of our own are only named if ``empty_blocks`` is
    false."""
    parts = [f"## Table {table.table.number}. {table.table.title}"]
    if table.table.note:
        parts.append(table.table.note)
    omitted = []
    for number, block in table.numbered:
        if empty_blocks or block.filled:
            parts += _block(table, number, block)
        else:
            omitted.append(f"{block.block.title}: `{command(block.block, block.block.rows[0])}`")
    if omitted:
        parts.append("Not run: " + "; ".join(omitted) + ".")
    if table.filled:
        parts.append(notes(table))
    return "\n\n".join(parts) + "\n"


def notes(table: FilledTable) -> str:
    """Explain the numbers of a table."""
    cells = [c for _, block in table.numbered for row in block.rows for c in row.cells.values()]
    numbers = [number for number, _ in table.numbered]
    differences = [c.estimate for c in table.comparisons.planned if c.block in numbers]
    parts = [legend((cell.estimate for cell in cells), differences)]
    parts += [PRINTED] if any(cell.published is not None for cell in cells) else []
    parts += [CORRECTED] if differences else []
    parts += [BEST] if any(table.comparisons.best[number] for number in numbers) else []
    return " ".join(filter(None, [*parts, cut_notes(block for _, block in table.numbered)]))


def _block(table: FilledTable, number: int, block: FilledBlock) -> list[str]:
    layout = block.block
    scale = "Embedded scale: " if layout.scale == EMBEDDED else ""
    rows = []
    for row, numbers, printed in text_rows(block, table.comparisons.best[number]):
        seeds = f" ({len(row.results)} seeds)" if len(row.results) > 1 else ""
        rows.append([f"{row.label}{seeds}", *numbers])
        comparable = any(cell.published is not None for cell in row.cells.values())
        if any(printed) and (comparable or not row.cells):
            rows.append(["printed (difference)" if row.cells else "printed", *printed])
    header = ["", *(column.label for column in block.columns)]
    parts = [f"### {scale}{layout.title}", markdown_table(header, rows), run_notes(block)]
    tests = comparison_rows(table, number)
    if tests:
        parts.append(markdown_table(COMPARED, tests))
    if block.filled:
        example = identity(table.table.number, layout, "ROW", "COLUMN")
        parts.append(f"Where a number comes from: `python -m experiments.tables trace {example}`")
    for line, cost, names in missing(block):
        parts.append(f"Empty: {names}. Filled by `{line}` (cost: {cost}).")
    return [part for part in parts if part]


def text_rows(
    block: FilledBlock, best: dict[str, str]
) -> Iterator[tuple[FilledRow, list[str], list[str]]]:
    """Yield the rows of a block with the texts of their cells and of the printed numbers."""
    for row in block.rows:
        cells = [(column, row.cells.get(column.label)) for column in block.columns]
        numbers = [number_of(column, cell, best, row) for column, cell in cells]
        yield row, numbers, [printed_cell(column, cell, block, row) for column, cell in cells]


def number_of(column: Column, cell: Cell | None, best: dict[str, str], row: FilledRow) -> str:
    """Format a cell: value and error, bold if it is the best of its column."""
    if cell is None:
        return EMPTY
    text = value_text(cell.estimate, column.metric.digits)
    if best.get(column.label) == row.label:
        value, _, rest = text.partition(" ")
        text = f"**{value}** {rest}".rstrip()
    return text


def printed_cell(column: Column, cell: Cell | None, block: FilledBlock, row: FilledRow) -> str:
    """Format the printed number of a cell, and ours minus it; empty if there is none."""
    if cell is None:
        return printed_at(block.block, row.row, column) or ""
    if cell.published is None or cell.difference is None:
        return ""
    return f"{cell.published} ({signed(cell.difference, column.metric.digits)})"


COMPARED = ["difference", "", "95 %", "p", "p, corrected", "seeds", "items (clusters)", "could see"]


def comparison_rows(table: FilledTable, number: int) -> list[list[str]]:
    """Format the comparisons of a block with its reference by :data:`COMPARED`."""
    return [comparison_row(c) for c in table.comparisons.planned if c.block == number]


def comparison_row(comparison: Comparison) -> list[str]:
    """Format a comparison by :data:`COMPARED`; the last column is the smallest true difference that
    is detected with 80 % power."""
    estimate, digits = comparison.estimate, comparison.metric.digits
    clusters = f" ({estimate.n_clusters})" if estimate.n_clusters != estimate.n_items else ""
    return [
        f"{comparison.first.label} − {comparison.second.label}, {comparison.column}",
        value_of(estimate, digits),
        interval_text(estimate, digits),
        p_text(estimate.p),
        p_text(comparison.p_corrected),
        str(estimate.n_seeds),
        f"{estimate.n_items}{clusters}",
        detectable_text(estimate, digits),
    ]
