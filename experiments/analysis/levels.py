"""Arms alone: their values with errors, means over seeds, and trends over synthetic text."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.analysis import f1
from experiments.analysis.combine import Task, estimate, finished
from experiments.analysis.compare import Arm, clustered, require_same_items
from experiments.analysis.estimate import PER_SEED, Estimate
from experiments.analysis.metrics import F1, PERPLEXITY, Metric
from experiments.analysis.observations import coarsest


def contrast(
    ratios: Sequence[float], values: Sequence[Sequence[float]], degree: int, scale: str
) -> Estimate:
    """The trend of values over the share of synthetic text, a polynomial fitted seed by seed.

    The mixtures of a seed share documents and initial weights, and shares vary unequally from seed
    to seed; one coefficient a seed is free of both, so Student's test over seeds holds.

    Args:
        ratios: shares ``[n]``, more than ``degree``.
        values: by seed and ratio ``[S][n]``, logarithms of perplexities.
        degree: 1 for the slope, 2 for the curvature (the coefficient of the square).
        scale: unit of a value.
    """
    found = np.array([np.polyfit(ratios, row, degree)[0] for row in values])
    name = ("slope", "curvature")[degree - 1]
    return over_seeds(found.tolist(), f"{name}, {scale}")


def over_seeds(values: Sequence[float], scale: str) -> Estimate:
    """A mean over seeds by Student's t, for what has no items.

    Args:
        values: by seed.
        scale: their unit.
    """
    by_seed = np.array(values, float)
    return finished(float(by_seed.mean()), by_seed, 0.0, 0, 0, scale, PER_SEED)


def level(tasks: Sequence[tuple[Arm, Metric]]) -> Estimate:
    """An arm alone: its value as it is shown, mean over seeds.

    Args:
        tasks: observations by seed and their metric; of several tasks the values are averaged.
    """
    own = [_level(arm, metric) for arm, metric in tasks]
    name = tasks[0][1].name
    scale = name if len(tasks) == 1 else f"average of {len(tasks)}, {name}"
    return estimate(own, scale, [1 / len(own)] * len(own), tested=False)


def geometric_level(arm: Sequence[tuple[Arm, Metric]]) -> Estimate:
    """The geometric mean of an arm's perplexities over domains, mean over seeds."""
    logs = np.mean([[m.compared(own.ratio) for own in part.values()] for part, m in arm], axis=0)
    errors = [_level(part, m) for part, m in arm]
    shown = np.exp(logs)
    # Relative errors of the parts are errors of their logarithms.
    relative = [task.se / float(task.by_seed.mean()) for task in errors]
    error = float(shown.mean()) * math.hypot(*relative) / len(errors)
    whole = Task("", shown, error, sum(t.items for t in errors), sum(t.clusters for t in errors))
    name = f"geometric mean of {len(errors)}, {arm[0][1].name}"
    return estimate([whole], name, [1.0], tested=False)


def _level(arm: Arm, metric: Metric) -> Task:
    seeds = list(arm.values())
    require_same_items(seeds, metric)
    first, clusters = seeds[0], coarsest(seeds)
    shown = np.array([metric.shown(metric.ratio(own)) for own in seeds])
    if metric.shape == F1:
        error = metric.factor * f1.error([own.answers for own in seeds], [], clusters)
        return Task(metric.task, shown, error, len(first.items), len(set(clusters)))
    influence = np.zeros(len(first.items))
    for own in seeds:
        slope = metric.shown(own.ratio) if metric.shape == PERPLEXITY else metric.shown(1.0)
        influence += slope * (own.above - own.ratio * own.below) / own.below.sum() / len(seeds)
    error, number = clustered(influence, clusters)
    return Task(metric.task, shown, error, len(first.items), number)
