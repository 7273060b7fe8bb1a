"""Estimates about corpora by resampling documents, and tests by permuting their labels.

Quantiles and shares of a range by the bootstrap, ratios of interquartile ranges by its
bias-corrected and accelerated form (BCa), and nearest neighbours on subsamples with a new search in
each, since a repeated document would be its own nearest neighbour. Whether two corpora differ at
all is tested by permuting the labels of documents.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from experiments.analysis.distributions import quantile
from experiments.analysis.estimate import Estimate
from experiments.analysis.means import BCA, BOOTSTRAP, SUBSAMPLED, around, of_documents

DRAWS, SEED = 1000, 0
BLOCK = 50
"""Resamples computed together."""

LARGEST = 20_000
"""Most documents that are resampled; of larger corpora a sample of this size is drawn once, which
makes intervals wider than necessary, never narrower."""

ACCELERATED = 2_000
"""Documents up to which the acceleration of BCa is computed; beyond it is taken for 0."""

SUBSAMPLES = 100
PERMUTATIONS = 499
LEAST_P = 1 / (1 + PERMUTATIONS)
"""The smallest p of a permutation test; a smaller one is printed as at most this."""

Statistic = Callable[..., Sequence[np.ndarray]]
"""Takes samples ``[draws, documents, ...]``, returns arrays ``[draws]``."""


def bootstrap(
    statistic: Statistic, samples: Sequence[np.ndarray], scales: Sequence[str],
    paired: bool = False,
) -> list[Estimate]:  # fmt: skip
    """Percentile intervals of statistics of documents.

    Args:
        statistic: function of the samples.
        samples: one row per document.
        scales: unit of each statistic.
        paired: the samples hold the same documents in the same order and are resampled together.

    Returns:
        One estimate per statistic. No ends where a sample is a single document, NaN where a number
        is not finite.
    """
    values, shifts, draws = _draws(statistic, samples, paired)
    size = max(map(len, samples))
    estimates = []
    for value, shift, resampled, scale in zip(values, shifts, draws, scales, strict=True):
        known = resampled[np.isfinite(resampled)] + shift
        if not len(known) or not math.isfinite(value):
            estimates.append(around(value, None, size, scale))
            continue
        ends = np.quantile(known, [0.025, 0.05, 0.95, 0.975]).tolist()
        error = float(known.std(ddof=1))
        estimates.append(of_documents(value, ends, error, size, scale, BOOTSTRAP))
    return estimates


def bca(
    statistic: Callable[..., np.ndarray], samples: Sequence[np.ndarray], scale: str,
    paired: bool = False,
) -> Estimate:  # fmt: skip
    """Bias-corrected and accelerated interval (Efron, 1987) of one statistic of documents.

    Args:
        statistic: takes the samples ``[draws, documents]``, returns ``[draws]``.
        samples: one number per document.
        scale: unit of the statistic.
        paired: as of :func:`bootstrap`.
    """
    (value,), (shift,), (draws,) = _draws(lambda *s: [statistic(*s)], samples, paired)
    known = draws[np.isfinite(draws)] + shift
    size = max(map(len, samples))
    if not len(known) or not math.isfinite(value) or known.std() == 0:
        return around(value, None, size, scale)
    below = ((known < value).mean() + (known <= value).mean()) / 2
    bias = float(ndtri(np.clip(below, 1 / len(known), 1 - 1 / len(known))))
    acceleration = _acceleration(statistic, samples, paired)
    z = np.array([quantile(p, math.inf) for p in (0.025, 0.05, 0.95, 0.975)])
    levels = ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
    ends = np.quantile(known, levels).tolist()
    return of_documents(value, ends, float(known.std(ddof=1)), size, scale, BCA)


def _draws(
    statistic: Statistic, samples: Sequence[np.ndarray], paired: bool
) -> tuple[list[float], list[float], list[np.ndarray]]:
    """Values over all documents, corrections of resamples of fewer, and resamples ``[draws]``."""
    rng = np.random.default_rng(SEED)
    values = [float(value[0]) for value in statistic(*(sample[None] for sample in samples))]
    if max(map(len, samples)) > LARGEST:
        orders = [rng.permutation(len(sample)) for sample in samples]
        if paired:
            orders = [orders[0]] * len(samples)
        samples = [sample[order[:LARGEST]] for sample, order in zip(samples, orders, strict=True)]
    if min(map(len, samples)) < 2:
        return values, [0.0] * len(values), [np.zeros(0)] * len(values)
    centres = [float(value[0]) for value in statistic(*(sample[None] for sample in samples))]
    draws = []
    for start in range(0, DRAWS, BLOCK):
        size = min(BLOCK, DRAWS - start)
        picks = [rng.integers(0, len(sample), (size, len(sample))) for sample in samples]
        if paired:
            picks = [picks[0]] * len(samples)
        draws.append(statistic(*(s[pick] for s, pick in zip(samples, picks, strict=True))))
    shifts = [value - centre for value, centre in zip(values, centres, strict=True)]
    return values, shifts, [np.concatenate(columns) for columns in zip(*draws, strict=True)]


def _acceleration(
    statistic: Callable[..., np.ndarray], samples: Sequence[np.ndarray], paired: bool
) -> float:
    """Skewness of the influence of documents, by leaving out each."""
    if max(map(len, samples)) > ACCELERATED:
        return 0.0
    influence = []
    for number, sample in enumerate(samples):
        values = np.empty(len(sample))
        for i in range(len(sample)):
            rest = [np.delete(s, i) if paired or j == number else s for j, s in enumerate(samples)]
            values[i] = statistic(*(s[None] for s in rest))[0]
        influence.append((values.mean() - values) * (len(sample) - 1) / len(sample))
        if paired:
            break
    known = np.concatenate(influence)
    spread = float((known**2).sum()) ** 1.5
    return float((known**3).sum()) / (6 * spread) if spread > 0 else 0.0


def subsampled(
    statistic: Callable[..., np.ndarray], samples: Sequence[np.ndarray],
    groups: Sequence[int], scales: Sequence[str],
) -> list[Estimate]:  # fmt: skip
    """Statistics that break when a document is repeated, with errors from halves of the documents.

    Of a half drawn without replacement the variance around the value is about that of all documents
    (Politis and Romano, 1994: m / (n - m) = 1).

    Args:
        statistic: takes one array per sample, returns ``[k]``.
        samples: one row per document.
        groups: samples of one number hold the same documents and are drawn together.
        scales: unit of each statistic.
    """
    value = statistic(*samples)
    size = min(map(len, samples))
    if size < 4:
        return [around(float(v), None, size, s) for v, s in zip(value, scales, strict=True)]
    rng, draws = np.random.default_rng(SEED), []
    for _ in range(SUBSAMPLES):
        orders = {g: rng.permutation(len(samples[groups.index(g)])) for g in dict.fromkeys(groups)}
        halves = (s[orders[g][: len(s) // 2]] for s, g in zip(samples, groups, strict=True))
        draws.append(statistic(*halves))
    errors = np.std(draws, axis=0, ddof=1)
    return [
        around(float(v), float(e), size, s, SUBSAMPLED)
        for v, e, s in zip(value, errors, scales, strict=True)
    ]


def permuted_p(
    difference: Callable[[np.ndarray, np.ndarray], float], first: np.ndarray, second: np.ndarray,
    paired: bool,
) -> float:  # fmt: skip
    """Two-sided p of two corpora being samples of one, by permuting the labels of documents.

    The observed labels count as one more permutation, so that p is at least :data:`LEAST_P`.

    Args:
        difference: function of both corpora, which have one row per document.
        first: a corpus.
        second: the other.
        paired: row i of both is the same document, so that the two of a pair are exchanged.
    """
    rng = np.random.default_rng(SEED)
    observed = abs(difference(first, second)) * (1 - 1e-9)
    beyond = 0
    pool = np.concatenate([first, second])
    for _ in range(PERMUTATIONS):
        if paired:
            swap = rng.integers(0, 2, len(first)).astype(bool)
            swap = swap.reshape(-1, *[1] * (first.ndim - 1))
            a, b = np.where(swap, second, first), np.where(swap, first, second)
        else:
            order = rng.permutation(len(pool))
            a, b = pool[order[: len(first)]], pool[order[len(first) :]]
        beyond += abs(difference(a, b)) >= observed
    return (1 + beyond) / (1 + PERMUTATIONS)
