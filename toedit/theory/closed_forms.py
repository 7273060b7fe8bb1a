"""Closed forms of the test error, and the values of the paper's two theorems."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from toedit.errors import UserError
from toedit.theory.procedure import Schedule, noise_quantile, require_size


def collapsed(generations: int) -> np.ndarray:
    """Error if all labels are replaced, exact for T >= d + 2: the number of fits, 1, 2, 3, …"""
    return np.arange(1.0, generations + 1)


def accumulated(generations: int) -> np.ndarray:
    """Error if labels of all generations accumulate, exact for T >= d + 2: the sum of 1/i^2."""
    return np.cumsum(1.0 / np.arange(1.0, generations + 1) ** 2)


def one_edit(fraction: float, rows: int, features: int) -> float:
    """Error after one edit of a fixed number ``f T`` of rows, exact for T >= d + 2.

    ``1 + f + f(1-f) T(T-d) / ((T-1)(T+2))``, which is at most 2 and tends to ``1 + 2f - f^2``.

    Raises:
        UserError: T < d + 2, or a fraction outside 0..1.
    """
    require_size(rows, features)
    f = Schedule("fixed", fraction).fraction
    return 1 + f + f * (1 - f) * rows * (rows - features) / ((rows - 1) * (rows + 2))


def disjoint_limit(fractions: Sequence[float]) -> float:
    """Error after disjoint edits as d/T -> 0: less than ``2 exp(s) - 1`` with ``s = sum f <= 1``.

    ``2 prod(1+f_i) - 1 - sum_k f_k^2 prod_{j>k} (1+f_j)^2``.
    """
    factors = [1 + f for f in fractions]
    later = [math.prod(factors[k + 1 :]) ** 2 for k in range(len(factors))]
    reduction = sum(f * f * rest for f, rest in zip(fractions, later, strict=True))
    return 2 * math.prod(factors) - 1 - reduction


def random_limit(fractions: Sequence[float]) -> float:
    """Error after independent random edits, d/T -> 0, and a bound on it for every T >= d + 2.

    ``1 + sum f(2-f)``: unbounded for a constant share.
    """
    return 1 + sum(f * (2 - f) for f in fractions)


def geometric_limit(fraction: float, decay: float) -> float:
    """Limit of :func:`random_limit` if shares decay: ``1 + 2f/(1-r) - f^2/(1-r^2)``.

    Raises:
        UserError: the decay r is not in [0, 1).
    """
    _require_decay(decay)
    return 1 + 2 * fraction / (1 - decay) - fraction**2 / (1 - decay**2)


def fixed_limit(fraction: float, edits: int) -> float:
    """Error after repeated edits of the same rows, d/T -> 0; tends to ``(1+2f)/(1-f^2)``."""
    error, shared = 1.0, 1 - fraction
    for _ in range(edits):
        error = fraction**2 * error + 1 + 2 * fraction * shared
        shared = fraction * shared + 1 - fraction
    return error


def original_limit(fraction: float, edits: int) -> float:
    """Error after random edits of original labels, d/T -> 0; tends to ``1 + f(2-f)/(1-f^2)``."""
    error = 1.0
    for _ in range(edits):
        error = fraction**2 * error + 1 + 2 * fraction * (1 - fraction)
    return error


def residual_limit(fraction: float) -> float:
    """Error after one edit of the rows of small residual, d/T -> 0: ``1 + f + k(1-k)``.

    ``k = E[e^2; |e| < q]`` for a standard normal ``e`` with ``P(|e| < q) = f``.
    """
    if fraction == 1:
        return 2.0
    q = noise_quantile(fraction)
    k = fraction - 2 * q * NormalDist().pdf(q)
    return 1 + fraction + k * (1 - k)


def theorem_1(fractions: Sequence[float]) -> float:
    """Error by Theorem 1 of the paper for disjoint masks, ``1 + sum f``.

    It is correct only for masks of all rows or of none.
    """
    return 1 + sum(fractions)


THEOREM_2 = 2.0
"""The paper's bound on every generation (Theorem 2, T >= d + 2)."""

SUPREMUM = 2 * math.e - 1
"""Correct least upper bound for disjoint edits as d/T -> 0, cf. :data:`THEOREM_2`."""


def geometric_bound(rows: int, features: int, fraction: float, decay: float) -> float:
    """The paper's bound for shrinking masks, ``|M_i| = eta |M_{i-1}|`` in the Frobenius norm.

    ``1 + (T-d-1)/d sqrt(E tr (X'X)^-2) sqrt(f T) / (1 - eta)`` with ``eta^2 = decay``, and
    ``E tr (X'X)^-2 = d(T-1) / ((T-d)(T-d-1)(T-d-3))``.

    Raises:
        UserError: T < d + 4, for which that expectation is infinite, or a decay not in [0, 1).
    """
    require_size(rows, features, 4, "the geometric bound")
    _require_decay(decay)
    freedom = rows - features
    second = features * (rows - 1) / (freedom * (freedom - 1) * (freedom - 3))
    root = math.sqrt(second * fraction * rows)
    return 1 + (freedom - 1) / features * root / (1 - math.sqrt(decay))


def _require_decay(decay: float) -> None:
    if not 0 <= decay < 1:
        raise UserError(f"decay={decay} must lie in 0..1, without 1")
