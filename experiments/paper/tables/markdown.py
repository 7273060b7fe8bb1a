"""Tables as Markdown: ours above what is printed, comparisons, how to fill what is empty."""

from __future__ import annotations

from experiments.paper.report import table as plain
from experiments.paper.tables.build import Built, command, missing, runs_of
from experiments.paper.tables.cells import (
    AVERAGE,
    Cell,
    FilledBlock,
    FilledRow,
    identity,
    printed_at,
    printed_average,
)
from experiments.paper.tables.compare import Test
from experiments.paper.tables.layout import EMBEDDED, Column

EMPTY = "—"

LEGEND = (
    "± is the standard error over items where there is one seed, and the standard deviation over "
    "seeds where there are several. Below a row stands what the paper prints, and ours minus it. "
    "Bold is the best of a column where it is better than every other row: p < 0.05 after Holm "
    "over all pairs of rows of the table."
)


def markdown(built: Built, empty_blocks: bool = True) -> str:
    """A table as Markdown.

    Args:
        built: the table.
        empty_blocks: whether blocks without a number of ours are shown; else they are named.
    """
    table = built.table
    parts = [f"## Table {table.number}. {table.title}"]
    if table.note:
        parts.append(table.note)
    left_out = []
    for number, block in built.numbered:
        if empty_blocks or block.filled:
            parts += _block(built, number, block)
        else:
            left_out.append(f"{block.block.title}: `{command(block.block, block.block.rows[0])}`")
    if left_out:
        parts.append("Not run: " + "; ".join(left_out) + ".")
    if built.filled:
        parts.append(LEGEND)
    return "\n\n".join(parts) + "\n"


def _block(built: Built, number: int, block: FilledBlock) -> list[str]:
    layout = block.block
    scale = "Embedded scale: " if layout.scale == EMBEDDED else ""
    parts = [f"### {scale}{layout.title}"]
    best = built.comparisons.best[number]
    header = ["", *(column.label for column in block.columns)]
    rows = []
    for row in block.rows:
        cells = [(column, row.cells.get(column.label)) for column in block.columns]
        rows.append([_named(row), *(number_of(c, own, best, row) for c, own in cells)])
        if any(own is not None and own.published is not None for _, own in cells) or not row.cells:
            beside = [printed_cell(column, own, block, row) for column, own in cells]
            if any(beside):
                rows.append(["printed (difference)" if row.cells else "printed", *beside])
    parts.append(plain(header, rows))
    if block.filled:
        notes = dict.fromkeys(run.note for run in runs_of(block) if run.note)
        parts += [" ".join(notes)] if notes else []
    tests = [t for t in built.comparisons.planned if t.block == number]
    if tests:
        parts.append(comparisons(tests, block))
    if block.filled:
        example = identity(built.table.number, layout, "ROW", "COLUMN")
        parts.append(f"Where a number comes from: `python -m experiments.tables trace {example}`")
    for line, cost, names in missing(block):
        which = "all rows" if len(names) == len(block.rows) else ", ".join(names)
        parts.append(f"Empty: {which}. Filled by `{line}` (cost: {cost}).")
    return parts


def _named(row: FilledRow) -> str:
    seeds = len(row.results)
    return row.label + (f" ({seeds} seeds)" if seeds > 1 else "")


def number_of(column: Column, cell: Cell | None, best: dict[str, str], row: FilledRow) -> str:
    """A cell as text: value and error, bold where it is the best."""
    if cell is None:
        return EMPTY
    digits = column.measure.digits
    text = f"{cell.value:.{digits}f}"
    error = cell.stderr if cell.sd is None else cell.sd
    if best.get(column.label) == row.label:
        text = f"**{text}**"
    return text if error is None else f"{text} ± {error:.{digits}f}"


def printed_cell(column: Column, cell: Cell | None, block: FilledBlock, row: FilledRow) -> str:
    """What is printed where a cell stands, with ours minus it."""
    if cell is None:
        return printed_text(block, row, column) or ""
    if cell.published is None or cell.difference is None:
        return ""
    return f"{cell.published} ({signed(cell.difference, column.measure.digits)})"


def signed(value: float, digits: int) -> str:
    """A difference with its sign; none for what rounds to zero."""
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}" if rounded else f"{0:.{digits}f}"


def printed_text(block: FilledBlock, row: FilledRow, column: Column) -> str | None:
    """What the paper prints where a cell of ours would stand."""
    if column.label == AVERAGE:
        return printed_average(block.block, row.row)
    return printed_at(block.block, row.row, column)


def comparisons(tests: list[Test], block: FilledBlock) -> str:
    """Differences with their intervals and p values."""
    digits = {column.label: column.measure.digits for column in block.columns}
    body = []
    for test in tests:
        value, low, high = (
            signed(own, digits[test.column]) for own in (test.value, test.low, test.high)
        )
        name = f"{test.first.label} − {test.second.label}, {test.column}"
        interval = f"[{low}, {high}]"
        body.append([name, value, interval, p_text(test.p), p_text(test.p_holm), test.method])
    header = ["difference", "", "95 % over items", "p", "p, Holm over the table", "test"]
    return plain(header, body)


def p_text(p: float) -> str:
    """A p value with two digits."""
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"
