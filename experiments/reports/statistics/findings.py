"""Each finding of the paper against what was measured, with its interval.

A finding names a threshold. It holds where the whole interval is on its side of it, fails where it
is on the other side, and is undecided where it is on both. That edited text lacks nothing is not
taken from a missing difference: it has to lie within a margin that is printed.
"""

import math
from collections.abc import Iterator
from typing import Any

from experiments.analysis.estimate import Estimate
from experiments.analysis.means import p_against
from experiments.analysis.resampling import LEAST_P
from experiments.analysis.verdicts import BENJAMINI_HOCHBERG, correct
from experiments.reports.format import p_text, ratio_text

Interval = dict[str, Any]
"""An estimate as plain values (:meth:`experiments.analysis.compare.Estimate.to_json`)."""

Row = tuple[str, str, float | None, str]
"""A finding, its verdict, p of the threshold it names, and the numbers."""

HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"
TAIL = (0.025, 0.075)
"""Shares of documents above the human 95th percentile that count as the human tail: its own 5 %,
half of it more or less."""

REPAIRED = 0.5
"""Share of the synthetic excess that may be left in text that counts as repaired."""

APART = 0.05
"""Share of nearest neighbours of its own kind, beyond that of human text, from which on a corpus
counts as lying apart."""


def verdicts(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Findings II to IV of the paper, and the edited text beside them; p is corrected over all."""
    rows = list(_all(values))
    known = [p for _, _, p, _ in rows if p is not None]
    corrected = iter(correct(known, BENJAMINI_HOCHBERG))
    return [
        {"finding": finding, "found": found, "p": p,
         "p_corrected": None if p is None else next(corrected), "numbers": numbers}
        for finding, found, p, numbers in rows
    ]  # fmt: skip


def _p(found: Interval, threshold: float) -> float | None:
    """p of a threshold; where labels were permuted and it is 0, that of the permutation."""
    if threshold == 0 and found["p"] is not None:
        return float(found["p"])
    return p_against(Estimate.from_json(found), threshold)


def _permuted(found: Interval) -> str:
    """p of permuted labels in words."""
    return "" if found["p"] is None else f"; labels permuted, p {at_most(found['p'])}"


def at_most(p: float | None, row: float | None = None) -> str:
    """A p value; with ≤ where it, or the one of its row, is the least of permutations."""
    own = p if row is None else row
    return ("≤ " if own is not None and math.isclose(own, LEAST_P) else "") + p_text(p)


def ratio(found: Interval) -> str:
    """A ratio with its interval, from its logarithm."""
    if found["value"] is None:
        return "undefined"
    text = ratio_text(found["value"]).removeprefix("×")
    if found["low"] is None or found["high"] is None:
        return text
    ends = (ratio_text(found[end]).removeprefix("×") for end in ("low", "high"))
    return f"{text} [{', '.join(ends)}]"


def _all(values: dict[str, Any]) -> Iterator[Row]:
    for own in values["perplexity"]:
        for name, row in own["corpora"].items():
            if name == "human":
                yield _shape(own["prior"], row)
            elif name in values["edited"]:
                yield _kept(own["prior"], name, row["position"])
            else:
                yield from _range(own["prior"], name, row["position"])
    if values["words"]:
        yield from _words(values["words"], values["edited"])
    for name, found in values["density"].get("more", {}).items():
        if name not in values["edited"]:
            numbers = f"mean response minus that of human text: {shown(found, 4, 1, True)}"
            yield (f"{name} documents resemble each other more than human ones do",
                   judge(found, 0, True), _p(found, 0), numbers)  # fmt: skip
    for name, found in values["map"].items():
        if name != "human":
            yield _apart(name, found, values["map"]["human"], name in values["edited"])


def judge(found: Interval, threshold: float, above: bool) -> str:
    """Whether an interval lies on the side of a finding."""
    low, high = found["low"], found["high"]
    if low is None or high is None:
        return UNDECIDED
    if low > threshold:
        return HOLDS if above else FAILS
    if high < threshold:
        return FAILS if above else HOLDS
    return UNDECIDED


def judge_within(found: Interval, low: float, high: float) -> str:
    """Whether an interval lies within a margin."""
    sides = judge(found, low, True), judge(found, high, False)
    if FAILS in sides:
        return FAILS
    return HOLDS if sides == (HOLDS, HOLDS) else UNDECIDED


def _p_within(found: Interval, low: float, high: float) -> float | None:
    """p of a value lying outside a margin: the larger of those of its two ends."""
    sides = [_p(found, low), _p(found, high)]
    known = [p for p in sides if p is not None]
    return max(known) if len(known) == 2 else None


def shown(found: Interval, digits: int = 2, scale: float = 1, sign: bool = False) -> str:
    """A value with its interval."""
    form = f"{'+' if sign else ''}.{digits}f"
    if found["value"] is None:
        return "undefined"
    text = f"{scale * found['value']:{form}}"
    if found["low"] is None or found["high"] is None:
        return text
    return f"{text} [{scale * found['low']:{form}}, {scale * found['high']:{form}}]"


def percent(found: Interval) -> str:
    """A share in percent."""
    return shown(found, 1, 100)


def _shape(prior: str, row: dict[str, Any]) -> Row:
    return (
        f"token probabilities of human text form a U ({prior})",
        judge(row["u_shape"], 0, True),
        _p(row["u_shape"], 0),
        f"smaller outer bin minus largest inner one: {shown(row['u_shape'], 1, 100, True)} points",
    )


def _range(prior: str, name: str, place: dict[str, Interval]) -> Iterator[Row]:
    lowest, tail, spread = place["lowest_quarter"], place["tail"], place["spread"]
    yield (
        f"most {name} documents lie in the lowest quarter of the human range ({prior})",
        judge(lowest, 0.5, True),
        _p(lowest, 0.5),
        f"{percent(lowest)} % of them (most: 50 %, alike: 25 %)",
    )
    yield (
        f"{name} text has a narrower perplexity range ({prior})",
        judge(spread, 0, False),
        _p(spread, 0),
        f"interquartile range of log perplexity, ratio to human: {ratio(spread)} (alike: 1)",
    )
    yield (
        f"{name} text lacks the human tail ({prior})",
        judge(tail, TAIL[0], False),
        _p(tail, TAIL[0]),
        f"{percent(tail)} % of documents above the human 95th percentile "
        f"(lacking: below {100 * TAIL[0]:g} %, alike: 5 %)",
    )


def _kept(prior: str, name: str, place: dict[str, Interval]) -> Row:
    low, high = (100 * end for end in TAIL)
    return (
        f"{name} text keeps the human tail ({prior})",
        judge_within(place["tail"], *TAIL),
        _p_within(place["tail"], *TAIL),
        f"{percent(place['tail'])} % of documents above the human 95th percentile (kept: {low:g} "
        f"to {high:g} %); interquartile range, ratio to human: {ratio(place['spread'])}",
    )


def _words(words: dict[str, Any], edited: list[str]) -> Iterator[Row]:
    for name, excess in words["excess"].items():
        if name in edited:
            continue
        change = words["difference"][name]
        yield (
            f"{name} text is over-concentrated: fewer bits a word than human text",
            judge(change["entropy"], 0, False),
            _p(change["entropy"], 0),
            f"{shown(change['entropy'], 2, 1, True)} bits; different pairs of all pairs "
            f"{shown(change['distinct_2'], 1, 100, True)} points; runs of four in another "
            f"document {shown(change['self_repetition'], 1, 100, True)} points",
        )
        yield (
            f"{name} text uses other n-grams than human text",
            judge(excess, 0, True),
            _p(excess, 0),
            f"distance from the reference {shown(words['distance'][name], 3)}, human "
            f"{shown(words['distance']['human'], 3)}; excess {shown(excess, 3, 1, True)}"
            f"{_permuted(excess)}",
        )
    if judge(words["excess"].get("synthetic", {"low": None, "high": None}), 0, True) != HOLDS:
        return  # nothing to repair
    for name, left in words["unrepaired"].items():
        numbers = (
            f"{percent(left)} % of the excess of synthetic text "
            f"(repaired: below {100 * REPAIRED:g} %)"
        )
        if name in edited:
            yield (f"{name} text uses the n-grams of human text",
                   judge(left, REPAIRED, False), _p(left, REPAIRED), numbers)  # fmt: skip
        else:
            yield (f"selection by {name} does not repair the n-grams",
                   judge(left, REPAIRED, True), _p(left, REPAIRED), numbers)  # fmt: skip


def _apart(name: str, own: dict[str, Any], human: dict[str, Any], edited: bool) -> Row:
    numbers = (
        f"nearest neighbours of its own kind: {percent(own['purity'])} %, human "
        f"{percent(human['purity'])} %; more by {shown(own['more'], 1, 100, True)} points "
        f"(apart: {100 * APART:g}){_permuted(own['more'])}"
    )
    if edited:
        finding = f"{name} text lies among human text on the map"
        return finding, judge(own["more"], APART, False), _p(own["more"], APART), numbers
    finding = f"{name} text lies apart from human text on the map"
    return finding, judge(own["more"], APART, True), _p(own["more"], APART), numbers
