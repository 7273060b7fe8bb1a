"""Compare two arms: estimates of differences on one task or averaged over tasks.

Arms are paired by seed and by item. Errors over items are clustered and linearised; with several
seeds the variance of seeds is added (:mod:`experiments.analysis.distributions`). Where an item is
right or wrong and there is one seed, Tango's interval and McNemar's exact test apply.
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

Pairs = list[tuple[Observations, Observations]]


class DifferentItems(UserError, ValueError):
    """Two arms, or two seeds of one, saw different items."""


def compare(first: Arm, second: Arm, metric: Metric) -> Estimate:
    """The first arm minus the second on one task, paired by seed and item.

    Args:
        first: observations by seed.
        second: the same; an arm that no seed changes is paired with every seed of the other.
        metric: of the observations; it defines the scale of the difference.

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

    ``above`` are the numerators and ``below`` the denominators of the items ``[n]``.
    """
    ratio = above.sum() / below.sum()
    return clustered((above - ratio * below) / below.sum(), clusters)[0]


def _task(first: Arm, second: Arm, metric: Metric) -> Task:
    pairs = paired(first, second)
    if not pairs:
        raise ValueError(f"no seed in common: {sorted(first)} and {sorted(second)}")  # type: ignore[type-var]
    observations = [obs for pair in pairs for obs in pair]
    require_same_items(observations, metric)
    items, clusters = pairs[0][0].items, coarsest(observations)
    values = np.array([[metric.compared(metric.ratio(obs)) for obs in pair] for pair in pairs])
    with np.errstate(invalid="ignore"):  # the logarithm of a share of 0
        by_seed = values[:, 0] - values[:, 1]
    if metric.shape == F1:
        return _f1_task(pairs, metric, by_seed, clusters)
    if not np.isfinite(by_seed).all():
        return Task(metric.task, by_seed, 0.0, len(items), len(set(clusters)))
    influence = np.zeros(len(items))
    for a, b in pairs:
        difference = a.influence(_slope(a, metric)) - b.influence(_slope(b, metric))
        influence += difference / len(pairs)
    error, number = clustered(influence, clusters)
    unvaried, counts = False, None
    if metric.is_score:  # in [0, 1]: agreement on these items is not agreement on all
        unvaried = all(np.array_equal(a.above, b.above) for a, b in pairs)
        if is_binary(metric) and len(pairs) == 1:
            a, b = pairs[0]
            gained, lost = int((a.above > b.above).sum()), int((a.above < b.above).sum())
            unclustered = clustered(influence, items)[0]
            effect = len(items) / number
            if unclustered > 0 and number > 1:
                effect = max(1.0, (error / unclustered) ** 2)
            counts = gained, lost, effect
        error = max(error, metric.factor * least_error(number))
    return Task(metric.task, by_seed, error, len(items), number, unvaried, counts)


def require_same_items(observations: Sequence[Observations], metric: Metric) -> None:
    """Raise :class:`DifferentItems` where observations are not of the same items."""
    if any(obs.items != observations[0].items for obs in observations):
        raise DifferentItems(f"{metric.task}: the arms saw different items")


def paired(first: Arm, second: Arm) -> Pairs:
    """Observations of the seeds that both arms have; an arm without seeds is paired with every
    seed of the other."""
    if None in first or None in second:
        return [(a, b) for a in first.values() for b in second.values()]
    return [(a, second[seed]) for seed, a in first.items() if seed in second]


def _slope(observations: Observations, metric: Metric) -> float:
    """Derivative of the value on the scale of comparisons by the ratio of sums."""
    if not metric.is_log_ratio:
        return metric.factor
    return 1.0 if metric.shape == PERPLEXITY else 1 / max(observations.ratio, 1e-300)


def clustered(influence: np.ndarray, clusters: Sequence[str]) -> tuple[float, int]:
    """Standard error of a sum of contributions by item, and the number of clusters.

    With equal weights and one item per cluster it is s / sqrt(n); else that of an intercept with
    clustered covariance, as statsmodels computes it.
    """
    codes, number = cluster_numbers(clusters)
    if number < 2:
        return 0.0, number
    sums = np.bincount(codes, influence, number)
    return math.sqrt(number / (number - 1) * float(sums @ sums)), number


def _f1_task(pairs: Pairs, metric: Metric, by_seed: np.ndarray, clusters: Sequence[str]) -> Task:
    firsts, seconds = ([pair[side].answers for pair in pairs] for side in (0, 1))
    number = len(set(clusters))
    error = metric.factor * max(f1.error(firsts, seconds, clusters), least_error(number))
    p_swap = f1.swap_p(firsts[0], seconds[0], clusters) if len(pairs) == 1 else None
    same = all(
        np.array_equal(a, b)
        for a, b in zip(firsts, seconds, strict=True)
        if a is not None and b is not None
    )
    return Task(metric.task, by_seed, error, len(pairs[0][0].items), number, same, p_swap=p_swap)
