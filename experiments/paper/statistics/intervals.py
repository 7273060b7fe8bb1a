"""95 % intervals of what is measured on documents."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from warnings import catch_warnings, filterwarnings

import numpy as np

DRAWS = 1000
SEED = 0
BLOCK = 50
"""Resamples computed together."""

LARGEST = 20_000
"""Documents resampled; of larger corpora so many are drawn once, which makes intervals wider than
they need be, never narrower."""

HALF = 1.959964
"""Standard errors on either side."""

Interval = dict[str, float | None]
Found = dict[str, tuple[Path, dict[str, Any]]]
"""Folder and record of each stage, by ``kind/name``."""


def around(value: float, error: float | None) -> Interval:
    """A value with 1.96 standard errors on either side; without them where none is known."""
    if not math.isfinite(value):
        return {"value": None, "low": None, "high": None}
    if error is None or not math.isfinite(error):
        return {"value": value, "low": None, "high": None}
    return {"value": value, "low": value - HALF * error, "high": value + HALF * error}


def bootstrap(
    statistic: Callable[..., Sequence[np.ndarray]],
    samples: Sequence[np.ndarray],
    paired: bool = False,
) -> list[Interval]:
    """Percentile intervals of statistics of documents.

    Args:
        statistic: takes the samples ``[draws, documents, ...]``, returns arrays ``[draws]``.
        samples: rows a document.
        paired: the samples hold the same documents in the same order and are resampled together.

    Returns:
        An interval a statistic: value over all documents, and ends over resamples. No ends where a
        sample is a single document, no value where a number is not finite.
    """
    rng = np.random.default_rng(SEED)
    values = [float(value[0]) for value in statistic(*(sample[None] for sample in samples))]
    kept = list(samples)
    if max(map(len, samples)) > LARGEST:
        orders = [rng.permutation(len(sample)) for sample in samples]
        if paired:
            orders = [orders[0]] * len(samples)
        kept = [sample[order[:LARGEST]] for sample, order in zip(samples, orders, strict=True)]
    if min(map(len, kept)) < 2:
        return [around(value, None) for value in values]
    centres = [float(value[0]) for value in statistic(*(sample[None] for sample in kept))]
    draws = []
    for start in range(0, DRAWS, BLOCK):
        size = min(BLOCK, DRAWS - start)
        picks = [rng.integers(0, len(sample), (size, len(sample))) for sample in kept]
        if paired:
            picks = [picks[0]] * len(kept)
        draws.append(statistic(*(s[pick] for s, pick in zip(kept, picks, strict=True))))
    return [
        _percentiles(value, np.concatenate(columns) + (value - centre))
        for value, centre, *columns in zip(values, centres, *draws, strict=True)
    ]


def _percentiles(value: float, draws: np.ndarray) -> Interval:
    known = draws[np.isfinite(draws)]
    if not len(known) or not math.isfinite(value):
        return around(value, None)
    low, high = np.quantile(known, [0.025, 0.975]).tolist()
    return {"value": value, "low": low, "high": high}


def exact_ends(share: Interval, documents: int) -> Interval:
    """A share of none or of all documents with the ends of the exact binomial interval (Clopper &
    Pearson), since resamples of documents that are all alike show no spread."""
    if share["low"] is None or share["low"] != share["high"] or share["value"] not in (0.0, 1.0):
        return share
    reach = 1 - 0.025 ** (1 / documents)
    if share["value"] == 0:
        return {**share, "high": reach}
    return {**share, "low": 1 - reach}


def minus(first: Interval, second: Interval) -> Interval:
    """Difference of two independent values, errors added in quadrature; no ends where one has
    none."""
    if first["value"] is None or second["value"] is None:
        return around(math.nan, None)
    halves = [
        None if v["high"] is None or v["value"] is None else v["high"] - v["value"]
        for v in (first, second)
    ]
    value = first["value"] - second["value"]
    if halves[0] is None or halves[1] is None:
        return around(value, None)
    return around(value, math.hypot(halves[0], halves[1]) / HALF)


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean of independent samples (Student)."""
    from experiments.paper.association import interval

    half = interval(values)
    mean = float(np.mean(values))
    ends = (None, None) if math.isnan(half) else (mean - half, mean + half)
    return {"value": mean, "low": ends[0], "high": ends[1]}


def difference_of_means(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Mean of ``first`` minus that of ``second`` (Welch)."""
    value = float(np.mean(first) - np.mean(second))
    if min(len(first), len(second)) < 2:
        return around(value, None)
    if max(np.ptp(first), np.ptp(second)) < 1e-9:
        return {"value": value, "low": value, "high": value}
    from scipy.stats import ttest_ind

    with catch_warnings():
        filterwarnings("ignore", "Precision loss")  # chunks that are all alike
        found = ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    return {"value": value, "low": float(found.low), "high": float(found.high)}
