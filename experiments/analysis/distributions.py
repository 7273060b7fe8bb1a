"""Distributions of intervals and p values: seeds and items together, and paired proportions.

A difference between two arms varies with the seeds and with the items. Its estimate is the mean of
S differences by seed, with standard deviation s, on items whose clustered standard error is se. It
is referred to the distribution of

    (s / sqrt(S)) T(S - 1) + se T(G - 1),

two independent Student variables, G the number of clusters of items. This is the fiducial
distribution of Behrens and Fisher with a variance component each for seeds and items; where G is
large the second is normal. Each component alone gives the usual t test. The type I error is at most
5.5 % with 2, 3 and 5 seeds (simulated, tests/experiments/analysis/test_type_one_error.py).

The distribution is integrated, not sampled, so results depend on no seed: a Student variable is a
normal one whose variance is divided by V, chi-squared over its degrees of freedom, and given both V
the sum is normal.
"""

import math
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import bdtr, gammaincinv, ndtr, ndtri, stdtr, stdtrit

NODES = 48
"""Points of the Gauss–Legendre rule for each component."""


def two_sided_p(value: float, a: float, df_a: float, b: float, df_b: float = math.inf) -> float:
    """P(|a T(df_a) + b T(df_b)| >= |value|).

    Args:
        value: a difference.
        a: standard error over seeds, 0 for none.
        df_a: its degrees of freedom.
        b: standard error over items, 0 for none.
        df_b: its degrees of freedom; infinite for a normal distribution.

    Returns:
        The p value; 1 where neither component varies and the value is 0, NaN where it is not 0.
    """
    if a <= 0 and b <= 0:
        return 1.0 if value == 0 else math.nan
    if a <= 0 or b <= 0:
        scale, df = (a, df_a) if a > 0 else (b, df_b)
        return 2 * _lower_tail(-abs(value) / scale, df)
    v_a, w_a = _mixing(df_a)
    v_b, w_b = _mixing(df_b)
    deviation = np.sqrt((a * a / v_a)[:, None] + (b * b / v_b)[None, :])
    return float(2 * (w_a @ ndtr(-abs(value) / deviation) @ w_b))


def half_width(
    level: float, a: float, df_a: float, b: float, df_b: float = math.inf
) -> float | None:
    """Half the width of a central interval of confidence ``level``; None where nothing varies. The
    other arguments are those of :func:`two_sided_p`."""
    if a <= 0 and b <= 0:
        return None
    if a <= 0 or b <= 0:
        scale, df = (a, df_a) if a > 0 else (b, df_b)
        return scale * quantile((1 + level) / 2, df)
    alpha = 1 - level
    low = max(a * quantile(1 - alpha / 2, df_a), b * quantile(1 - alpha / 2, df_b))
    high = a * quantile(1 - alpha / 4, df_a) + b * quantile(1 - alpha / 4, df_b)
    return float(
        brentq(lambda x: two_sided_p(x, a, df_a, b, df_b) - alpha, low * 0.999, high * 1.001)
    )


def quantile(p: float, df: float) -> float:
    """Quantile of Student's t; of the normal distribution where ``df`` is infinite."""
    return float(ndtri(p) if math.isinf(df) else stdtrit(df, p))


def _lower_tail(value: float, df: float) -> float:
    return float(ndtr(value) if math.isinf(df) else stdtr(df, value))


@lru_cache(maxsize=256)
def _mixing(df: float) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights to integrate over chi-squared divided by its degrees of freedom."""
    if math.isinf(df):
        return np.ones(1), np.ones(1)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    x = (nodes + 1) / 2
    # u = x**2 (3 - 2x) flattens the rule at both ends, where the quantiles are steep.
    u, jacobian = x * x * (3 - 2 * x), 6 * x * (1 - x)
    return 2 * gammaincinv(df / 2, u) / df, weights / 2 * jacobian


def mcnemar_p(gained: float, lost: float) -> float:
    """Two-sided exact p of McNemar's test: discordant items are gained or lost at equal odds."""
    return min(1.0, 2 * float(bdtr(min(gained, lost), int(gained + lost), 0.5)))


def tango_z(gained: float, lost: float, items: float, difference: float) -> float:
    """Score statistic of a difference of paired proportions (Tango, Statistics in Medicine 1998).

    Args:
        gained: items that the first arm alone answers right; any real number.
        lost: items that the second alone does.
        items: all items.
        difference: the hypothesis, in (-1, 1).
    """
    a = 2 * items
    b = -gained - lost + (2 * items - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    lost_share = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = items * (2 * lost_share + difference * (1 - difference))
    distance = gained - lost - items * difference
    return math.copysign(math.inf, distance) if variance <= 0 else distance / math.sqrt(variance)


def tango_interval(gained: float, lost: float, items: float, level: float) -> tuple[float, float]:
    """Ends of the score interval of a difference of paired proportions, in [-1, 1].

    With no discordant item they are ±z²/(n + z²), since arms that agree on n items may differ on
    others.
    """
    # Both ends are upper ones, of the difference and of its negative: exchanging arms negates them.
    upper = _tango_upper(gained, lost, items, level)
    return 0.0 - _tango_upper(lost, gained, items, level), upper


def _tango_upper(gained: float, lost: float, items: float, level: float) -> float:
    z, edge = quantile((1 + level) / 2, math.inf), 1 - 1e-12
    if tango_z(gained, lost, items, edge) > -z:
        return 1.0
    middle = min((gained - lost) / items + 1e-12, edge)
    return float(brentq(lambda d: tango_z(gained, lost, items, d) + z, middle, edge))
