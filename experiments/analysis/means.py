"""Estimates about corpora from means of documents, or from known standard errors."""

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
"""Methods of the interval of an estimate about a corpus."""


def of_documents(
    value: float, ends: Sequence[float | None], error: float, documents: int, scale: str,
    method: str, p: float | None = None,
) -> Estimate:  # fmt: skip
    """An estimate without seeds; ``ends`` of the 95 % and 90 % intervals are in ascending order."""
    low, low90, high90, high = ends
    return Estimate(value, low, high, low90, high90, p, error, None, 1, documents, documents,
                    scale, method)  # fmt: skip


def around(
    value: float, error: float | None, documents: int, scale: str, method: str = AROUND,
    df: float = math.inf,
) -> Estimate:  # fmt: skip
    """A value with an interval from its standard error; without one where the error is unknown."""
    if not math.isfinite(value):
        value, error = math.nan, None
    if error is None or not math.isfinite(error) or error <= 0:
        return of_documents(value, [None] * 4, 0.0, documents, scale, UNKNOWN)
    wide, narrow = error * quantile(0.975, df), error * quantile(0.95, df)
    ends = value - wide, value - narrow, value + narrow, value + wide
    p = two_sided_p(value, 0, 1, error, df)
    return of_documents(value, ends, error, documents, scale, method, p)


def p_against(estimate: Estimate, threshold: float) -> float | None:
    """Two-sided p of a value being a threshold, of a normal distribution as wide as the interval on
    the threshold's side: below 5 % just where the interval leaves it out. None without interval."""
    end = estimate.low if threshold < estimate.value else estimate.high
    if end is None:
        return None
    error = abs(end - estimate.value) / quantile(0.975, math.inf) or estimate.se_items
    return two_sided_p(estimate.value - threshold, 0, 1, error)


def exact_ends(share: Estimate, documents: int) -> Estimate:
    """A share of none or of all documents with the ends of the exact binomial interval (Clopper &
    Pearson), since resamples of equal documents show no spread."""
    if share.low is None or share.low != share.high or share.value not in (0.0, 1.0):
        return share
    wide, narrow = (1 - tail ** (1 / documents) for tail in (0.025, 0.05))
    ends = (0.0, 0.0, narrow, wide) if share.value == 0 else (1 - wide, 1 - narrow, 1.0, 1.0)
    error = wide / quantile(0.975, math.inf)
    return of_documents(share.value, ends, error, documents, share.scale, EXACT)


def share(above: np.ndarray, below: np.ndarray) -> Estimate:
    """A ratio of sums over documents, linearised, from numerators and denominators ``[n]``."""
    error = ratio_error(above, below, [str(i) for i in range(len(above))])
    value = float(above.sum() / below.sum())
    return around(value, error, len(above), "share", MEAN_ERROR, max(len(above) - 1, 1))


def mean_similarity(responses: np.ndarray) -> Estimate:
    """Mean of ``responses``, the mean similarity of each document to the others ``[n]``.

    Each pair of documents counts in the responses of both, so that the mean is a U statistic of
    order 2, whose standard error is twice that of a mean of independent numbers.
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
    sample, n = np.array(values, float), len(values)
    error = float(sample.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    value = float(sample.mean()) if n else math.nan
    return around(value, error, n, scale, MEAN_ERROR, max(n - 1, 1))


def difference_of_means(first: Sequence[float], second: Sequence[float], scale: str) -> Estimate:
    """Mean of ``first`` minus that of ``second``, independent samples (Welch)."""
    samples = np.array(first, float), np.array(second, float)
    size = min(map(len, samples))
    value = float(samples[0].mean() - samples[1].mean()) if size else math.nan
    if size < 2:
        return around(value, None, size, scale)
    variances = [float(sample.var(ddof=1)) / len(sample) for sample in samples]
    total = sum(variances)
    if total < 1e-18:
        return around(value, None, size, scale)
    df = total**2 / sum(v**2 / (len(s) - 1) for v, s in zip(variances, samples, strict=True))
    return around(value, math.sqrt(total), size, scale, MEAN_ERROR, df)
