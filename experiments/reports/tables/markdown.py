"""Tables as Markdown: ours above what is printed, comparisons, how to fill what is empty."""

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
from experiments.reports.format import table as plain
from experiments.reports.tables.build import FilledTable, command, missing, runs_of
from experiments.reports.tables.cells import (
    AVERAGE,
    Cell,
    FilledBlock,
    FilledRow,
    identity,
    printed_at,
    printed_average,
)
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


def markdown(built: FilledTable, empty_blocks: bool = True) -> str:
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
        parts.append(notes(built))
    return "\n\n".join(parts) + "\n"


def notes(built: FilledTable) -> str:
    """What the numbers of a table mean, once for all of it."""
    cells = [c for _, block in built.numbered for row in block.rows for c in row.cells.values()]
    numbers = [number for number, _ in built.numbered]
    differences = [c.estimate for c in built.comparisons.planned if c.block in numbers]
    parts = [legend((cell.estimate for cell in cells), differences)]
    parts += [PRINTED] if any(cell.published is not None for cell in cells) else []
    parts += [CORRECTED] if differences else []
    parts += [BEST] if any(built.comparisons.best[number] for number in numbers) else []
    return " ".join(parts)


def cells_legend(block: FilledBlock) -> str:
    """What ± and brackets mean in a block."""
    return legend((cell.estimate for row in block.rows for cell in row.cells.values()), ())


def _block(built: FilledTable, number: int, block: FilledBlock) -> list[str]:
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
        said = dict.fromkeys(run.note for run in runs_of(block) if run.note)
        parts += [" ".join(said)] if said else []
    tests = [c for c in built.comparisons.planned if c.block == number]
    if tests:
        parts.append(plain(COMPARED, [comparison_row(own) for own in tests]))
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
    text = value_text(cell.estimate, column.metric.digits)
    if best.get(column.label) == row.label:
        value, _, rest = text.partition(" ")
        text = f"**{value}** {rest}".rstrip()
    return text


def printed_cell(column: Column, cell: Cell | None, block: FilledBlock, row: FilledRow) -> str:
    """What is printed where a cell stands, with ours minus it."""
    if cell is None:
        return printed_text(block, row, column) or ""
    if cell.published is None or cell.difference is None:
        return ""
    return f"{cell.published} ({signed(cell.difference, column.metric.digits)})"


def printed_text(block: FilledBlock, row: FilledRow, column: Column) -> str | None:
    """What the paper prints where a cell of ours would stand."""
    if column.label == AVERAGE:
        return printed_average(block.block, row.row)
    return printed_at(block.block, row.row, column)


COMPARED = ["difference", "", "95 %", "p", "p, corrected", "seeds", "items (clusters)", "could see"]


def comparison_row(own: Comparison) -> list[str]:
    """A comparison as text, by :data:`COMPARED`; the last is the smallest true difference that
    would be found with 80 % power."""
    found, digits = own.estimate, own.metric.digits
    items = f"{found.n_items}"
    items += "" if found.n_clusters == found.n_items else f" ({found.n_clusters})"
    return [
        f"{own.first.label} − {own.second.label}, {own.column}",
        value_of(found, digits),
        interval_text(found, digits),
        p_text(found.p),
        p_text(own.p_corrected),
        str(found.n_seeds),
        items,
        detectable_text(found, digits),
    ]
