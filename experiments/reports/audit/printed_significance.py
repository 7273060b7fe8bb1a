"""Test the significance of printed differences, as independent binomials of each pair of arms.

Arms answer the same items, so a paired test would be sharper; it needs the answers, which are not
published. F1 is treated as a share of items, which it is not.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from experiments.analysis.distributions import two_sided_p
from experiments.analysis.verdicts import correct
from experiments.reports import printed
from experiments.reports.audit.arithmetic import AGAINST, FOR, NEUTRAL, Finding, mean
from experiments.reports.printed import PrintedRow

LEVEL = 0.05
IS_F1 = "is an F1, so that its error as a share of items is a guess"


@dataclass(frozen=True)
class Test:
    """Difference of two rows, ``first`` minus ``second``, in one column or in their average.

    Attributes:
        column: its name; :data:`experiments.reports.printed.AVERAGE` for the mean of all columns.
        change: difference in percentage points.
        error: standard error of the difference, in percentage points.
    """

    first: PrintedRow
    second: PrintedRow
    column: str
    change: float
    error: float

    @property
    def z(self) -> float:
        """Difference in standard errors."""
        return self.change / self.error if self.error else 0.0

    @property
    def p(self) -> float:
        """Two-sided p value of a normal distribution."""
        return two_sided_p(self.z, 0, 1, 1.0)

    @property
    def text(self) -> str:
        """Table, column, values, difference, z and p as text."""
        first, second = self.value(self.first), self.value(self.second)
        keys = [v for k, v in self.first.keys.items() if k in ("base_model", "dataset")]
        label = f"{' '.join([self.first.table, *keys])}, {self.column}"
        return f"{label}: {second} → {first} ({self.change:+.2f}, z {self.z:+.2f}, p {self.p:.2g})"

    def value(self, row: PrintedRow) -> str:
        """Printed text of a row, or the mean of its cells."""
        return f"{mean(row):.2f}" if self.column == printed.AVERAGE else row.cells[self.column]


def variance(row: PrintedRow, column: str) -> float:
    """Binomial variance of a printed percentage of items, in squared percentage points."""
    share, size = float(row.cells[column]) / 100, printed.items(column)
    if size is None:
        raise ValueError(f"{column} is no share of items")
    return 1e4 * share * (1 - share) / size


def cells(first: PrintedRow, second: PrintedRow) -> list[Test]:
    """Tests of all columns that are shares of items."""
    tests = []
    for column in first.cells:
        if printed.items(column) is not None:
            change = float(first.cells[column]) - float(second.cells[column])
            error = math.sqrt(variance(first, column) + variance(second, column))
            tests.append(Test(first, second, column, change, error))
    return tests


def average(first: PrintedRow, second: PrintedRow) -> Test:
    """Test of the recomputed average of a row."""
    total = sum(variance(row, column) for row in (first, second) for column in row.cells)
    change, error = mean(first) - mean(second), math.sqrt(total) / len(first.cells)
    return Test(first, second, printed.AVERAGE, change, error)


CLAIMS = (
    "table2", "table3_biomedicine", "table3_finance", "table3_math",
    "table4_instruction_tuning", "table4_code_reasoning",
)  # fmt: skip
"""Tables that compare ToEdit with training on the source."""


def claims() -> list[tuple[PrintedRow, PrintedRow]]:
    """Pairs of rows: ToEdit, and the source text of the same model or data set."""
    groups = defaultdict(list)
    for table in CLAIMS:
        for row in printed.rows(table):
            groups[table, row.keys.get("base_model"), row.keys.get("dataset")].append(row)
    return [(group[-1], group[-2]) for group in groups.values()]


def editing() -> Iterator[Finding]:
    """Test ToEdit against the source text: by cell, by average, and over all cells."""
    tests = [test for pair in claims() for test in cells(*pair)]
    tables = ", ".join(CLAIMS)
    adjusted = correct([test.p for test in tests])
    for test, p in zip(tests, adjusted, strict=True):
        if p < LEVEL:
            text = f"{test.text}: significant after Holm over {len(tests)} cells (p {p:.2g})"
            method = "independent binomials of the printed shares, two-sided"
            method += "" if printed.is_accuracy(test.column) else f"; {test.column} {IS_F1}"
            speaks = FOR if test.change > 0 else AGAINST
            yield Finding(test.first.table, "significance", text, method, speaks)
    gains = sum(p < LEVEL and t.change > 0 for t, p in zip(tests, adjusted, strict=True))
    text = (
        f"{gains} of the gains of ToEdit over the source text survive Holm over the {len(tests)} "
        "cells"
    )
    largest = f"largest: {max(tests, key=lambda t: t.z).text}"
    yield Finding(tables, "significance", text, largest, FOR if gains else AGAINST)
    means = [average(*pair) for pair in claims()]
    passed = [test.text for test in means if test.p < LEVEL and test.change > 0]
    rises = sum(test.change > 0 for test in means)
    text = (
        f"{rises} of {len(means)} averages rise with ToEdit; {len(passed)} by more than chance at "
        "5 %, not corrected"
    )
    speaks = FOR if rises == len(means) else NEUTRAL
    yield Finding(tables, "significance", text, "; ".join(passed) or "none", speaks)
    f1 = sum(not printed.is_accuracy(test.column) for test in tests)
    up, down = (sum(sign * test.change > 0 for test in tests) for sign in (1, -1))
    total = sum(test.change for test in tests)
    error = math.sqrt(sum(test.error**2 for test in tests))
    yield Finding(
        tables,
        "significance",
        f"of {len(tests)} cells {up} rise and {down} fall; the mean of all is "
        f"{total / len(tests):+.2f} points, z {total / error:.2f}",
        f"sum of differences {total:.2f} over the root of their summed variances {error:.2f}; {f1} "
        "of the cells are F1, whose errors as shares of items are guesses",
        FOR if total > 0 else AGAINST,
    )


def pairs() -> Iterator[Finding]:
    """Test every pair of arms of every table of accuracies, corrected over the table."""

    def source(row: PrintedRow) -> str:
        return row.keys.get("base_model") or row.keys.get("dataset") or ""

    def text(test: Test) -> str:
        first, second = (row.keys.get("row", row.name) for row in (test.first, test.second))
        return f"{test.column}, {second} to {first} {test.change:+.2f} (z {test.z:+.1f})"

    for table in printed.tables():
        rows = [r for r in printed.rows(table) if any(printed.items(c) for c in r.cells)]
        if not rows or table.endswith("_v1"):
            continue
        tests = [
            test
            for first, second in combinations(rows, 2)
            if source(first) == source(second)
            for test in cells(second, first)
        ]
        adjusted = correct([test.p for test in tests])
        significant = [t for t, p in zip(tests, adjusted, strict=True) if p < LEVEL]
        survivors = "; ".join(map(text, sorted(significant, key=lambda t: t.p))) or "none"
        count = f"{len(significant)} of {len(tests)} differences between arms"
        yield Finding(table, "significance", f"{count} survive Holm over the table", survivors)
