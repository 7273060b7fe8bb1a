"""How far apart two corpora are in the n-grams they use, and how sure that is.

The Jensen–Shannon distance is the square root of the divergence with logarithms to base 2: a
metric, 0 for equal distributions and 1 for disjoint ones. Two samples of one corpus lie apart, too,
the more the smaller they are; so compare distances at equal sizes only, against that between two
samples of the human corpus.
"""

from collections.abc import Callable

import numpy as np

DRAWS = 1000
SEED = 0
BLOCK = 50
"""Draws computed together."""


def js_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Jensen–Shannon distance of counts.

    Args:
        first: counts ``[..., n]``.
        second: the same.

    Returns:
        Distances ``[...]`` in [0, 1]; NaN where either holds nothing.
    """
    p, q = _shares(first), _shares(second)
    middle = (p + q) / 2
    divergence = (_relative(p, middle) + _relative(q, middle)) / 2
    return np.sqrt(np.clip(divergence, 0, 1))


def entropy(counts: np.ndarray) -> np.ndarray:
    """Entropy of the distributions of counts ``[..., n]``, bits; NaN of nothing."""
    shares = _shares(counts)
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return -(shares * logs).sum(axis=-1) + 0.0


def _shares(counts: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=-1, keepdims=True)


def _relative(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Relative entropy of p against q, which is positive where p is; bits."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return (p * np.log2(ratio)).sum(axis=-1)


def spread(
    statistic: Callable[..., np.ndarray], *groups: np.ndarray, draws: int = DRAWS
) -> np.ndarray | None:
    """Bootstrap standard error of a statistic of counts, over groups of documents.

    Resampled documents repeat each other, so resampled distances are larger throughout and their
    quantiles no interval; their spread is what an interval around the value is made of.

    Args:
        statistic: takes counts ``[draws, n]`` of each corpus, returns ``[draws, ...]``.
        *groups: counts ``[groups, n]`` of each corpus.
        draws: resamples.

    Returns:
        Standard errors; None where a corpus is a single group, which says nothing of its spread.
    """
    if min(len(group) for group in groups) < 2:
        return None
    rng = np.random.default_rng(SEED)
    kept = [group.astype(np.float32) for group in groups]
    found = []
    for start in range(0, draws, BLOCK):
        size = min(BLOCK, draws - start)
        resampled = [
            rng.multinomial(len(g), np.full(len(g), 1 / len(g)), size).astype(np.float32) @ g
            for g in kept
        ]
        found.append(statistic(*(counts.astype(np.float64) for counts in resampled)))
    return np.concatenate(found).std(axis=0, ddof=1)
