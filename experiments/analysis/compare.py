"""Estimates: a value with its interval and p value, one method for every kind of number.

``compare`` is the difference of two arms on one task, ``aggregate`` the average of differences
over tasks. Arms are paired by seed and by item. Errors over items are clustered and linearised;
with several seeds the variance of seeds is added (:mod:`experiments.analysis.distributions`).
Where an item is right or wrong and there is one seed, Tango's interval and McNemar's exact test.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.analysis import f1
from experiments.analysis.combine import Task, estimate, least_error
from experiments.analysis.estimate import Estimate
from experiments.analysis.metrics import F1, PERPLEXITY, Metric, is_binary
from experiments.analysis.observations import Observations, cluster_numbers, coarsest
from toedit.errors import UserError

Arm = Mapping[int | None, Observations]
"""A task by seed; the only key is None where no seed changes the model."""


class DifferentItems(UserError, ValueError):
    """Two arms, or two seeds of one, saw different items."""


def compare(first: Arm, second: Arm, metric: Metric) -> Estimate:
    """The first arm minus the second on one task, paired by seed and item.

    Args:
        first: observations by seed.
        second: the same; an arm that no seed changes stands beside every seed of the other.
        metric: what they are of, and on which scale they are compared.

    Raises:
        DifferentItems: they saw different items.
        ValueError: they share no seed.
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
    if not pairs:
        raise ValueError(f"no seed in common: {sorted(first)} and {sorted(second)}")  # type: ignore[type-var]
    observed = [own for pair in pairs for own in pair]
    require_same_items(observed, metric)
    a0, named = pairs[0][0], coarsest(observed)
    by_seed = _by_seed(pairs, metric)
    if metric.shape == F1:
        return _f1_task(pairs, metric, by_seed, named)
    influence = np.zeros(len(a0.items))
    if not np.isfinite(by_seed).all():
        return Task(metric.task, by_seed, 0.0, len(a0.items), len(set(named)))
    for a, b in pairs:
        influence += (_influence(a, metric) - _influence(b, metric)) / len(pairs)
    error, clusters = clustered(influence, named)
    unvaried, counts = False, None
    if metric.is_score:  # in [0, 1]: agreement on these items is not agreement on all
        unvaried = all(np.array_equal(a.above, b.above) for a, b in pairs)
        if is_binary(metric) and len(pairs) == 1:
            (a, b), n = pairs[0], len(a0.items)
            gained, lost = int((a.above > b.above).sum()), int((a.above < b.above).sum())
            alone = clustered(influence, a0.items)[0]
            known = alone > 0 and clusters > 1
            counts = (gained, lost, max(1.0, (error / alone) ** 2) if known else n / clusters)
        error = max(error, metric.factor * least_error(clusters))
    return Task(metric.task, by_seed, error, len(a0.items), clusters, unvaried, counts)


def require_same_items(observed: Sequence[Observations], metric: Metric) -> None:
    """Raises :class:`DifferentItems` where observations are not of the same items."""
    if any(own.items != observed[0].items for own in observed):
        raise DifferentItems(f"{metric.task}: the arms saw different items")


def paired(first: Arm, second: Arm) -> list[tuple[Observations, Observations]]:
    """Observations of the seeds that both arms have; an arm without any stands beside every seed
    of the other."""
    if None in first or None in second:
        return [(a, b) for a in first.values() for b in second.values()]
    return [(own, second[seed]) for seed, own in first.items() if seed in second]


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


def _by_seed(pairs: list[tuple[Observations, Observations]], metric: Metric) -> np.ndarray:
    own = np.array([[metric.compared(metric.ratio(side)) for side in pair] for pair in pairs])
    with np.errstate(invalid="ignore"):  # the logarithm of a share of 0
        return own[:, 0] - own[:, 1]


def _f1_task(
    pairs: list[tuple[Observations, Observations]], metric: Metric, by_seed: np.ndarray,
    clusters: Sequence[str],
) -> Task:  # fmt: skip
    firsts, seconds = ([own[side].answers for own in pairs] for side in (0, 1))
    n, number = len(pairs[0][0].items), len(set(clusters))
    error = metric.factor * f1.error(firsts, seconds, clusters)
    p = None
    if len(pairs) == 1:
        p = f1.swap_p(firsts[0], seconds[0], clusters)
    same = all(
        np.array_equal(a, b)
        for a, b in zip(firsts, seconds, strict=True)
        if a is not None and b is not None
    )
    error = max(error, metric.factor * least_error(number))
    return Task(metric.task, by_seed, error, n, number, same, p_swap=p)
