"""Combine values by seed and errors over items into estimates with intervals and p values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.analysis import distributions
from experiments.analysis.estimate import NONE, SEEDS_AND_ITEMS, STUDENT, SWAPPED, TANGO, Estimate


@dataclass(frozen=True)
class Task:
    """Values of an arm, or differences of two arms, on one task.

    Attributes:
        name: of the task.
        by_seed: values ``[S]``.
        se: clustered standard error over items of their mean.
        items: number.
        clusters: number.
        unvaried: no item differed.
        counts: items gained and lost, where an item is right or wrong and there is one seed, and
            the design effect of the clusters.
        p_swap: p of swapping the predictions of items, for F1 and one seed.
    """

    name: str
    by_seed: np.ndarray
    se: float
    items: int
    clusters: int
    unvaried: bool = False
    counts: tuple[int, int, float] | None = None
    p_swap: float | None = None


def least_error(clusters: int) -> float:
    """Standard error of a difference of shares where no item differs: variance 3 / n²."""
    return math.sqrt(3) / clusters


def estimate(
    tasks: Sequence[Task], scale: str, weights: Sequence[float], tested: bool = True
) -> Estimate:
    """The weighted sum of tasks, in the unit ``scale``; its p value if ``tested``."""
    with np.errstate(invalid="ignore"):  # a logarithm of 0 minus another
        by_seed = np.sum([w * task.by_seed for w, task in zip(weights, tasks, strict=True)], axis=0)
    variances = [(w * task.se) ** 2 for w, task in zip(weights, tasks, strict=True)]
    error = math.sqrt(sum(variances))
    # Welch and Satterthwaite: a small task with much of the variance has few degrees of freedom.
    spread = sum(v**2 / max(t.clusters - 1, 1) for v, t in zip(variances, tasks, strict=True))
    df = sum(variances) ** 2 / spread if spread > 0 else math.inf
    items, clusters = sum(t.items for t in tasks), sum(t.clusters for t in tasks)
    unvaried = tuple(task.name for task in tasks if task.unvaried)
    value, p = float(by_seed.mean()), None
    if len(tasks) == 1:
        if tasks[0].counts is not None and tested:
            return _difference_of_proportions(tasks[0], tasks[0].counts, value, error, scale)
        p = tasks[0].p_swap
    method = SEEDS_AND_ITEMS if len(by_seed) > 1 else STUDENT if p is None else SWAPPED
    return from_seeds(
        value, by_seed, error, items, clusters, scale, method, unvaried, p, tested, df
    )


def _difference_of_proportions(
    task: Task, counts: tuple[int, int, float], value: float, error: float, scale: str
) -> Estimate:
    """A difference of right answers of one seed; clusters divide the counts by their design
    effect."""
    gained, lost, effect = counts
    effective = gained / effect, lost / effect, task.items / effect
    low, high = distributions.tango_interval(*effective, 0.95)
    low90, high90 = distributions.tango_interval(*effective, 0.90)
    p = distributions.mcnemar_p(gained, lost)
    if effect > 1 and gained + lost:
        p = max(p, distributions.two_sided_p(distributions.tango_z(*effective, 0.0), 0, 1, 1.0))
    return Estimate(value, 100 * low, 100 * high, 100 * low90, 100 * high90, p, error, None, 1,
                    task.items, task.clusters, scale, TANGO, (value,),
                    (task.name,) if task.unvaried else ())  # fmt: skip


def from_seeds(
    value: float,
    by_seed: np.ndarray,
    error: float,
    items: int,
    clusters: int,
    scale: str,
    method: str,
    unvaried: tuple[str, ...] = (),
    p: float | None = None,
    tested: bool = True,
    df_items: float = math.inf,
) -> Estimate:
    """An estimate from values by seed and an error over items.

    Args:
        value: the estimate.
        by_seed: values by seed ``[S]``, one where nothing has a seed.
        error: clustered standard error over items of their mean; 0 for none.
        items, clusters, scale, method, unvaried, df_items: as of :class:`Estimate`.
        p: result of another test; None to compute it here.
        tested: whether there is a difference to test.
    """
    seeds, finite = len(by_seed), bool(np.isfinite(by_seed).all())
    sd = float(by_seed.std(ddof=1)) if seeds > 1 and finite else None
    if sd is not None and sd <= 1e-12 * max(1.0, abs(value)):
        sd = 0.0
    errors = (sd or 0.0) / math.sqrt(seeds), max(seeds - 1, 1), error, df_items
    wide, narrow = (
        distributions.half_width(level, *errors) if finite else None for level in (0.95, 0.90)
    )
    low = high = low90 = high90 = None
    # No width: the same on all items and seeds, a single seed without items, or no number.
    if wide is None or narrow is None:
        p = 1.0 if value == 0 and clusters > 1 else None
        method = NONE
    else:
        low, high, low90, high90 = value - wide, value + wide, value - narrow, value + narrow
        p = distributions.two_sided_p(value, *errors) if p is None else p
    return Estimate(value, low, high, low90, high90, p if tested else None, error, sd, seeds, items,
                    clusters, scale, method, tuple(by_seed.tolist()), unvaried,
                    df_items)  # fmt: skip
