"""Correction for many tests."""

from __future__ import annotations

from collections.abc import Sequence


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
