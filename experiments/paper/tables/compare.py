"""Whether rows of a block differ by more than chance: paired by item, and by seed where there are
several, corrected over the table.

A difference must hold for other items and for other seeds, so of several seeds its p value is the
larger of two: that over items, of the mean over seeds (McNemar's exact test for right and wrong
answers of one seed, else the bootstrap), and Student's over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from statistics import fmean, stdev

import numpy as np

from evals import scoring
from experiments.paper.comparison import (
    BOOTSTRAP_SEED,
    POWER_FACTOR,
    RESAMPLES,
    detectable_spreads,
    least_error,
    resampled_ratio,
)
from experiments.paper.runs import Evidence
from experiments.paper.significance import holm, mcnemar, normal, student
from experiments.paper.tables.cells import AVERAGE, FilledBlock, FilledRow
from experiments.paper.tables.layout import Column
from experiments.paper.tables.measures import Benchmark, Sums
from toedit.errors import UserError

LEVEL = 0.05
NORMAL = 1.959964
"""Standard errors on either side of a 95 % interval."""


@dataclass
class Test:
    """A row minus another in a column.

    Attributes:
        block: index of the block in its table.
        column: its label.
        first: the row.
        second: the row that is subtracted.
        value: the difference as it is shown, mean over seeds.
        low: lower end of the 95 % interval over items (bootstrap).
        high: upper end.
        error: standard error of the difference over items, in the units of ``value``.
        detectable: the smallest true difference that so many items, and so many seeds of this
            spread, would find with 80 % power at the two-sided 5 % level.
        p: two-sided.
        method: how p was found.
        p_holm: p corrected over the table; NaN until it is.
    """

    block: int
    column: str
    first: FilledRow
    second: FilledRow
    value: float
    low: float
    high: float
    error: float
    detectable: float
    p: float
    method: str
    p_holm: float = field(default=float("nan"))


@dataclass(eq=False)
class _Answers:
    """What a row answered in a column: sums by item, mean over seeds, and their resamples."""

    row: FilledRow
    column: Column
    number: int
    sums: list[Sums]

    @cached_property
    def parts(self) -> np.ndarray:
        return np.mean([sums.parts for sums in self.sums], axis=0)

    @cached_property
    def draws(self) -> np.ndarray:
        return resampled_ratio(self.parts, BOOTSTRAP_SEED + self.number)

    @property
    def items(self) -> tuple[str, ...]:
        return self.sums[0].items

    @property
    def right_or_wrong(self) -> bool:
        counted = len(self.sums) == 1 and isinstance(self.column.measure, Benchmark)
        return counted and bool(np.isin(self.parts, (0.0, 1.0)).all())


class Comparisons:
    """The comparisons of a table.

    Args:
        blocks: its blocks, filled.
        evidence: where results that cannot be used are noted.

    Attributes:
        pairs: all pairs of rows, the later one minus the earlier.
        planned: every row against its block's reference.
        best: for each block the label of the best row by column, where it is better than every
            other row (Holm over all pairs of rows of the table).
    """

    def __init__(self, blocks: Sequence[FilledBlock], evidence: Evidence) -> None:
        self._evidence = evidence
        every = [self._all_pairs(number, block) for number, block in enumerate(blocks)]
        self.pairs = [test for tests in every for test in tests]
        self.planned = [
            test
            for block, tests in zip(blocks, every, strict=True)
            for test in tests
            if block.block.reference in (test.second.row.label, test.first.row.label)
        ]
        self.planned = [
            _turned(test) if test.first.row.label == blocks[test.block].block.reference
            and test.second.row.label != test.first.row.label else test
            for test in self.planned
        ]  # fmt: skip
        for test, p in zip(self.planned, holm([t.p for t in self.planned]), strict=True):
            test.p_holm = p
        corrected = zip(self.pairs, holm([t.p for t in self.pairs]), strict=True)
        better = {(t.block, t.column, id(t.first), id(t.second)) for t, p in corrected if p < LEVEL}
        self.best = [_best(number, block, better) for number, block in enumerate(blocks)]

    def _all_pairs(self, number: int, block: FilledBlock) -> list[Test]:
        found: list[Test] = []
        if not block.block.reference:
            return found
        by_column: dict[str, dict[tuple[int, int], Test]] = {}
        for place, column in enumerate(block.block.columns):
            tests = {}
            answers = {i: self._answers(row, column, place) for i, row in enumerate(block.rows)}
            for a, b in combinations([i for i in answers if answers[i] is not None], 2):
                test = self._test(number, answers[b], answers[a])  # type: ignore[arg-type]
                if test is not None:
                    tests[a, b] = test
            by_column[column.label] = tests
            found += tests.values()
        averaged = [c.label for c in block.block.columns if c.averaged]
        if AVERAGE in [column.label for column in block.columns]:
            for pair in by_column[averaged[0]]:
                own = [by_column[name].get(pair) for name in averaged]
                if all(test is not None for test in own):
                    found.append(_average(number, [test for test in own if test is not None]))
        return found

    def _answers(self, row: FilledRow, column: Column, place: int) -> _Answers | None:
        """None where the row has no cell in the column, or not what it rests on."""
        cell = row.cells.get(column.label)
        if cell is None:
            return None
        sums = []
        for result in cell.results:
            try:
                own = column.measure.sums(result)
            except UserError as error:
                self._evidence.refused[result.label] = str(error).removeprefix(f"{result.label}: ")
                del row.cells[column.label]
                row.cells.pop(AVERAGE, None)
                return None
            if own is not None:
                sums.append(own)
        return _Answers(row, column, place, sums)

    def _test(self, block: int, first: _Answers, second: _Answers) -> Test | None:
        """A comparison; None where the rows answered different items."""
        column, measure = first.column, first.column.measure
        a, b = (answers.row.cells[column.label] for answers in (first, second))
        changes = _by_seed(a.seeds, b.seeds)
        value = fmean(changes)
        if isinstance(measure, Benchmark) and measure.task.metric in scoring.F1:
            shown = self._f1(measure, first, second)
            p, method = _over_items(value, shown), "bootstrap"
        else:
            own = [sums.items for sums in (*first.sums, *second.sums)]
            if not own or any(items != own[0] for items in own):
                name = f"{column.label}: {first.row.label} and {second.row.label}"
                self._evidence.refused[name] = "were measured on different items, not compared"
                return None
            shown = measure.shown(first.draws) - measure.shown(second.draws)
            if first.right_or_wrong and second.right_or_wrong:
                d = first.parts[:, 0] - second.parts[:, 0]
                p, method = mcnemar(int((d > 0).sum()), int((d < 0).sum())), "McNemar"
            else:
                ratios = (answers.parts.sum(axis=0) for answers in (first, second))
                change = np.subtract(*(sums[0] / sums[1] for sums in ratios))
                p, method = _over_items(float(change), first.draws - second.draws), "bootstrap"
        low, high = (float(end) for end in np.quantile(shown, [0.025, 0.975]))
        error = float(shown.std(ddof=1))
        least = error
        if isinstance(measure, Benchmark):  # that no item differs does not mean that none would
            least = max(error, 100 * least_error(min(a.items, b.items)))
        rows = (first.row, second.row)
        found = Test(block, column.label, *rows, value, low, high, error, POWER_FACTOR * least, p,
                     method)  # fmt: skip
        return _over_seeds(found, changes)

    def _f1(self, measure: Benchmark, first: _Answers, second: _Answers) -> np.ndarray:
        """Resamples of a difference of F1 in percent, of the first seed of both."""
        a, b = (answers.row.cells[first.column.label].results[0] for answers in (first, second))
        own, other = measure.answers(a), measure.answers(b)
        return 100 * scoring.resampled_f1(own, other, RESAMPLES, BOOTSTRAP_SEED)[1]


def _over_seeds(test: Test, changes: Sequence[float]) -> Test:
    """The test with what several seeds add to it, and what it could have found."""
    if len(changes) > 1:
        spread = detectable_spreads(len(changes)) * stdev(changes)
        test.detectable = max(test.detectable, spread)
        over_seeds = student(changes)
        if over_seeds > test.p:
            test.p, test.method = over_seeds, "Student over seeds"
    return test


def _over_items(value: float, draws: np.ndarray) -> float:
    """p of a difference from the spread of its resamples."""
    error = float(draws.std(ddof=1))
    return normal(value / error) if error > 0 else float(value == 0)


def _by_seed(first: dict[int, float], second: dict[int, float]) -> list[float]:
    """Differences seed by seed; of an arm without seeds, from its only value."""
    if len(first) == 1 or len(second) == 1:
        return [a - b for a in first.values() for b in second.values()]
    shared = [seed for seed in first if seed in second]
    if not shared:  # other seeds altogether
        return [fmean(first.values()) - fmean(second.values())]
    return [first[seed] - second[seed] for seed in shared]


def _average(block: int, tests: list[Test]) -> Test:
    """The mean of a row's differences; its columns are independent."""
    first, second = tests[0].first, tests[0].second
    a, b = first.cells[AVERAGE], second.cells[AVERAGE]
    changes = _by_seed(a.seeds, b.seeds)
    value = fmean(changes)
    error = sum(t.error**2 for t in tests) ** 0.5 / len(tests)
    p = normal(value / error) if error else float(value == 0)
    half = NORMAL * error
    least = sum(t.detectable**2 for t in tests) ** 0.5 / len(tests)
    found = Test(block, AVERAGE, first, second, value, value - half, value + half, error, least, p,
                 "bootstrap")  # fmt: skip
    return _over_seeds(found, changes)


def _turned(test: Test) -> Test:
    """The same comparison the other way round."""
    return Test(test.block, test.column, test.second, test.first, -test.value, -test.high,
                -test.low, test.error, test.detectable, test.p, test.method)  # fmt: skip


def _best(
    number: int, block: FilledBlock, better: set[tuple[int, str, int, int]]
) -> dict[str, str]:
    """The best row by column, where it differs from every other."""
    found = {}
    for column in block.columns:
        rows = [row for row in block.rows if column.label in row.cells]
        if len(rows) < 2:
            continue
        sign = -1 if column.measure.lower else 1
        top = max(rows, key=lambda row: sign * row.cells[column.label].value)
        others = [row for row in rows if row is not top]
        if all(
            (number, column.label, id(top), id(row)) in better
            or (number, column.label, id(row), id(top)) in better
            for row in others
        ):
            found[column.label] = top.label
    return found
