"""How a quantity goes with the ratio of synthetic text: correlation and a permutation test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

EXACT = 2_000_000
"""Permutations that are enumerated; beyond these a fixed sample of as many is drawn."""

MOST_RATIOS = 8
"""Ratios whose orders are enumerated."""


@dataclass(frozen=True)
class Association:
    """Correlation of values with ratios.

    Attributes:
        r: Pearson correlation, mean over seeds; NaN where the values of a seed are all equal.
        p: two-sided permutation value with seeds as strata: ratios are exchanged within each seed,
            as if seeds were independent; NaN where r is.
        p_joint: the same with one exchange for all seeds, which holds whatever seeds share, and
            cannot fall below 2 / n!.
        exact: every permutation within seeds was enumerated.
    """

    r: float
    p: float
    p_joint: float
    exact: bool


def association(ratios: Sequence[float], values: Sequence[Sequence[float]]) -> Association:
    """Tests whether values rise or fall with the ratio, seeds as strata.

    The statistic is the sum over seeds of the correlation within a seed. Under the hypothesis that
    the ratio does not matter, the values of a seed could stand at its ratios in any order.

    Args:
        ratios: ``[n]``, at most :data:`MOST_RATIOS`.
        values: ``[seeds][n]``.

    Returns:
        The correlation and its p-value; r is NaN where a seed's values are all equal.
    """
    if len(ratios) > MOST_RATIOS:
        raise ValueError(
            f"{len(ratios)} ratios are more than the {MOST_RATIOS} that are enumerated"
        )
    x = _standard(np.asarray(ratios, float))
    rows = [_standard(np.asarray(row, float)) for row in values]
    observed = [float(x @ row) for row in rows]
    if any(math.isnan(value) for value in observed):
        return Association(math.nan, math.nan, math.nan, True)
    orders = np.array(list(permutations(range(len(x)))))
    single = [x[orders] @ row for row in rows]
    exact = math.prod(len(s) for s in single) <= EXACT
    if exact:
        null = np.zeros(1)
        for s in single:
            null = (null[:, None] + s[None, :]).ravel()
    else:
        rng = np.random.default_rng(0)
        null = np.sum([rng.choice(s, EXACT) for s in single], axis=0)
    p, joint = (_tail(n, sum(observed)) for n in (null, np.sum(single, axis=0)))
    if not exact:  # the observed order is one more draw
        p = (p * EXACT + 1) / (EXACT + 1)
    return Association(float(np.mean(observed)), p, joint, exact)


def _tail(null: np.ndarray, observed: float) -> float:
    return float((np.abs(null) >= abs(observed) - 1e-9).mean())


def _standard(values: np.ndarray) -> np.ndarray:
    """Values with mean 0 and norm 1, so that a product of two is their correlation."""
    centred = values - values.mean()
    with np.errstate(invalid="ignore"):
        return centred / np.linalg.norm(centred)


def interval(values: Sequence[float]) -> float:
    """Half the width of the 95 % interval of a mean over seeds (Student); NaN for one seed."""
    n = len(values)
    if n < 2:
        return math.nan
    from scipy.stats import t

    return float(t.ppf(0.975, n - 1) * np.std(values, ddof=1)) / math.sqrt(n)
