"""How a quantity goes with the ratio of synthetic text: correlation and a permutation test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

EXACT = 2_000_000
"""Permutations that are enumerated; beyond these a fixed sample of as many is drawn."""

T_975 = [math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262]
"""The 97.5 % point of Student's t with so many degrees of freedom."""


@dataclass(frozen=True)
class Association:
    """Correlation of values with ratios.

    Attributes:
        r: Pearson correlation, mean over seeds.
        p: two-sided permutation p-value; ratios are exchanged within each seed only.
        exact: every permutation was enumerated.
    """

    r: float
    p: float
    exact: bool


def association(ratios: Sequence[float], values: Sequence[Sequence[float]]) -> Association:
    """Tests whether values rise or fall with the ratio, seeds as strata.

    The statistic is the sum over seeds of the correlation within a seed. Under the hypothesis that
    the ratio does not matter, the values of a seed could stand at its ratios in any order.

    Args:
        ratios: ``[n]``, at most 8 of them.
        values: ``[seeds][n]``.

    Returns:
        The correlation and its p-value; r is NaN where a seed's values are all equal.
    """
    x = _standard(np.asarray(ratios, float))
    rows = [_standard(np.asarray(row, float)) for row in values]
    observed = [float(x @ row) for row in rows]
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
    p = float((np.abs(null) >= abs(sum(observed)) - 1e-9).mean())
    return Association(float(np.mean(observed)), p, exact)


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
    spread = float(np.std(values, ddof=1)) / math.sqrt(n)
    return (T_975[n - 1] if n <= len(T_975) else 1.96) * spread
