"""Compare the rows of a table, correct the p values, and find the best row of each column.

Two rows are compared if they were trained and evaluated in the same way and answered the same items
(:mod:`experiments.analysis.compare`). Of the comparisons with a block's reference the averages are
corrected first (Holm over the rows), and the columns of a row only if its average is rejected;
columns that count in no average are corrected over the rows. A row is the best of a column if
several seeds of it beat several of every other row, after Holm over all pairs of rows of the block.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from experiments.analysis.compare import Arm, DifferentItems, aggregate, compare, paired
from experiments.analysis.estimate import Estimate
from experiments.analysis.evidence import Evidence
from experiments.analysis.metrics import Metric
from experiments.analysis.verdicts import correct, gatekept
from experiments.reports.tables.cells import AVERAGE, GEOMETRIC, Cell, FilledBlock, FilledRow

LEVEL = 0.05


@dataclass
class Comparison:
    """The difference of two rows in a column.

    Attributes:
        block: index of the block in its table.
        column: label of the column.
        first: the row.
        second: the row that is subtracted.
        estimate: the difference, or the logarithm of the ratio.
        metric: of the column.
        p_corrected: p corrected over the block; None if it is not tested or not corrected.
    """

    block: int
    column: str
    first: FilledRow
    second: FilledRow
    estimate: Estimate
    metric: Metric
    p_corrected: float | None = None

    @property
    def swapped(self) -> "Comparison":
        """The second row minus the first."""
        estimate = self.estimate.negated
        return replace(self, first=self.second, second=self.first, estimate=estimate)


class Comparisons:
    """The comparisons of a table.

    Args:
        blocks: its blocks, filled.
        evidence: whose ``refused`` lists the pairs that cannot be compared.

    Attributes:
        pairs: all pairs of rows that can be compared, the later one minus the earlier.
        planned: every row minus its block's reference.
        best: for each block the label of the best row by column.
    """

    def __init__(self, blocks: Sequence[FilledBlock], evidence: Evidence) -> None:
        self._evidence = evidence
        self.pairs: list[Comparison] = []
        self.planned: list[Comparison] = []
        self.best: list[dict[str, str]] = []
        for number, block in enumerate(blocks):
            reference = block.block.reference
            pairs = self._pairs(number, block) if reference else []
            planned = [
                pair if pair.second.row.label == reference else pair.swapped
                for pair in pairs
                if (pair.first.row.label == reference) != (pair.second.row.label == reference)
            ]
            _correct(planned, block)
            self.pairs += pairs
            self.planned += planned
            self.best.append(_best(block, pairs))

    def _pairs(self, number: int, block: FilledBlock) -> list[Comparison]:
        pairs = []
        for (second, first), column in product(combinations(block.rows, 2), block.columns):
            cells = first.cells.get(column.label), second.cells.get(column.label)
            if cells[0] is None or cells[1] is None or not _same_setup(first, second):
                continue
            name = f"{column.label}: {first.label} and {second.label}"
            estimate = self._estimate(cells[0], cells[1], column.label, name)
            if estimate is not None:
                pair = Comparison(number, column.label, first, second, estimate, column.metric)
                pairs.append(pair)
        return pairs

    def _estimate(self, first: Cell, second: Cell, column: str, name: str) -> Estimate | None:
        """Return the difference of two cells, or None: arithmetic means of perplexities, cells
        without observations, and cells of different items are not compared."""
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


def _correct(planned: list[Comparison], block: FilledBlock) -> None:
    """Set the corrected p values of the comparisons with a block's reference."""
    averages = {c.column for c in planned} & {AVERAGE, GEOMETRIC}
    averaged = {column.label for column in block.block.columns if column.averaged and averages}
    rows: dict[tuple[int, int], list[Comparison]] = {}
    for comparison in planned:
        rows.setdefault((id(comparison.first), id(comparison.second)), []).append(comparison)
    gates, columns = [], []
    for members in rows.values():
        tested = [c for c in members if c.estimate.p is not None]
        gates.append([c for c in tested if c.column in averages][-1:])
        columns.append([c for c in tested if c.column in averaged])
    corrected = gatekept(
        [gate[0].estimate.p if gate else None for gate in gates],
        [[c.estimate.p or 0.0 for c in members] for members in columns],
    )
    for gate, members, row in zip(gates, columns, corrected, strict=True):
        for comparison, p in zip([*gate, *members], row, strict=True):
            comparison.p_corrected = p
    others = [c for c in planned if c.column not in {*averaged, AVERAGE, GEOMETRIC}]
    for column in dict.fromkeys(c.column for c in others):
        tested = [c for c in others if c.column == column and c.estimate.p is not None]
        values = correct([c.estimate.p or 0.0 for c in tested])
        for comparison, value in zip(tested, values, strict=True):
            comparison.p_corrected = value


def _same_setup(first: FilledRow, second: FilledRow) -> bool:
    """Whether two rows were evaluated in the same way and, if both were trained, trained alike."""
    if not first.results or not second.results:
        return False
    contexts = [next(iter(row.results.values())).context for row in (first, second)]
    (evaluation, training), (other_evaluation, other_training) = contexts
    trained_alike = training == other_training or "{}" in (training, other_training)
    return evaluation == other_evaluation and trained_alike


def _best(block: FilledBlock, pairs: Sequence[Comparison]) -> dict[str, str]:
    """Return the best row by column, if several seeds of it beat several of every other row."""
    tested = [pair for pair in pairs if pair.estimate.n_seeds > 1 and pair.estimate.p is not None]
    wins = set()
    for pair, p in zip(tested, correct([c.estimate.p or 0.0 for c in tested]), strict=True):
        if p < LEVEL:
            ids = id(pair.first), id(pair.second)
            first_wins = (pair.estimate.value > 0) != pair.metric.lower
            wins.add((pair.column, *(ids if first_wins else ids[::-1])))
    best = {}
    for column in block.columns:
        rows = [row for row in block.rows if column.label in row.cells]
        if len(rows) < 2:
            continue
        sign = -1 if column.metric.lower else 1
        top = max(rows, key=lambda row: sign * row.cells[column.label].value)
        if all((column.label, id(top), id(row)) in wins for row in rows if row is not top):
            best[column.label] = top.label
    return best
