"""Observations: per-item numbers of one model, the input of every statistic.

An observation is an item's numerator and denominator in a ratio of sums. Items carry the id of
their cluster; comparisons are paired by item.
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
        """Observations sorted by the ids of their items, from arrays in the order of the rows.

        A row holds its ``item`` and, where it is known, its ``cluster``.

        Raises:
            ValueError: two rows have one id.
        """
        items = [row["item"] for row in rows]
        order = sorted(range(len(rows)), key=items.__getitem__)
        if len(set(items)) < len(items):
            raise ValueError(f"an item stands twice: {max(items, key=items.count)!r}")
        clusters = tuple(str(rows[i].get("cluster") or items[i]) for i in order)
        answers = None if answers is None else answers[order]
        return cls(tuple(items[i] for i in order), clusters, above[order], below[order], answers)

    @cached_property
    def ratio(self) -> float:
        """Sum of numerators over sum of denominators."""
        return float(self.above.sum() / self.below.sum())

    def influence(self, slope: float) -> np.ndarray:
        """Contribution of each item to ``slope`` times the linearised ratio ``[n]``."""
        return slope * (self.above - self.ratio * self.below) / self.below.sum()

    def f1(self) -> float:
        """F1 of the answers, in [0, 1]."""
        assert self.answers is not None
        return float(scoring.f1_of(self.answers, np.ones(len(self.answers))))


def coarsest(observations: Sequence[Observations]) -> tuple[str, ...]:
    """The clusters of the observations with the fewest, all of the same items.

    Rows of older versions name no cluster, so that each item counts as its own.
    """
    return min((obs.clusters for obs in observations), key=lambda clusters: len(set(clusters)))


def cluster_numbers(clusters: Sequence[str]) -> tuple[np.ndarray, int]:
    """Clusters as numbers ``[n]`` from 0, and how many there are."""
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(cluster, len(numbers)) for cluster in clusters]
    return np.array(codes, int), len(numbers)
