"""Verdicts on claims from estimates, sample sizes, and corrections of p values.

The 95 % interval decides the sign, the 90 % interval the margin (two one-sided tests at 5 %). A
claim about training needs more than one seed, and a claim about a benchmark an arm that does better
than chance and than the most frequent answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from experiments.analysis.distributions import quantile
from experiments.analysis.estimate import Estimate

NOT_RUN, NOT_TESTABLE = "not run", "not testable"
TOO_SMALL = "not testable at this size"
SUPPORTED, SMALLER = "supported", "supported, below the margin"
CONTRADICTED = "contradicted"
NO_EFFECT, EQUIVALENT = "no effect as large as the margin", "equivalent"
UNDECIDED = "undecided"
VERDICTS = (
    NOT_RUN, TOO_SMALL, NOT_TESTABLE, SUPPORTED, SMALLER, CONTRADICTED, NO_EFFECT, EQUIVALENT,
    UNDECIDED,
)  # fmt: skip
"""In the order in which they are considered, but for the two that refine the one before them."""

MOST_SEEDS = 200
GOALS = {"sign": (0.975, 0.8), "exclusion": (0.95, 0.8), "equivalence": (0.95, 0.9)}
"""Level of the test and its power (90 % for equivalence, since two tests must succeed); the sum of
their quantiles is the true difference, in standard errors, that the test detects."""


@dataclass(frozen=True)
class Verdict:
    """Verdict on a claim.

    Attributes:
        word: one of :data:`VERDICTS`.
        why: reason or remaining need: why it is not testable, or what would decide it.
        p_margin: one-sided p of an effect as large as the margin, for equivalence the larger of
            both directions; None where it is not tested.
    """

    word: str
    why: str = ""
    p_margin: float | None = None


def verdict(
    estimate: Estimate | None,
    sign: int,
    margin: float | None,
    about_training: bool = True,
    informative: bool = True,
) -> Verdict:
    """Decide a claim by an estimate.

    Args:
        estimate: of the claimed difference; None if nothing was run.
        sign: of the difference if the claim holds.
        margin: smallest relevant effect in that direction, positive, on the estimate's scale; None
            to decide the sign alone.
        about_training: whether the claim is about what is learned, which varies with the seed.
        informative: whether an arm does better than chance and the most frequent answer.

    Raises:
        ValueError: the margin is not positive.
    """
    if margin is not None and not margin > 0:
        raise ValueError(f"a margin is positive, not {margin}")
    if estimate is None:
        return Verdict(NOT_RUN)
    if not informative:
        return Verdict(TOO_SMALL, _at_chance(estimate, margin))
    if about_training and estimate.n_seeds < 2:
        return Verdict(NOT_TESTABLE, "one seed")
    signed = estimate if sign > 0 else estimate.negated
    low, high, low90, high90 = signed.low, signed.high, signed.low90, signed.high90
    if low is None or high is None or low90 is None or high90 is None:
        return Verdict(NOT_TESTABLE, "nothing varies")
    p_margin = None if margin is None else signed.p_beyond(margin)
    if low > 0:
        smaller = margin is not None and high90 < margin
        return Verdict(SMALLER if smaller else SUPPORTED, p_margin=p_margin)
    if high < 0:
        return Verdict(CONTRADICTED, p_margin=p_margin)
    if margin is None:
        return Verdict(UNDECIDED, "there is no margin that could be excluded")
    if high90 < margin and low90 > -margin:
        both = p_margin, signed.negated.p_beyond(margin)
        return Verdict(EQUIVALENT, p_margin=max(p for p in both if p is not None))
    if high90 < margin:
        return Verdict(NO_EFFECT, p_margin=p_margin)
    return Verdict(UNDECIDED, needs(estimate, margin), p_margin)


def _at_chance(estimate: Estimate, margin: float | None) -> str:
    """Why a benchmark at chance decides nothing, and the items that two runs above chance would
    need to detect the margin, with the variance per item of ours."""
    why = "no arm is better than chance and the majority answer"
    variance = estimate.se_items**2 * estimate.n_items
    if margin is None or not variance:
        return why
    errors = sum(NormalDist().inv_cdf(level) for level in GOALS["sign"])
    items = math.ceil(variance * (errors / margin) ** 2)
    return f"{why}; above them, {items:,} items would find the margin, were seeds to agree"


def required(estimate: Estimate, margin: float, goal: str = "sign") -> tuple[int, int] | None:
    """Seeds and items that would detect an effect as large as a margin.

    The smallest with s²/S + v/I <= (M/k)², s the standard deviation over seeds, v the variance of
    an item, and k from :data:`GOALS` with S - 1 degrees of freedom. If the present items suffice,
    their number is returned; else seeds times items is smallest.

    Args:
        estimate: source of the variances.
        margin: the effect, on the estimate's scale.
        goal: key of :data:`GOALS`.

    Returns:
        Seeds and items; None where the spread over seeds is not known or no number of seeds up to
        :data:`MOST_SEEDS` suffices.
    """
    if estimate.sd_seeds is None or margin <= 0:
        return None
    variance = estimate.se_items**2 * estimate.n_items
    best: tuple[int, int] | None = None
    for seeds in range(2, MOST_SEEDS + 1):
        budget = (margin / factor(goal, seeds)) ** 2 - estimate.sd_seeds**2 / seeds
        if budget <= 0:
            continue
        items = max(1, math.ceil(variance / budget * (1 - 1e-12))) if variance else estimate.n_items
        if items <= estimate.n_items:
            return seeds, estimate.n_items
        if best is None or seeds * items < best[0] * best[1]:
            best = seeds, items
    return best


def factor(goal: str, seeds: int) -> float:
    """Smallest detectable effect in standard errors."""
    level, power = GOALS[goal]
    return quantile(level, seeds - 1) + quantile(power, seeds - 1)


def needs(estimate: Estimate, margin: float) -> str:
    """Seeds and items that would decide whether there is an effect, as text."""
    if estimate.sd_seeds is None:
        return "needs a second seed, or more items"
    size = required(estimate, margin)
    if size is None:
        return f"more than {MOST_SEEDS} seeds"
    seeds, items = size
    if items <= estimate.n_items:
        return f"needs {seeds} seeds" if estimate.n_items else f"needs {seeds} values"
    return f"items first: needs {seeds} seeds and {items:,} items"


HOLM, BENJAMINI_HOCHBERG = "Holm", "Benjamini–Hochberg"


def correct(p: Sequence[float], method: str = HOLM) -> list[float]:
    """Correct p values for multiple testing.

    Holm (1979) bounds the chance of any false finding: the i-th smallest of m is multiplied by
    m - i + 1, never below the one before it. Benjamini and Hochberg (1995) bound the expected share
    of false findings: it is multiplied by m / i, never above the one after it.

    Args:
        p: p values in any order.
        method: :data:`HOLM` or :data:`BENJAMINI_HOCHBERG`.

    Returns:
        Corrected ones in the same order, at most 1.
    """
    m, values = len(p), np.array(p, float)
    order = np.argsort(values, kind="stable")
    ranks = np.arange(1, m + 1)
    if method == HOLM:
        corrected = np.maximum.accumulate((m - ranks + 1) * values[order])
    else:
        corrected = np.minimum.accumulate((values[order] * m / ranks)[::-1])[::-1]
    result = np.empty(m)
    result[order] = np.minimum(1.0, corrected)
    return [float(value) for value in result]


def gatekept(
    average: Sequence[float | None], columns: Sequence[Sequence[float]]
) -> list[list[float | None]]:
    """Corrected p values of table cells by gatekeeping.

    Averages are tested first, the columns of a row only if its average is rejected.

    Args:
        average: p of the average of each row; None where a row has none, whose columns then count
            as one family.
        columns: p values of the columns of each row.

    Returns:
        For each row the corrected p of its average, if it has one, and of its columns; None for
        columns that are not tested.
    """
    averages = iter(correct([p for p in average if p is not None]))
    rows: list[list[float | None]] = []
    for p, column_ps in zip(average, columns, strict=True):
        first = [] if p is None else [next(averages)]
        tested = not first or first[0] < 0.05
        rows.append([*first, *(correct(column_ps) if tested else [None] * len(column_ps))])
    return rows
