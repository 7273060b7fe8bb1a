"""Two rows of a table in a column, result by result: which belong together, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from experiments.paper.result import Result
from experiments.paper.tables.cells import FilledRow
from experiments.paper.tables.layout import Column
from experiments.paper.tables.measures import Sums


@dataclass(frozen=True, eq=False)
class Pair:
    """Two rows in a column, with results of the seeds that both have.

    A row that no seed changes, as the base model's, stands beside every seed of the other.
    """

    first: FilledRow
    second: FilledRow
    column: Column
    number: int
    results: list[tuple[Result, Result]]

    @property
    def changes(self) -> list[float]:
        """Differences as they are shown, seed by seed."""
        cells = [row.cells[self.column.label] for row in (self.first, self.second)]
        return [cells[0].seeds[a.seed] - cells[1].seeds[b.seed] for a, b in self.results]

    @cached_property
    def sums(self) -> list[tuple[Sums, Sums]] | None:
        """What each rests on, item by item; None where the measure has none."""
        found = []
        for pair in self.results:
            own = [self.column.measure.sums(result) for result in pair]
            if own[0] is None or own[1] is None:
                return None
            found.append((own[0], own[1]))
        return found

    @property
    def same_items(self) -> bool:
        """Whether all answered the same."""
        if self.sums is None:
            rows = [self.column.measure.answers(r) for pair in self.results for r in pair]  # type: ignore[attr-defined]
            names = [[row["item"] for row in own] for own in rows]
        else:
            names = [list(own.items) for pair in self.sums for own in pair]
        return all(own == names[0] for own in names)


def shared(firsts: Sequence[Result], seconds: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Results seed by seed; one that no seed changes beside each of the other's."""
    if not firsts[0].seeded or not seconds[0].seeded:
        return [(a, b) for a in firsts for b in seconds]
    other = {result.seed: result for result in seconds}
    return [(result, other[result.seed]) for result in firsts if result.seed in other]


def alike(first: Result, second: Result) -> bool:
    """Whether two results were evaluated alike and, where both were trained, trained alike."""
    (evaluated, trained), (other, others) = first.context, second.context
    empty = "{}"
    return evaluated == other and (trained == others or empty in (trained, others))
