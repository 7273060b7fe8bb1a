"""Columns of a table whose numbers fit their test sets only when they are exchanged."""

from collections.abc import Iterator
from dataclasses import replace

from experiments.reports import printed
from experiments.reports.audit.arithmetic import AGAINST, FOR, Finding, possible
from experiments.reports.audit.printed_significance import LEVEL, cells
from experiments.reports.printed import PrintedRow

FAR = 5.0
"""Points apart at which two columns are taken for different all the same."""


def exchanged() -> Iterator[Finding]:
    """Rows with such columns, and what differences between rows become when they are put right."""
    for table in printed.tables():
        own = printed.rows(table)
        mended: dict[PrintedRow, tuple[PrintedRow, str, str]] = {}
        for row in own:
            for column, other in _columns(row):
                put_right = {column: row.cells[other], other: row.cells[column]}
                right = replace(row, cells={**row.cells, **put_right})
                mended[row] = (right, column, other)
                yield _exchange(row, column, other)
        for before, (right, *columns) in mended.items():
            for row in own[own.index(before) + 1 :]:
                if row not in mended:
                    yield _put_right(row, before, right, columns)


def _columns(row: PrintedRow) -> Iterator[tuple[str, str]]:
    """Pairs of columns of which the first holds no count of its items, and the second one of the
    first's, though its own test set is larger."""
    for column, text in row.cells.items():
        size = printed.items(column)
        if size is None or not printed.is_accuracy(column) or possible(text, size):
            continue
        for other, candidate in row.cells.items():
            others = printed.items(other)
            near = abs(float(candidate) - float(text)) < FAR
            if others is not None and others > size and near and possible(candidate, size):
                yield column, other


def _exchange(row: PrintedRow, column: str, other: str) -> Finding:
    size = printed.items(column) or 0
    count = round(float(row.cells[other]) * size / 100)
    logged = {
        entry["column"]: entry
        for entry in printed.read("logs")
        if entry["table"] == row.table and entry["row"] == row.keys.get("row")
    }
    text = (
        f"{row.name}: {column} and {other} are likely exchanged; {other}'s {row.cells[other]} is "
        f"{count}/{size}, a count of {column}'s items, and {column}'s {row.cells[column]} is none"
    )
    if {column, other} <= set(logged):
        own, its = logged[column], logged[other]
        if own["logged"] == row.cells[other] and its["logged"] == row.cells[column]:
            text += (
                f"; the authors' log has {column} {own['logged']} and {other} {its['logged']}, "
                f"commit {own['commit']}"
            )
    where = f"{count}/{size} = {100 * count / size:.4f}"
    return Finding(row.table, "exchange", text, where, AGAINST)


def _put_right(
    row: PrintedRow, before: PrintedRow, right: PrintedRow, columns: list[str]
) -> Finding:
    """What a later row differs from one whose columns are put right."""
    tests = [test for test in cells(row, right) if test.column in columns]
    printed_tests = [test for test in cells(row, before) if test.column in columns]
    kept = [test for test in tests if test.p < LEVEL]
    return Finding(
        row.table,
        "exchange",
        f"with {columns[0]} and {columns[1]} of {before.name} put right, {row.name} differs by "
        + " and ".join(f"{t.column} {t.value(right)} → {t.value(row)}" for t in tests)
        + (f", {len(kept)} of them significant" if kept else ", neither significant"),
        "as printed " + "; ".join(t.text for t in printed_tests)
        + "; put right " + "; ".join(t.text for t in tests),
        AGAINST if any(test.change < 0 for test in kept) else FOR,
    )  # fmt: skip
