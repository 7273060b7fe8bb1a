"""Estimates about corpora that are means of documents, or have a known standard error."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.analysis.compare import ratio_error
from experiments.analysis.distributions import quantile, two_sided_p
from experiments.analysis.estimate import Estimate

BOOTSTRAP, BCA, AROUND, MEAN_ERROR, SUBSAMPLED, EXACT, UNKNOWN = (
    "bootstrap over documents",
    "BCa bootstrap over documents",
    "1.96 bootstrap deviations around the value",
    "error of a mean over documents",
    "subsamples of documents",
    "exact binomial",
    "no interval",
)
"""Methods: what the interval of an estimate about a corpus is."""

_Z = quantile(0.975, math.inf)


def around(
    value: float, error: float | None, documents: int, scale: str, method: str = AROUND,
    df: float = math.inf,
) -> Estimate:  # fmt: skip
    """A value with its standard error; without ends where none is known."""
    if not math.isfinite(value):
        value, error = math.nan, None
    if error is None or not math.isfinite(error) or error <= 0:
        return Estimate(value, None, None, None, None, None, 0.0, None, 1, documents, documents,
                        scale, UNKNOWN)  # fmt: skip
    wide, narrow = error * quantile(0.975, df), error * quantile(0.95, df)
    return Estimate(value, value - wide, value + wide, value - narrow, value + narrow,
                    two_sided_p(value, 0, 1, error, df), error, None, 1, documents, documents,
                    scale, method)  # fmt: skip


def p_against(found: Estimate, threshold: float) -> float | None:
    """Two-sided p of a value being a threshold, of a normal distribution as wide as the interval on
    the threshold's side: below 5 % just where the interval leaves it out. None without interval."""
    end = found.low if threshold < found.value else found.high
    if end is None:
        return None
    error = abs(end - found.value) / _Z or found.se_items
    return two_sided_p(found.value - threshold, 0, 1, error)


def exact_ends(share: Estimate, documents: int) -> Estimate:
    """A share of none or of all documents with the ends of the exact binomial interval (Clopper &
    Pearson), since resamples of documents that are all alike show no spread."""
    if share.low is None or share.low != share.high or share.value not in (0.0, 1.0):
        return share
    reach, reach90 = (1 - tail ** (1 / documents) for tail in (0.025, 0.05))
    low, high, low90, high90 = 0.0, reach, 0.0, reach90
    if share.value == 1:
        low, high, low90, high90 = 1 - reach, 1.0, 1 - reach90, 1.0
    error = reach / quantile(0.975, math.inf)
    return Estimate(share.value, low, high, low90, high90, None, error, None, 1, documents,
                    documents, share.scale, EXACT)  # fmt: skip


def share(above: np.ndarray, below: np.ndarray) -> Estimate:
    """A ratio of sums over documents, linearised.

    Args:
        above: numerators by document ``[n]``.
        below: denominators ``[n]``.
    """
    error = ratio_error(above, below, [str(i) for i in range(len(above))])
    value = float(above.sum() / below.sum())
    return around(value, error, len(above), "share", MEAN_ERROR, max(len(above) - 1, 1))


def mean_similarity(responses: np.ndarray) -> Estimate:
    """Mean similarity of the documents of a corpus to the others.

    Each pair of documents counts in the responses of both, so that the mean is a U statistic of
    order 2, whose standard error is twice that of a mean of independent numbers.

    Args:
        responses: of each document to the rest ``[n]``.
    """
    n = len(responses)
    error = 2 * float(responses.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return around(float(responses.mean()) if n else math.nan, error, n, "mean response", MEAN_ERROR)


def minus(first: Estimate, second: Estimate) -> Estimate:
    """Difference of two independent values, errors added in quadrature."""
    known = first.se_items and second.se_items
    error = math.hypot(first.se_items, second.se_items) if known else None
    size = min(first.n_items, second.n_items)
    return around(first.value - second.value, error, size, first.scale, first.method)


def mean_of(values: Sequence[float], scale: str) -> Estimate:
    """Mean of independent samples (Student)."""
    own = np.array(values, float)
    error = float(own.std(ddof=1)) / math.sqrt(len(own)) if len(own) > 1 else None
    value = float(own.mean()) if len(own) else math.nan
    return around(value, error, len(own), scale, MEAN_ERROR, max(len(own) - 1, 1))


def difference_of_means(first: Sequence[float], second: Sequence[float], scale: str) -> Estimate:
    """Mean of ``first`` minus that of ``second``, independent samples (Welch)."""
    a, b = np.array(first, float), np.array(second, float)
    value = float(a.mean() - b.mean()) if len(a) and len(b) else math.nan
    if min(len(a), len(b)) < 2:
        return around(value, None, min(len(a), len(b)), scale)
    parts = [float(own.var(ddof=1)) / len(own) for own in (a, b)]
    total = sum(parts)
    if total < 1e-18:
        return around(value, None, min(len(a), len(b)), scale)
    df = total**2 / sum(p**2 / (len(own) - 1) for p, own in zip(parts, (a, b), strict=True))
    return around(value, math.sqrt(total), min(len(a), len(b)), scale, MEAN_ERROR, df)
