"""Paired comparison of two arms: on the same items by the bootstrap, or seed by seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev
from typing import Any

import numpy as np

from evals import scoring
from experiments.paper.association import interval

RESAMPLES = 4000
BOOTSTRAP_SEED = 0
POWER_FACTOR = 1.959964 + 0.841621
"""Standard errors that a true difference must measure to be found at the two-sided 5 % level with
80 % power."""

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Difference:
    """How much one arm differs from another.

    Attributes:
        value: the difference of the statistic over all items.
        low: lower end of its 95 % interval (percentile bootstrap over items).
        high: upper end.
        detectable: the smallest true difference this many items would find with 80 % power. For a
            right-or-wrong metric the variance is that of the discordant share, which is taken to be
            at least 3 / n: arms that agree on all of n items may still differ on so many (the
            rule of three).
    """

    value: float
    low: float
    high: float
    detectable: float


@dataclass(frozen=True)
class SeedDifference:
    """How much one arm differs from another over seeds, on the same items.

    Attributes:
        value: the mean of the differences.
        low: lower end of its 95 % interval (Student, over seeds); None where all seeds differ by
            the same, as few right-or-wrong items make them, for they then say nothing of others.
        high: upper end.
        detectable: the smallest true difference that so many seeds of this spread would find with
            80 % power (:func:`detectable_spreads`); None where there is no spread.
        seeds: the differences themselves, in the order of the seeds.
    """

    value: float
    low: float | None
    high: float | None
    detectable: float | None
    seeds: list[float]


def difference_over_seeds(first: Sequence[float], second: Sequence[float]) -> SeedDifference:
    """The mean difference of two arms, each seed of one against the same seed of the other.

    Args:
        first: a value a seed, two or more.
        second: the other arm's, in the same order.

    Raises:
        ValueError: the arms have different numbers of seeds.
    """
    found = [a - b for a, b in zip(first, second, strict=True)]
    value = fmean(found)
    if math.isclose(min(found), max(found), rel_tol=1e-9, abs_tol=1e-12):
        return SeedDifference(value, None, None, None, found)
    half, least = interval(found), detectable_spreads(len(found)) * stdev(found)
    return SeedDifference(value, value - half, value + half, least, found)


def detectable_spreads(seeds: int) -> float:
    """Standard deviations of the differences that a true difference must measure to be found at the
    two-sided 5 % level with 80 % power.

    (t(0.975) + t(0.8)) / sqrt(n) with n - 1 degrees of freedom: the spread is known from the seeds
    alone. The power is in truth 73 % at two seeds, 77 % at three and 79 % from five on.

    Args:
        seeds: how many, at least 2.
    """
    from scipy.special import stdtrit  # scipy.stats takes seconds to import

    return float(sum(stdtrit(seeds - 1, [0.975, 0.8]))) / math.sqrt(seeds)


def column_mean(name: str) -> Callable[[Rows], np.ndarray]:
    """Numerator and denominator, per item, of the mean of a column."""
    return lambda rows: np.array([[row[name], 1.0] for row in rows])


def bits_per_byte(rows: Rows) -> np.ndarray:
    """Numerator and denominator, per document, of bits per byte."""
    return np.array([[row["nll"] / math.log(2), row["bytes"]] for row in rows])


def paired_difference(
    first: Rows, second: Rows, statistic: Callable[[Rows], np.ndarray]
) -> Difference:
    """The statistic of ``first`` minus that of ``second`` on the same items.

    Both arms see the same resampled items (Koehn, EMNLP 2004): what items have in common cancels.

    Args:
        first: rows of one arm, ``item`` among their fields.
        second: rows of the other arm on the same items.
        statistic: gives ``[n, 2]``; the statistic is the ratio of the column sums.

    Raises:
        ValueError: the arms were evaluated on different items.
    """
    _require_same_items(first, second)
    a, b = statistic(first), statistic(second)
    draws = resampled_ratio(a) - resampled_ratio(b)
    low, high = np.quantile(draws, [0.025, 0.975])
    value = float(_ratio(a.sum(axis=0)) - _ratio(b.sum(axis=0)))
    error = _discordance_error(a[:, 0], b[:, 0]) or float(draws.std(ddof=1))
    return Difference(value, float(low), float(high), POWER_FACTOR * error)


def resampled_ratio(parts: np.ndarray, seed: int = BOOTSTRAP_SEED) -> np.ndarray:
    """The ratio of two sums over resamples of items.

    Equal numbers of items are resampled equally under one seed, which pairs them.

    Args:
        parts: numerator and denominator by item, ``[n, 2]``.
        seed: of the resamples.

    Returns:
        ``[RESAMPLES]``.
    """
    n = len(parts)
    if n <= KEPT_ITEMS:
        return _ratio(_weights(n, seed) @ parts)
    rng = np.random.default_rng(seed)
    step = max(1, KEPT_ITEMS * RESAMPLES // (8 * n))
    sizes = [min(step, RESAMPLES - begun) for begun in range(0, RESAMPLES, step)]
    return np.concatenate([_ratio(_drawn(rng, n, size) @ parts) for size in sizes])


KEPT_ITEMS = 2000
"""Resamples of so many items are kept for the next comparison; of more they are drawn again."""


@lru_cache(maxsize=16)
def _weights(n: int, seed: int) -> np.ndarray:
    """How often each of n items is drawn, by resample ``[RESAMPLES, n]``."""
    return _drawn(np.random.default_rng(seed), n, RESAMPLES)


def _drawn(rng: np.random.Generator, n: int, resamples: int) -> np.ndarray:
    picks = rng.integers(0, n, (resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(picks.ravel(), minlength=resamples * n).reshape(resamples, n).astype(float)


def _ratio(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def f1_difference(first: Rows, second: Rows) -> Difference:
    """The same for F1, which is no mean over items (:func:`evals.scoring.f1_of`)."""
    _require_same_items(first, second)
    value, draws = scoring.resampled_f1(first, second, RESAMPLES, BOOTSTRAP_SEED)
    low, high = np.quantile(draws, [0.025, 0.975])
    error = max(float(draws.std(ddof=1)), least_error(len(first)))
    return Difference(value, float(low), float(high), POWER_FACTOR * error)


def mean_difference(
    firsts: Sequence[Rows], seconds: Sequence[Rows], metrics: Sequence[str]
) -> Difference:
    """The same for the plain average of metrics over tasks, resampled task by task."""
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    tasks = len(firsts)
    draws, value, variance = np.zeros(RESAMPLES), 0.0, 0.0
    for first, second, metric in zip(firsts, seconds, metrics, strict=True):
        _require_same_items(first, second)
        if metric in scoring.F1:
            difference, found = scoring.resampled_f1(first, second, RESAMPLES, BOOTSTRAP_SEED)
            draws += rng.choice(found, RESAMPLES) / tasks
            value += difference / tasks
            variance += max(float(found.std(ddof=1)), least_error(len(first))) ** 2 / tasks**2
            continue
        a, b = (np.array([row["value"] for row in rows], float) for rows in (first, second))
        delta = a - b
        n = len(delta)
        draws += delta[rng.integers(0, n, (RESAMPLES, n))].mean(axis=1) / tasks
        value += float(delta.mean()) / tasks
        error = _discordance_error(a, b) or float(delta.std(ddof=1)) / math.sqrt(n)
        variance += (error / tasks) ** 2
    low, high = np.quantile(draws, [0.025, 0.975])
    return Difference(value, float(low), float(high), POWER_FACTOR * math.sqrt(variance))


def _require_same_items(first: Rows, second: Rows) -> None:
    if [row["item"] for row in first] != [row["item"] for row in second]:
        raise ValueError("the arms were evaluated on different items")


def _discordance_error(first: np.ndarray, second: np.ndarray) -> float | None:
    """Standard error of a difference of right-or-wrong metrics; None for other metrics."""
    if not np.isin([first, second], (0.0, 1.0)).all():
        return None
    n = len(first)
    return max(math.sqrt(float(np.abs(first - second).mean()) / n), least_error(n))


def least_error(items: int) -> float:
    """Standard error of a right-or-wrong metric where all items agree, by the rule of three."""
    return math.sqrt(min(1.0, 3 / items) / items)
