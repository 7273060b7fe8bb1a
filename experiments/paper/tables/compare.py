"""Whether rows of a block differ by more than chance: paired by item, and by seed where there are
several, corrected over the table.

Two rows are compared where they were trained and evaluated alike and answered the same items. The
interval is the paired bootstrap over items. The p value over items is that of exchanging the two
rows' answers item by item: of right and wrong answers McNemar's exact test. A bootstrap's p value
is far too small where few items differ, as they do here.

Of several seeds the mean over those that both rows have is compared; its p value is the larger of
that over items and of Student's test with the variances of items and of seeds added, so that a
difference must hold for other items and other seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
from experiments.paper.evidence import Evidence
from experiments.paper.significance import exchanged, holm, items_and_seeds, mcnemar, normal
from experiments.paper.tables.cells import AVERAGE, FilledBlock, FilledRow
from experiments.paper.tables.layout import Column
from experiments.paper.tables.measures import Benchmark
from experiments.paper.tables.pairs import Pair, alike, shared

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
        seeds: that both rows have; one where neither has any.
        value: the difference as it is shown, mean over seeds.
        low: lower end of the 95 % interval over items (bootstrap).
        high: upper end.
        error: standard error of the difference over items, in the units of ``value``.
        detectable: the smallest true difference that so many items, and so many seeds of this
            spread, would find with 80 % power at the two-sided 5 % level.
        p: two-sided.
        method: how p was found.
        changes: of every item, what its difference adds to ``value`` or a monotone function of it;
            None where the measure is no ratio of sums.
        p_holm: p corrected over the table; NaN until it is.
    """

    block: int
    column: str
    first: FilledRow
    second: FilledRow
    seeds: int
    value: float
    low: float
    high: float
    error: float
    detectable: float
    p: float
    method: str
    changes: np.ndarray | None = field(repr=False)
    p_holm: float = field(default=float("nan"))

    @property
    def turned(self) -> Test:
        """The same comparison the other way round."""
        changes = None if self.changes is None else -self.changes
        return Test(self.block, self.column, self.second, self.first, self.seeds, -self.value,
                    -self.high, -self.low, self.error, self.detectable, self.p, self.method,
                    changes)  # fmt: skip


class Comparisons:
    """The comparisons of a table.

    Args:
        blocks: its blocks, filled.
        evidence: where pairs that cannot be compared are noted.

    Attributes:
        pairs: all pairs of rows that can be compared, the later one minus the earlier.
        planned: every row against its block's reference.
        best: for each block the label of the best row by column, where it is better than every
            other row (Holm over all pairs of rows of the table).
    """

    def __init__(self, blocks: Sequence[FilledBlock], evidence: Evidence) -> None:
        self._evidence = evidence
        self.pairs = [
            test for number, block in enumerate(blocks) for test in self._all(number, block)
        ]
        self.planned = []
        for test in self.pairs:
            reference = blocks[test.block].block.reference
            if test.second.row.label == reference != test.first.row.label:
                self.planned.append(test)
            elif test.first.row.label == reference != test.second.row.label:
                self.planned.append(test.turned)
        for test, p in zip(self.planned, holm([t.p for t in self.planned]), strict=True):
            test.p_holm = p
        corrected = zip(self.pairs, holm([t.p for t in self.pairs]), strict=True)
        apart = {
            (t.block, t.column, frozenset((id(t.first), id(t.second))))
            for t, p in corrected
            if p < LEVEL
        }
        self.best = [_best(number, block, apart) for number, block in enumerate(blocks)]

    def _all(self, number: int, block: FilledBlock) -> list[Test]:
        if not block.block.reference:
            return []
        found: list[Test] = []
        for second, first in combinations(block.rows, 2):
            tests = {}
            for place, column in enumerate(block.block.columns):
                pair = self._pair(first, second, column, place)
                if pair is not None:
                    tests[column.label] = _test(number, pair)
            averaged = [c.label for c in block.block.columns if c.averaged]
            if AVERAGE in first.cells and AVERAGE in second.cells and set(averaged) <= set(tests):
                own = [tests[name] for name in averaged]
                tests[AVERAGE] = _average(number, own, first, second)
            found += tests.values()
        return found

    def _pair(
        self, first: FilledRow, second: FilledRow, column: Column, number: int
    ) -> Pair | None:
        """None where a row has no cell there, or the two cannot be compared."""
        cells = [row.cells.get(column.label) for row in (first, second)]
        if cells[0] is None or cells[1] is None:
            return None
        results = shared(cells[0].results, cells[1].results)
        if not results or not all(alike(a, b) for a, b in results):
            return None
        pair = Pair(first, second, column, number, results)
        if not pair.same_items:
            name = f"{column.label}: {first.label} and {second.label}"
            self._evidence.refused[name] = "were measured on different items, not compared"
            return None
        return pair


def _test(block: int, pair: Pair) -> Test:
    column, measure = pair.column, pair.column.measure
    found = pair.changes
    value, changes, sums = fmean(found), None, pair.sums
    if sums is None:
        draws = _f1_draws(pair)
        p, method = _normal(value, float(draws.std(ddof=1))), "bootstrap"
    else:
        a, b = (np.mean([own[side].parts for own in sums], axis=0) for side in (0, 1))
        seed = BOOTSTRAP_SEED + pair.number
        draws = measure.shown(resampled_ratio(a, seed)) - measure.shown(resampled_ratio(b, seed))
        changes = a[:, 0] / a[:, 1].sum() - b[:, 0] / b[:, 1].sum()
        if len(sums) == 1 and isinstance(measure, Benchmark) and np.isin([a, b], (0, 1)).all():
            p = mcnemar(int((a > b)[:, 0].sum()), int((a < b)[:, 0].sum()))
            method = "McNemar"
        else:
            p, method = exchanged(changes), "permutation"
    low, high = (float(end) for end in np.quantile(draws, [0.025, 0.975]))
    error = float(draws.std(ddof=1))
    least = error
    if isinstance(measure, Benchmark):  # that no item differs does not mean that none would
        items = pair.first.cells[column.label].items
        least = max(error, 100 * least_error(items))
    test = Test(block, column.label, pair.first, pair.second, len(found), value, low, high, error,
                POWER_FACTOR * least, p, method, changes)  # fmt: skip
    return _over_seeds(test, found)


def _over_seeds(test: Test, changes: Sequence[float]) -> Test:
    """The test with what several seeds add to it, and what it could have found."""
    if len(changes) > 1:
        spread = detectable_spreads(len(changes)) * stdev(changes)
        test.detectable = max(test.detectable, spread)
        both = items_and_seeds(changes, test.error)
        if both > test.p:
            test.p, test.method = both, "items and seeds"
    return test


def _f1_draws(pair: Pair) -> np.ndarray:
    """Resamples of a difference of F1 in percent, mean over seeds."""
    measure = pair.column.measure
    assert isinstance(measure, Benchmark)
    draws = [
        scoring.resampled_f1(measure.answers(a), measure.answers(b), RESAMPLES, BOOTSTRAP_SEED)[1]
        for a, b in pair.results
    ]
    kept = min(map(len, draws))
    return 100 * np.mean([own[:kept] for own in draws], axis=0)


def _normal(value: float, error: float) -> float:
    """p of a difference from its standard error; 1 where nothing varies."""
    return normal(value / error) if error > 0 else 1.0


def _average(block: int, tests: list[Test], first: FilledRow, second: FilledRow) -> Test:
    """The mean of a row's differences; items of all columns are exchanged together."""
    cells = [row.cells[AVERAGE] for row in (first, second)]
    results = [row.cells[tests[0].column].results for row in (first, second)]
    pairs = shared(*results)
    changes = [cells[0].seeds[a.seed] - cells[1].seeds[b.seed] for a, b in pairs]
    value = fmean(changes)
    error = sum(t.error**2 for t in tests) ** 0.5 / len(tests)
    least = sum(t.detectable**2 for t in tests) ** 0.5 / len(tests)
    parts = [t.changes for t in tests if t.changes is not None]
    if len(parts) == len(tests):
        p, method = exchanged(np.concatenate(parts)), "permutation"
    else:
        p, method = _normal(value, error), "bootstrap"
    low, high = value - NORMAL * error, value + NORMAL * error
    found = Test(block, AVERAGE, first, second, len(changes), value, low, high, error, least, p,
                 method, None)  # fmt: skip
    return _over_seeds(found, changes)


def _best(
    number: int, block: FilledBlock, apart: set[tuple[int, str, frozenset[int]]]
) -> dict[str, str]:
    """The best row by column, where it differs from every other."""
    found = {}
    for column in block.columns:
        rows = [row for row in block.rows if column.label in row.cells]
        if len(rows) < 2:
            continue
        sign = -1 if column.measure.lower else 1
        top = max(rows, key=lambda row: sign * row.cells[column.label].value)
        pairs = [frozenset((id(top), id(row))) for row in rows if row is not top]
        if all((number, column.label, pair) in apart for pair in pairs):
            found[column.label] = top.label
    return found
