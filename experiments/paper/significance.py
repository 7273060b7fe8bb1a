"""p values of paired comparisons, and their correction for many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact p value of McNemar's test.

    Items that only one of two arms answers right are a fair coin where the arms are equally good.

    Args:
        gained: items that the first arm alone answers right.
        lost: items that the second alone does.

    Returns:
        Twice the smaller tail of a binomial with p = 1/2, at most 1; 1 where no item differs.
    """
    n, least = gained + lost, min(gained, lost)
    if n == 0:
        return 1.0
    if n > 1000:  # the exact sum of huge integers is slow, and no longer differs visibly
        return normal((abs(gained - lost) - 1) / math.sqrt(n)) if gained != lost else 1.0
    tail = sum(math.comb(n, k) for k in range(least + 1))
    return min(1.0, 2 * tail / 2**n)


def normal(z: float) -> float:
    """Two-sided p value of a standard normal deviate."""
    return math.erfc(abs(z) / math.sqrt(2))


def student(values: Sequence[float]) -> float:
    """Two-sided p value of the hypothesis that values have mean zero (one-sample t test).

    Args:
        values: two or more.

    Returns:
        1 where all are zero, 0 where all are one other number.
    """
    from scipy.special import stdtr

    n, mean = len(values), math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    if math.isclose(spread, 0.0, abs_tol=1e-12 * max(1.0, abs(mean))):
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(mean) / (spread / math.sqrt(n))))


def holm(values: Sequence[float]) -> list[float]:
    """p values corrected for their number, so that 5 % bounds the chance of any false finding.

    Holm (1979): the i-th smallest of m is multiplied by m - i + 1, never below the one before it.

    Args:
        values: p values, in any order.

    Returns:
        Corrected ones in the same order, at most 1.
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    found, least = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(values) - rank) * values[place]))
        found[place] = least
    return found
