"""Could the printed differences be chance? Independent binomials for every pair of arms.

Arms answer the same items, so a paired test would be sharper; it needs the answers, which are not
published. F1 is treated as a share of items, which it is not.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from experiments.analysis.distributions import two_sided_p
from experiments.analysis.verdicts import correct
from experiments.reports import printed
from experiments.reports.audit.arithmetic import AGAINST, FOR, NEUTRAL, Finding, mean
from experiments.reports.printed import PrintedRow

LEVEL = 0.05


@dataclass(frozen=True)
class Test:
    """A row minus another in one column, or in their average.

    Attributes:
        first: the row that the difference is of.
        second: the one that is subtracted.
        column: which; :data:`experiments.reports.printed.AVERAGE` for the mean of all.
        change: difference in percentage points.
        error: its standard error.
    """

    first: PrintedRow
    second: PrintedRow
    column: str
    change: float
    error: float

    @property
    def z(self) -> float:
        """The difference in standard errors."""
        return self.change / self.error if self.error else 0.0

    @property
    def p(self) -> float:
        """Two-sided, of a normal distribution."""
        return two_sided_p(self.z, 0, 1, 1.0)

    @property
    def text(self) -> str:
        """The test in words."""
        first, second = (self.value(row) for row in (self.first, self.second))
        where = " ".join(v for k, v in self.first.keys.items() if k in ("base_model", "dataset"))
        place = f"{self.first.table}{f' {where}' if where else ''}, {self.column}"
        return f"{place}: {second} → {first} ({self.change:+.2f}, z {self.z:+.2f}, p {self.p:.2g})"

    def value(self, row: PrintedRow) -> str:
        """What is printed, or the mean of what is printed."""
        return f"{mean(row):.2f}" if self.column == printed.AVERAGE else row.cells[self.column]


def variance(row: PrintedRow, column: str) -> float:
    """Of a printed percentage as a share of its test set's items, in squared points."""
    share, size = float(row.cells[column]) / 100, printed.items(column)
    if size is None:
        raise ValueError(f"{column} is no share of items")
    return 1e4 * share * (1 - share) / size


def cells(first: PrintedRow, second: PrintedRow) -> list[Test]:
    """Tests of all columns that are shares of items."""
    found = []
    for column in first.cells:
        if printed.items(column) is not None:
            change = float(first.cells[column]) - float(second.cells[column])
            error = math.sqrt(variance(first, column) + variance(second, column))
            found.append(Test(first, second, column, change, error))
    return found


def average(first: PrintedRow, second: PrintedRow) -> Test:
    """The test of the recomputed average of a row."""
    total = sum(variance(row, column) for row in (first, second) for column in row.cells)
    change, error = mean(first) - mean(second), math.sqrt(total) / len(first.cells)
    return Test(first, second, printed.AVERAGE, change, error)


CLAIMS = (
    "table2", "table3_biomedicine", "table3_finance", "table3_math",
    "table4_instruction_tuning", "table4_code_reasoning",
)  # fmt: skip
"""Tables that compare ToEdit with training on the source."""


def claims() -> list[tuple[PrintedRow, PrintedRow]]:
    """Every row of ToEdit with the row of the source text beside it."""
    pairs = []
    for table in CLAIMS:
        groups = defaultdict(list)
        for row in printed.rows(table):
            groups[row.keys.get("base_model"), row.keys.get("dataset")].append(row)
        pairs += [(group[-1], group[-2]) for group in groups.values()]
    return pairs


def editing() -> Iterator[Finding]:
    """ToEdit against the source text: cells, averages, and all together."""
    tests = [test for pair in claims() for test in cells(*pair)]
    where = ", ".join(CLAIMS)
    adjusted = correct([test.p for test in tests])
    for test, p in zip(tests, adjusted, strict=True):
        if p < LEVEL:
            yield Finding(
                test.first.table, "significance",
                f"{test.text}: significant after Holm over {len(tests)} cells (p {p:.2g})",
                f"independent binomials of the printed shares, two-sided{_caveat(test)}",
                FOR if test.change > 0 else AGAINST,
            )  # fmt: skip
    gains = sum(p < LEVEL and t.change > 0 for t, p in zip(tests, adjusted, strict=True))
    yield Finding(
        where,
        "significance",
        f"{gains} of the gains of ToEdit over the source text survive Holm over the {len(tests)} "
        "cells",
        "largest: " + max(tests, key=lambda t: t.z).text,
        FOR if gains else AGAINST,
    )
    means = [average(*pair) for pair in claims()]
    passed = [test.text for test in means if test.p < LEVEL and test.change > 0]
    rises = sum(test.change > 0 for test in means)
    yield Finding(
        where,
        "significance",
        f"{rises} of {len(means)} averages rise with ToEdit; {len(passed)} by more than chance at "
        "5 %, not corrected",
        "; ".join(passed) or "none",
        FOR if rises == len(means) else NEUTRAL,
    )
    f1 = sum(not printed.is_accuracy(test.column) for test in tests)
    up, down = (sum(sign * test.change > 0 for test in tests) for sign in (1, -1))
    total = sum(test.change for test in tests)
    error = math.sqrt(sum(test.error**2 for test in tests))
    yield Finding(
        where,
        "significance",
        f"of {len(tests)} cells {up} rise and {down} fall; the mean of all is "
        f"{total / len(tests):+.2f} points, z {total / error:.2f}",
        f"sum of differences {total:.2f} over the root of their summed variances {error:.2f}; {f1} "
        "of the cells are F1, whose errors as shares of items are guesses",
        FOR if total > 0 else AGAINST,
    )


def _of_source(row: PrintedRow) -> str:
    return row.keys.get("base_model") or row.keys.get("dataset") or ""


def _caveat(test: Test) -> str:
    """F1 is no share of items, which a reader must know."""
    if printed.is_accuracy(test.column):
        return ""
    return f"; {test.column} is an F1, so that its error as a share of items is a guess"


def pairs() -> Iterator[Finding]:
    """Every pair of arms of every table of accuracies, corrected over the table."""
    for table in printed.tables():
        own = [r for r in printed.rows(table) if any(printed.items(c) for c in r.cells)]
        if not own or table.endswith("_v1"):
            continue
        tests = [
            test
            for first, second in combinations(own, 2)
            if _of_source(first) == _of_source(second)
            for test in cells(second, first)
        ]
        adjusted = correct([test.p for test in tests])
        kept = [t for t, p in zip(tests, adjusted, strict=True) if p < LEVEL]
        yield Finding(
            table,
            "significance",
            f"{len(kept)} of {len(tests)} differences between arms survive Holm over the table",
            "; ".join(map(_named, sorted(kept, key=lambda t: t.p))) or "none",
        )


def _named(test: Test) -> str:
    arms = f"{test.second.keys.get('row', test.second.name)} to "
    arms += test.first.keys.get("row", test.first.name)
    return f"{test.column}, {arms} {test.change:+.2f} (z {test.z:+.1f})"


Check = Callable[[], Iterator[Finding]]
CHECKS: Sequence[Check] = (editing, pairs)
