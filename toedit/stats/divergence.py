"""Jensen–Shannon distance and entropy of n-gram counts, with bootstrap standard errors.

The Jensen–Shannon distance is the square root of the divergence with logarithms to base 2: a
metric, 0 for equal distributions and 1 for disjoint ones. Two samples of one corpus also have a
positive distance, which grows as they get smaller. Compare distances at equal sizes only, with the
distance between two samples of the human corpus.
"""

from collections.abc import Callable

import numpy as np

DRAWS = 1000
SEED = 0
BLOCK = 50
"""Bootstrap draws computed at once."""


def js_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute the Jensen–Shannon distance of two arrays of counts ``[..., n]``.

    Returns:
        Distances ``[...]`` in [0, 1]; NaN if all counts of either are 0.
    """
    p, q = _shares(first), _shares(second)
    middle = (p + q) / 2
    divergence = (_relative(p, middle) + _relative(q, middle)) / 2
    return np.sqrt(np.clip(divergence, 0, 1))


def entropy(counts: np.ndarray) -> np.ndarray:
    """Compute the entropy of counts ``[..., n]`` in bits; NaN if all are 0."""
    shares = _shares(counts)
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return -(shares * logs).sum(axis=-1) + 0.0


def _shares(counts: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=-1, keepdims=True)


def _relative(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Compute the relative entropy of p against q in bits; q is positive where p is."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return (p * np.log2(ratio)).sum(axis=-1)


def spread(
    statistic: Callable[..., np.ndarray], *groups: np.ndarray, draws: int = DRAWS
) -> np.ndarray | None:
    """Compute the bootstrap standard error of a statistic of counts, over groups of documents.

    Resampled documents repeat each other, so resampled distances are biased upwards and their
    quantiles give no interval. Intervals around the value use their standard deviation.

    Args:
        statistic: function from counts ``[draws, n]`` of each corpus to ``[draws, ...]``.
        *groups: counts ``[groups, n]`` of each corpus.
        draws: number of bootstrap draws.

    Returns:
        Standard errors; None if a corpus has only one group.
    """
    if min(len(group) for group in groups) < 2:
        return None
    rng = np.random.default_rng(SEED)
    counts_by_group = [group.astype(np.float32) for group in groups]
    values = []
    for start in range(0, draws, BLOCK):
        size = min(BLOCK, draws - start)
        resampled = [
            rng.multinomial(len(g), np.full(len(g), 1 / len(g)), size).astype(np.float32) @ g
            for g in counts_by_group
        ]
        values.append(statistic(*(counts.astype(np.float64) for counts in resampled)))
    return np.concatenate(values).std(axis=0, ddof=1)
