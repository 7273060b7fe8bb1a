"""From values by seed and errors over items to an estimate with its interval and p value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.analysis.distributions import (
    half_width,
    mcnemar_p,
    tango_interval,
    tango_z,
    two_sided_p,
)
from experiments.analysis.estimate import (
    NONE,
    SEEDS_AND_ITEMS,
    STUDENT,
    SWAPPED,
    TANGO,
    Estimate,
)


@dataclass(frozen=True)
class Task:
    """Differences of two arms on one task.

    Attributes:
        name: of the task.
        by_seed: differences ``[S]``.
        se: clustered standard error over items of their mean.
        items: number.
        clusters: number.
        unvaried: no item differed.
        counts: items gained and lost, where an item is right or wrong and there is one seed, and
            the design effect of the clusters.
        p_swap: p of swapping the predictions of items, of F1 and one seed.
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
    """The weighted sum of tasks.

    Args:
        tasks: values by seed and errors over items of each.
        scale: unit of the sum.
        weights: of the tasks.
        tested: whether it is a difference, whose p value says something.
    """
    with np.errstate(invalid="ignore"):  # a logarithm of 0 minus another
        by_seed = np.sum([w * task.by_seed for w, task in zip(weights, tasks, strict=True)], axis=0)
    parts = [(w * task.se) ** 2 for w, task in zip(weights, tasks, strict=True)]
    error = math.sqrt(sum(parts))
    # Welch and Satterthwaite: a small task that carries the variance has few degrees of freedom.
    spread = sum(v**2 / max(t.clusters - 1, 1) for v, t in zip(parts, tasks, strict=True))
    df = sum(parts) ** 2 / spread if spread > 0 else math.inf
    items, clusters = sum(t.items for t in tasks), sum(t.clusters for t in tasks)
    unvaried = tuple(task.name for task in tasks if task.unvaried)
    only = tasks[0]
    value = float(by_seed.mean())
    if len(tasks) == 1 and only.counts is not None and tested:
        return _proportions(only, value, by_seed, error, scale)
    p = only.p_swap if len(tasks) == 1 else None
    method = SEEDS_AND_ITEMS if len(by_seed) > 1 else STUDENT if p is None else SWAPPED
    return finished(value, by_seed, error, items, clusters, scale, method, unvaried, p, tested, df)


def _proportions(
    task: Task, value: float, by_seed: np.ndarray, error: float, scale: str
) -> Estimate:
    """A difference of right answers of one seed; clusters divide the counts by their design
    effect."""
    assert task.counts is not None
    gained, lost, effect = task.counts
    n = task.items / effect
    own = gained / effect, lost / effect
    low, high = tango_interval(*own, n, 0.95)
    low90, high90 = tango_interval(*own, n, 0.90)
    p = mcnemar_p(gained, lost)
    if effect > 1 and gained + lost:
        p = max(p, two_sided_p(tango_z(*own, n, 0.0), 0, 1, 1.0))
    return Estimate(value, 100 * low, 100 * high, 100 * low90, 100 * high90, p, error, None, 1,
                    task.items, task.clusters, scale, TANGO, tuple(by_seed.tolist()),
                    (task.name,) if task.unvaried else ())  # fmt: skip


def finished(
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
        items: number.
        clusters: number.
        scale: unit.
        method: what interval and p are.
        unvaried: tasks on which no item differed.
        p: where another test gives it.
        tested: whether there is a difference to test.
        df_items: degrees of freedom of the error over items.
    """
    seeds = len(by_seed)
    finite = bool(np.isfinite(by_seed).all())
    sd = float(by_seed.std(ddof=1)) if seeds > 1 and finite else None
    if sd is not None and sd <= 1e-12 * max(1.0, abs(value)):
        sd = 0.0
    over_seeds, df = (sd or 0.0) / math.sqrt(seeds), max(seeds - 1, 1)
    widths: list[float | None] = [None, None]
    if finite:
        widths = [half_width(own, over_seeds, df, error, df_items) for own in (0.95, 0.90)]
    if widths[0] is None:  # the same on all items and seeds, a single seed without items, no number
        p = 1.0 if value == 0 and clusters > 1 else None
        method = NONE
    elif p is None:
        p = two_sided_p(value, over_seeds, df, error, df_items)
    ends = [None if w is None else (value - w, value + w) for w in widths]
    low, high = ends[0] or (None, None)
    low90, high90 = ends[1] or (None, None)
    return Estimate(value, low, high, low90, high90, p if tested else None, error, sd, seeds, items,
                    clusters, scale, method, tuple(by_seed.tolist()), unvaried,
                    df_items)  # fmt: skip
