"""p values of paired comparisons, and their correction for many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np


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


EXACT = 16
"""Differing items up to which all exchanges are counted; of more, so many are drawn:"""
DRAWS, WHOLE = 10_000, 3_000
"""Exchanges that are drawn, and items up to which they are; of more the normal limit is taken."""


def exchanged(changes: np.ndarray) -> float:
    """Two-sided p value of a sum of paired differences, by exchanging the two of each item.

    Where neither arm is better, an item's difference is as likely to have the other sign. Exact for
    few items that differ, else by a fixed sample of exchanges, each with the one that happened.

    Args:
        changes: differences by item ``[n]``.
    """
    own = changes[changes != 0]
    if len(own) == 0:
        return 1.0
    observed = abs(float(own.sum())) * (1 - 1e-9)
    if len(own) <= EXACT:
        signs = 1 - 2 * (np.arange(2 ** len(own))[:, None] >> np.arange(len(own)) & 1)
        return float((np.abs(signs @ own) >= observed).mean())
    if len(own) > WHOLE:
        return normal(float(own.sum()) / math.sqrt(float(own @ own)))
    found = np.abs(_signs(len(own)) @ own) >= observed
    return (1 + int(found.sum())) / (1 + DRAWS)


@lru_cache(maxsize=8)
def _signs(items: int) -> np.ndarray:
    """Exchanges, -1 or 1 ``[DRAWS, items]``."""
    drawn = np.random.default_rng(items).integers(0, 2, (DRAWS, items), dtype=np.int8)
    return (2 * drawn - 1).astype(np.float32)


def items_and_seeds(changes: Sequence[float], error: float) -> float:
    """Two-sided p value of a mean over seeds, for other items and other seeds.

    The variances of items and of seeds are added, and the degrees of freedom are Satterthwaite's
    with those of the items taken for infinite.

    Args:
        changes: differences by seed, two or more.
        error: standard error of their mean over items.
    """
    from scipy.special import stdtr

    n, mean = len(changes), math.fsum(changes) / len(changes)
    over_seeds = math.fsum((change - mean) ** 2 for change in changes) / (n - 1) / n
    total = over_seeds + error**2
    if total == 0:
        return 1.0
    if over_seeds < 1e-12 * total:
        return normal(mean / math.sqrt(total))
    freedom = (n - 1) * (total / over_seeds) ** 2
    return float(2 * stdtr(freedom, -abs(mean) / math.sqrt(total)))


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
