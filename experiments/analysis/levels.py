"""Estimates of single arms: values with errors, means over seeds, and trends over mixtures."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.analysis import f1
from experiments.analysis.combine import Task, estimate, from_seeds
from experiments.analysis.compare import Arm, clustered, require_same_items
from experiments.analysis.estimate import PER_SEED, Estimate
from experiments.analysis.metrics import F1, PERPLEXITY, Metric
from experiments.analysis.observations import coarsest


def contrast(
    ratios: Sequence[float], values: Sequence[Sequence[float]], degree: int, scale: str
) -> Estimate:
    """The trend of values over the share of synthetic text, a polynomial fitted seed by seed.

    The mixtures of a seed share documents and initial weights, and shares vary unequally from seed
    to seed; one coefficient per seed is free of both, so Student's test over seeds holds.

    Args:
        ratios: shares ``[n]``, more than ``degree``.
        values: by seed and ratio ``[S][n]``, logarithms of perplexities.
        degree: 1 for the slope, 2 for the curvature (the coefficient of the square).
        scale: unit of a value.
    """
    coefficients = np.array([np.polyfit(ratios, row, degree)[0] for row in values])
    name = ("slope", "curvature")[degree - 1]
    return over_seeds(coefficients.tolist(), f"{name}, {scale}")


def over_seeds(values: Sequence[float], scale: str) -> Estimate:
    """Mean over seeds by Student's t, for values ``[S]`` without items; ``scale`` is their unit."""
    by_seed = np.array(values, float)
    return from_seeds(float(by_seed.mean()), by_seed, 0.0, 0, 0, scale, PER_SEED)


def level(tasks: Sequence[tuple[Arm, Metric]]) -> Estimate:
    """Value of an arm in the unit of its metric, mean over seeds and over tasks."""
    levels = [_level(arm, metric) for arm, metric in tasks]
    name = tasks[0][1].name
    scale = name if len(tasks) == 1 else f"average of {len(tasks)}, {name}"
    return estimate(levels, scale, [1 / len(tasks)] * len(tasks), tested=False)


def geometric_level(tasks: Sequence[tuple[Arm, Metric]]) -> Estimate:
    """The geometric mean of an arm's perplexities over domains, mean over seeds."""
    logs = [[metric.compared(obs.ratio) for obs in arm.values()] for arm, metric in tasks]
    by_seed = np.exp(np.mean(logs, axis=0))
    parts = [_level(arm, metric) for arm, metric in tasks]
    # Relative errors of the parts are errors of their logarithms.
    relative = [part.se / float(part.by_seed.mean()) for part in parts]
    error = float(by_seed.mean()) * math.hypot(*relative) / len(parts)
    mean = Task("", by_seed, error, sum(p.items for p in parts), sum(p.clusters for p in parts))
    name = f"geometric mean of {len(parts)}, {tasks[0][1].name}"
    return estimate([mean], name, [1.0], tested=False)


def _level(arm: Arm, metric: Metric) -> Task:
    observations = list(arm.values())
    require_same_items(observations, metric)
    items, clusters = len(observations[0].items), coarsest(observations)
    by_seed = np.array([metric.displayed(metric.ratio(obs)) for obs in observations])
    if metric.shape == F1:
        error = metric.factor * f1.error([obs.answers for obs in observations], [], clusters)
        return Task(metric.task, by_seed, error, items, len(set(clusters)))
    influence = np.zeros(items)
    for obs in observations:
        # The derivative of exp(x) is exp(x), that of a multiple of x its factor.
        slope = metric.displayed(obs.ratio if metric.shape == PERPLEXITY else 1.0)
        influence += obs.influence(slope) / len(observations)
    error, number = clustered(influence, clusters)
    return Task(metric.task, by_seed, error, items, number)
