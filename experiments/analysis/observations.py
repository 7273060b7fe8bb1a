"""Observations: numbers of single items of one model, of which every statistic is made.

An observation is an item's numerator and denominator in a ratio of sums. Items carry the id of
their cluster; what is compared is paired by item.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from evals import scoring


@dataclass(frozen=True, eq=False)
class Observations:
    """One model on the items of one task.

    Attributes:
        items: ids, sorted.
        clusters: id of the cluster of each item.
        above: numerators, float ``[n]``.
        below: denominators, float ``[n]``.
        answers: class of question, label and prediction, int ``[n, 3]``; None where not needed.
    """

    items: tuple[str, ...]
    clusters: tuple[str, ...]
    above: np.ndarray
    below: np.ndarray
    answers: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        rows: Sequence[dict[str, Any]],
        above: np.ndarray,
        below: np.ndarray,
        answers: np.ndarray | None = None,
    ) -> "Observations":
        """Observations in the order of their items' ids.

        Args:
            rows: ``item`` of each, and ``cluster`` where it is known.
            above: numerators ``[n]``, in the order of the rows.
            below: denominators ``[n]``.
            answers: class of question, label and prediction ``[n, 3]``.

        Raises:
            ValueError: two rows have one id.
        """
        items = [row["item"] for row in rows]
        order = sorted(range(len(rows)), key=items.__getitem__)
        if len(set(items)) < len(items):
            raise ValueError(f"an item stands twice: {max(items, key=items.count)!r}")
        clusters = tuple(str(rows[i].get("cluster") or items[i]) for i in order)
        kept = None if answers is None else answers[order]
        return cls(tuple(items[i] for i in order), clusters, above[order], below[order], kept)

    @cached_property
    def ratio(self) -> float:
        """The ratio of the two sums."""
        return float(self.above.sum() / self.below.sum())

    def f1(self) -> float:
        """F1 of the answers, in [0, 1]."""
        assert self.answers is not None
        return float(scoring.f1_of(self.answers, np.ones(len(self.answers))))


def coarsest(observed: Sequence[Observations]) -> tuple[str, ...]:
    """The clusters of observations of the same items: of those that know most of what is shared,
    since rows of an older version name none."""
    return min((own.clusters for own in observed), key=lambda named: len(set(named)))


def cluster_numbers(clusters: Sequence[str]) -> tuple[np.ndarray, int]:
    """Clusters as numbers ``[n]`` from 0, and how many there are."""
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(cluster, len(numbers)) for cluster in clusters]
    return np.array(codes, int), len(numbers)
