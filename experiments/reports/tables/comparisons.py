"""Rows of a table against each other, and what is marked as best.

Two rows are compared where they were trained and evaluated alike and answered the same items
(:mod:`experiments.analysis.compare`). Against a block's reference the averages are corrected
first (Holm over the rows), and the columns of a row only if its average is rejected; columns that
count in no average are corrected over the rows. The best row of a column is marked where several
seeds of it beat several of every other row, after Holm over all pairs of rows of the block.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from experiments.analysis.compare import Arm, DifferentItems, aggregate, compare, paired
from experiments.analysis.estimate import Estimate
from experiments.analysis.evidence import Evidence
from experiments.analysis.metrics import Metric
from experiments.analysis.result import Result
from experiments.analysis.verdicts import correct, gatekept
from experiments.reports.tables.cells import AVERAGE, GEOMETRIC, Cell, FilledBlock, FilledRow

LEVEL = 0.05


@dataclass
class Comparison:
    """A row minus another in a column.

    Attributes:
        block: index of the block in its table.
        column: its label.
        first: the row.
        second: the row that is subtracted.
        estimate: the difference, or the logarithm of the ratio.
        metric: of the column.
        p_corrected: p corrected over the block; None where it is not tested, or not corrected.
    """

    block: int
    column: str
    first: FilledRow
    second: FilledRow
    estimate: Estimate
    metric: Metric
    p_corrected: float | None = None

    @property
    def turned(self) -> "Comparison":
        """The same the other way round."""
        turned = self.estimate.turned
        return replace(self, first=self.second, second=self.first, estimate=turned)


class Comparisons:
    """The comparisons of a table.

    Args:
        blocks: its blocks, filled.
        evidence: where pairs that cannot be compared are noted.

    Attributes:
        pairs: all pairs of rows that can be compared, the later one minus the earlier.
        planned: every row against its block's reference.
        best: for each block the label of the best row by column.
    """

    def __init__(self, blocks: Sequence[FilledBlock], evidence: Evidence) -> None:
        self._evidence = evidence
        self.pairs: list[Comparison] = []
        self.planned: list[Comparison] = []
        self.best: list[dict[str, str]] = []
        for number, block in enumerate(blocks):
            pairs = self._all(number, block) if block.block.reference else []
            reference = block.block.reference
            planned = [own for pair in pairs if (own := _against(pair, reference)) is not None]
            _correct(planned, block)
            self.pairs += pairs
            self.planned += planned
            self.best.append(_best(block, pairs))

    def _all(self, number: int, block: FilledBlock) -> list[Comparison]:
        found = []
        for second, first in combinations(block.rows, 2):
            if not _alike(first, second):
                continue
            for column in block.columns:
                cells = first.cells.get(column.label), second.cells.get(column.label)
                if cells[0] is None or cells[1] is None:
                    continue
                name = f"{column.label}: {first.label} and {second.label}"
                own = self._estimate(cells[0], cells[1], column.label, name)
                if own is not None:
                    found.append(
                        Comparison(number, column.label, first, second, own, column.metric)
                    )
        return found

    def _estimate(self, first: Cell, second: Cell, column: str, name: str) -> Estimate | None:
        """None where two cells cannot be compared, as an arithmetic mean of perplexities."""
        tasks: list[tuple[Arm, Arm, Metric]] = [
            (a, b, metric)
            for (a, metric), (b, _) in zip(first.observed, second.observed, strict=False)
        ]
        arithmetic = column == AVERAGE and any(metric.is_log_ratio for _, _, metric in tasks)
        if not tasks or arithmetic or not paired(*tasks[0][:2]):
            return None
        try:
            return aggregate(tasks) if len(tasks) > 1 else compare(*tasks[0])
        except DifferentItems:
            self._evidence.refused[name] = "were measured on different items, not compared"
            return None


def _against(own: Comparison, reference: str) -> Comparison | None:
    """A comparison as one with the reference; None where it is with another row."""
    labels = own.first.row.label, own.second.row.label
    if labels[1] == reference != labels[0]:
        return own
    return own.turned if labels[0] == reference != labels[1] else None


def _correct(planned: list[Comparison], block: FilledBlock) -> None:
    """Sets the corrected p values of comparisons with a block's reference."""
    made = {c.column for c in planned} & {AVERAGE, GEOMETRIC}
    averaged = {column.label for column in block.block.columns if column.averaged and made}
    rows: dict[tuple[int, int], list[Comparison]] = {}
    for own in planned:
        rows.setdefault((id(own.first), id(own.second)), []).append(own)
    averages, columns = [], []
    for members in rows.values():
        known = [c for c in members if c.column in made and c.estimate.p is not None]
        averages.append(known[-1:])
        columns.append([c for c in members if c.column in averaged and c.estimate.p is not None])
    found = gatekept(
        [own[0].estimate.p if own else None for own in averages],
        [[c.estimate.p or 0.0 for c in own] for own in columns],
    )
    for average, rest, corrected in zip(averages, columns, found, strict=True):
        for comparison, p in zip([*average, *rest], corrected, strict=True):
            comparison.p_corrected = p
    beside = [c for c in planned if c.column not in {*averaged, AVERAGE, GEOMETRIC}]
    for column in dict.fromkeys(c.column for c in beside):
        alone = [c for c in beside if c.column == column and c.estimate.p is not None]
        for comparison, p in zip(alone, correct([c.estimate.p or 0.0 for c in alone]), strict=True):
            comparison.p_corrected = p


def _alike(first: FilledRow, second: FilledRow) -> bool:
    """Whether two rows were evaluated alike and, where both were trained, trained alike."""
    if not first.results or not second.results:
        return False
    pair: list[Result] = [next(iter(row.results.values())) for row in (first, second)]
    (evaluated, trained), (other, others) = pair[0].context, pair[1].context
    return evaluated == other and (trained == others or "{}" in (trained, others))


def _best(block: FilledBlock, pairs: Sequence[Comparison]) -> dict[str, str]:
    """The best row by column, where several seeds of it beat several of every other row."""
    tested = [own for own in pairs if own.estimate.n_seeds > 1 and own.estimate.p is not None]
    corrected = correct([own.estimate.p or 0.0 for own in tested])
    apart = {
        (own.column, id(own.first if (own.estimate.value > 0) != own.metric.lower else own.second),
         frozenset((id(own.first), id(own.second))))
        for own, p in zip(tested, corrected, strict=True) if p < LEVEL
    }  # fmt: skip
    found = {}
    for column in block.columns:
        rows = [row for row in block.rows if column.label in row.cells]
        if len(rows) < 2:
            continue
        sign = -1 if column.metric.lower else 1
        top = max(rows, key=lambda row: sign * row.cells[column.label].value)
        others = [frozenset((id(top), id(row))) for row in rows if row is not top]
        if others and all((column.label, id(top), pair) in apart for pair in others):
            found[column.label] = top.label
    return found
