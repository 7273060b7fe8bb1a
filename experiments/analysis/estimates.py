"""Estimates: a value with its interval and p value, one method for every kind of number.

``compare`` is the difference of two arms on one task, ``aggregate`` the average of differences
over tasks. Arms are paired by seed and by item. Errors over items are clustered and linearised;
with several seeds the variance of seeds is added (:mod:`experiments.analysis.distributions`).
Where an item is right or wrong and there is one seed, Tango's interval and McNemar's exact test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.analysis import f1
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
    TANGO,
    Estimate,
)
from experiments.analysis.metrics import F1, PERPLEXITY, Metric, is_binary
from experiments.analysis.observations import Observations, cluster_numbers

Arm = Mapping[int | None, Observations]
"""A task by seed; the only key is None where no seed changes the model."""


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


def compare(first: Arm, second: Arm, metric: Metric) -> Estimate:
    """The first arm minus the second on one task, paired by seed and item.

    Args:
        first: observations by seed.
        second: the same; an arm that no seed changes stands beside every seed of the other.
        metric: what they are of, and on which scale they are compared.

    Raises:
        ValueError: they share no seed, or saw different items.
    """
    return estimate([_task(first, second, metric)], metric.scale, [1.0])


def aggregate(
    tasks: Sequence[tuple[Arm, Arm, Metric]], weights: Sequence[float] | None = None
) -> Estimate:
    """The average over tasks of the first arm minus the second.

    Items are a sample of each task, so errors over items are those of the tasks, stratified; seeds
    are averaged over tasks first. Of perplexities it is the logarithm of the ratio of their
    geometric means.

    Args:
        tasks: both arms and the metric of each task.
        weights: of the tasks; None for equal ones.

    Raises:
        ValueError: as :func:`compare`, or tasks of different scales.
    """
    shares = [1 / len(tasks)] * len(tasks) if weights is None else list(weights)
    scales = {metric.scale for _, _, metric in tasks}
    if len(scales) > 1:
        raise ValueError(f"tasks of different scales have no average: {sorted(scales)}")
    return estimate([_task(*task) for task in tasks], scales.pop(), shares)


def ratio_error(above: np.ndarray, below: np.ndarray, clusters: Sequence[str]) -> float:
    """Clustered standard error of a ratio of sums, linearised; 0 for a single cluster.

    Args:
        above: numerators ``[n]``.
        below: denominators ``[n]``.
        clusters: of the items.
    """
    ratio = above.sum() / below.sum()
    return clustered((above - ratio * below) / below.sum(), clusters)[0]


def _task(first: Arm, second: Arm, metric: Metric) -> Task:
    pairs = paired(first, second)
    for a, b in pairs:
        if a.items != pairs[0][0].items or b.items != pairs[0][0].items:
            raise ValueError(f"{metric.task}: the arms saw different items")
    a0 = pairs[0][0]
    if metric.shape == F1:
        return _f1_task(pairs, metric)
    by_seed = np.array([metric.compared(a.ratio) - metric.compared(b.ratio) for a, b in pairs])
    influence = np.zeros(len(a0.items))
    for a, b in pairs:
        influence += (_influence(a, metric) - _influence(b, metric)) / len(pairs)
    error, clusters = clustered(influence, a0.clusters)
    unvaried, counts = False, None
    if is_binary(metric):
        unvaried = all(np.array_equal(a.above, b.above) for a, b in pairs)
        if len(pairs) == 1:
            (a, b), n = pairs[0], len(a0.items)
            gained, lost = int((a.above > b.above).sum()), int((a.above < b.above).sum())
            alone = clustered(influence, a0.items)[0]
            effect = max(1.0, (error / alone) ** 2) if alone > 0 else n / clusters
            counts = (gained, lost, effect)
        error = max(error, metric.factor * least_error(len(a0.items)))
    return Task(metric.task, by_seed, error, len(a0.items), clusters, unvaried, counts)


def least_error(items: int) -> float:
    """Standard error of a difference of shares where no item differs: variance 3 / n²."""
    return math.sqrt(3) / items


def paired(first: Arm, second: Arm) -> list[tuple[Observations, Observations]]:
    """Observations seed by seed.

    Raises:
        ValueError: the arms share no seed.
    """
    if None in first or None in second:
        found = [(a, b) for a in first.values() for b in second.values()]
    else:
        found = [(own, second[seed]) for seed, own in first.items() if seed in second]
    if not found:
        raise ValueError(f"no seed in common: {sorted(first)} and {sorted(second)}")  # type: ignore[type-var]
    return found


def _influence(own: Observations, metric: Metric) -> np.ndarray:
    """What each item adds to the linearised value on the scale of comparisons."""
    slope = metric.factor
    if metric.is_log_ratio:
        slope = 1.0 if metric.shape == PERPLEXITY else 1 / max(own.ratio, 1e-300)
    return slope * (own.above - own.ratio * own.below) / own.below.sum()


def clustered(influence: np.ndarray, clusters: Sequence[str]) -> tuple[float, int]:
    """Standard error of a sum of contributions by item, and the number of clusters.

    With equal weights and one item a cluster it is s / sqrt(n); else that of an intercept with
    clustered covariance, as statsmodels computes it.
    """
    codes, number = cluster_numbers(clusters)
    if number < 2:
        return 0.0, number
    sums = np.bincount(codes, influence, number)
    return math.sqrt(number / (number - 1) * float(sums @ sums)), number


def _f1_task(pairs: list[tuple[Observations, Observations]], metric: Metric) -> Task:
    firsts, seconds = ([own[side].answers for own in pairs] for side in (0, 1))
    by_seed = np.array([metric.shown(a.f1()) - metric.shown(b.f1()) for a, b in pairs])
    clusters, n = pairs[0][0].clusters, len(pairs[0][0].items)
    error = metric.factor * f1.error(firsts, seconds, clusters)
    p = None
    if len(pairs) == 1:
        p = f1.swap_p(firsts[0], seconds[0], clusters)
    same = all(
        np.array_equal(a, b)
        for a, b in zip(firsts, seconds, strict=True)
        if a is not None and b is not None
    )
    error = max(error, metric.factor * least_error(n))
    return Task(metric.task, by_seed, error, n, len(set(clusters)), same, p_swap=p)


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
    by_seed = np.sum([w * task.by_seed for w, task in zip(weights, tasks, strict=True)], axis=0)
    error = math.sqrt(sum((w * task.se) ** 2 for w, task in zip(weights, tasks, strict=True)))
    items, clusters = sum(t.items for t in tasks), sum(t.clusters for t in tasks)
    unvaried = tuple(task.name for task in tasks if task.unvaried)
    only = tasks[0]
    value = float(by_seed.mean())
    if len(tasks) == 1 and only.counts is not None and tested:
        return _proportions(only, value, by_seed, error, scale)
    method = SEEDS_AND_ITEMS if len(by_seed) > 1 else STUDENT
    p = only.p_swap if len(tasks) == 1 else None
    return finished(value, by_seed, error, items, clusters, scale, method, unvaried, p, tested)


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
    """
    seeds = len(by_seed)
    sd = float(by_seed.std(ddof=1)) if seeds > 1 else None
    if sd is not None and sd <= 1e-12 * max(1.0, abs(value)):
        sd = 0.0
    over_seeds, df = (sd or 0.0) / math.sqrt(seeds), max(seeds - 1, 1)
    df_items = clusters - 1 if clusters > 1 else math.inf
    widths = [half_width(own, over_seeds, df, error, df_items) for own in (0.95, 0.90)]
    if widths[0] is None:  # the same on all items and seeds, or a single seed without items
        p = 1.0 if value == 0 and clusters > 1 else None
        method = NONE
    elif p is None:
        p = two_sided_p(value, over_seeds, df, error, df_items)
    ends = [None if w is None else (value - w, value + w) for w in widths]
    low, high = ends[0] or (None, None)
    low90, high90 = ends[1] or (None, None)
    return Estimate(value, low, high, low90, high90, p if tested else None, error, sd, seeds, items,
                    clusters, scale, method, tuple(by_seed.tolist()), unvaried)  # fmt: skip
