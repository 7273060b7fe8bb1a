"""Find columns of a printed table that fit their test sets only when they are exchanged."""

from collections.abc import Iterator
from dataclasses import replace

from experiments.reports import printed
from experiments.reports.audit.arithmetic import AGAINST, FOR, Finding, accuracies, possible
from experiments.reports.audit.printed_significance import LEVEL, cells
from experiments.reports.printed import PrintedRow

FAR = 5.0
"""Difference in points from which two columns are not taken for exchanged."""


def exchanged() -> Iterator[Finding]:
    """Rows with exchanged columns, and differences between rows after the exchange is undone."""
    for table in printed.tables():
        rows = printed.rows(table)
        corrected: dict[PrintedRow, tuple[PrintedRow, str, str]] = {}
        for row in rows:
            for column, other in _exchanged_columns(row):
                swapped = {**row.cells, column: row.cells[other], other: row.cells[column]}
                corrected[row] = (replace(row, cells=swapped), column, other)
                yield _exchange(row, column, other)
        for printed_row, (corrected_row, *columns) in corrected.items():
            for row in rows[rows.index(printed_row) + 1 :]:
                if row not in corrected:
                    yield _corrected_difference(row, printed_row, corrected_row, columns)


def _exchanged_columns(row: PrintedRow) -> Iterator[tuple[str, str]]:
    """Pairs of columns that look exchanged.

    The first holds no count of its items; the second holds a count of the first's items, though its
    test set is larger.
    """
    for column, text, size in accuracies(row):
        if possible(text, size):
            continue
        for other, candidate in row.cells.items():
            near = abs(float(candidate) - float(text)) < FAR
            if (printed.items(other) or 0) > size and near and possible(candidate, size):
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
        first, second = logged[column], logged[other]
        if first["logged"] == row.cells[other] and second["logged"] == row.cells[column]:
            text += (
                f"; the authors' log has {column} {first['logged']} and {other} "
                f"{second['logged']}, commit {first['commit']}"
            )
    arithmetic = f"{count}/{size} = {100 * count / size:.4f}"
    return Finding(row.table, "exchange", text, arithmetic, AGAINST)


def _corrected_difference(
    row: PrintedRow, printed_row: PrintedRow, corrected: PrintedRow, columns: list[str]
) -> Finding:
    """Difference between a later row and one whose exchanged columns are corrected."""
    tests = [test for test in cells(row, corrected) if test.column in columns]
    printed_tests = [test for test in cells(row, printed_row) if test.column in columns]
    significant = [test for test in tests if test.p < LEVEL]
    return Finding(
        row.table,
        "exchange",
        f"with {columns[0]} and {columns[1]} of {printed_row.name} put right, {row.name} differs "
        "by " + " and ".join(f"{t.column} {t.value(corrected)} → {t.value(row)}" for t in tests)
        + (f", {len(significant)} of them significant" if significant else ", neither significant"),
        "as printed " + "; ".join(t.text for t in printed_tests)
        + "; put right " + "; ".join(t.text for t in tests),
        AGAINST if any(test.change < 0 for test in significant) else FOR,
    )  # fmt: skip
