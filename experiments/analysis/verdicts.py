"""Verdicts: what an estimate says of a claim, with an effect worth having as margin.

The 95 % interval decides the sign, the 90 % interval the margin (two one-sided tests at 5 %). A
claim about training needs more than one seed, and a claim about a benchmark an arm that does better
than chance and than the commonest answer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

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
"""Quantiles whose sum, in standard errors, a true difference must measure to be found: the level of
the test, and its power (for equivalence 90 %, since two tests must succeed)."""


@dataclass(frozen=True)
class Verdict:
    """What an estimate says of a claim.

    Attributes:
        word: one of :data:`VERDICTS`.
        why: what it rests on, where the word alone does not say: why it is not testable, or what
            would decide it.
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
    """What an estimate says of a claim.

    Args:
        estimate: of the difference that the claim is about; None where nothing was run.
        sign: of the difference if the claim holds.
        margin: an effect worth having in that direction, positive, on the estimate's scale; None
            where there is none to compare with, so that the sign alone is decided.
        about_training: whether the claim is about what is learned, which varies with the seed.
        informative: whether an arm does better than chance and the majority answer.

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
    own = estimate if sign > 0 else estimate.turned
    if own.low is None or own.high is None or own.low90 is None or own.high90 is None:
        return Verdict(NOT_TESTABLE, "nothing varies")
    beyond = None if margin is None else own.p_beyond(margin)
    if own.low > 0:
        smaller = margin is not None and own.high90 < margin
        return Verdict(SMALLER if smaller else SUPPORTED, p_margin=beyond)
    if own.high < 0:
        return Verdict(CONTRADICTED, p_margin=beyond)
    if margin is None:
        return Verdict(UNDECIDED, "there is no margin that could be excluded")
    if own.high90 < margin and own.low90 > -margin:
        other = own.turned.p_beyond(margin)
        return Verdict(EQUIVALENT, p_margin=max(p for p in (beyond, other) if p is not None))
    if own.high90 < margin:
        return Verdict(NO_EFFECT, p_margin=beyond)
    return Verdict(UNDECIDED, needs(estimate, margin), beyond)


def _at_chance(estimate: Estimate, margin: float | None) -> str:
    """Why a benchmark says nothing, and how many items would find the margin in two runs above
    chance, if their items vary as ours do."""
    why = "no arm is better than chance and the majority answer"
    variance = estimate.se_items**2 * estimate.n_items
    if margin is None or not variance:
        return why
    factor = sum(NormalDist().inv_cdf(level) for level in GOALS["sign"])
    items = math.ceil(variance * (factor / margin) ** 2)
    return f"{why}; above them, {items:,} items would find the margin, were seeds to agree"


def required(estimate: Estimate, margin: float, goal: str = "sign") -> tuple[int, int] | None:
    """Seeds and items that would find an effect as large as a margin.

    The smallest with s²/S + v/I <= (M/k)², s the standard deviation over seeds, v the variance of
    an item, and k from :data:`GOALS` with S - 1 degrees of freedom. As many items as there are
    count as given where they suffice; else seeds times items is smallest.

    Args:
        estimate: whose variances are taken for those of more seeds and items.
        margin: the effect, on the estimate's scale.
        goal: what is to be found.

    Returns:
        Seeds and items; None where the spread over seeds is not known or no number of seeds up to
        :data:`MOST_SEEDS` suffices.
    """
    if estimate.sd_seeds is None or margin <= 0:
        return None
    variance = estimate.se_items**2 * estimate.n_items
    best: tuple[int, int] | None = None
    for seeds in range(2, MOST_SEEDS + 1):
        left = (margin / factor(goal, seeds)) ** 2 - estimate.sd_seeds**2 / seeds
        if left <= 0:
            continue
        items = max(1, math.ceil(variance / left * (1 - 1e-12))) if variance else estimate.n_items
        if items <= estimate.n_items:
            return seeds, estimate.n_items
        if best is None or seeds * items < best[0] * best[1]:
            best = seeds, items
    return best


def factor(goal: str, seeds: int) -> float:
    """Standard errors that a true effect must measure to be found."""
    level, power = GOALS[goal]
    return quantile(level, seeds - 1) + quantile(power, seeds - 1)


def needs(estimate: Estimate, margin: float) -> str:
    """What would decide, in words."""
    if estimate.sd_seeds is None:
        return "needs a second seed, or more items"
    found = required(estimate, margin)
    if found is None:
        return f"more than {MOST_SEEDS} seeds"
    seeds, items = found
    if items <= estimate.n_items:
        return f"needs {seeds} seeds" if estimate.n_items else f"needs {seeds} values"
    return f"items first: needs {seeds} seeds and {items:,} items"


HOLM, BENJAMINI_HOCHBERG = "Holm", "Benjamini–Hochberg"


def correct(p: Sequence[float], method: str = HOLM) -> list[float]:
    """p values corrected for their number.

    Holm (1979) bounds the chance of any false finding: the i-th smallest of m is multiplied by
    m - i + 1, never below the one before it. Benjamini and Hochberg (1995) bound the expected share
    of false findings: it is multiplied by m / i, never above the one after it.

    Args:
        p: p values in any order.
        method: :data:`HOLM` or :data:`BENJAMINI_HOCHBERG`.

    Returns:
        Corrected ones in the same order, at most 1.
    """
    m = len(p)
    order = sorted(range(m), key=p.__getitem__)
    found, last = [0.0] * m, 0.0
    if method == HOLM:
        for rank, place in enumerate(order):
            last = max(last, min(1.0, (m - rank) * p[place]))
            found[place] = last
        return found
    last = 1.0
    for rank, place in reversed(list(enumerate(order, 1))):
        last = min(last, p[place] * m / rank)
        found[place] = last
    return found


def gatekept(
    average: Sequence[float | None], columns: Sequence[Sequence[float]]
) -> list[list[float | None]]:
    """Corrected p values of table cells: the averages first, the columns of a row only if its
    average is rejected.

    Args:
        average: p of the average of each row; None where a row has none, whose columns then count
            as one family.
        columns: p values of the columns of each row.

    Returns:
        For each row the corrected p of its average, if it has one, and of its columns; None for
        columns that are not tested.
    """
    known = [p for p in average if p is not None]
    corrected = iter(correct(known))
    found: list[list[float | None]] = []
    for p, own in zip(average, columns, strict=True):
        if p is None:
            found.append([*correct(own)])
            continue
        first = next(corrected)
        rest: list[float | None] = [*correct(own)] if first < 0.05 else [None] * len(own)
        found.append([first, *rest])
    return found
