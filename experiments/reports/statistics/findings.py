"""Judge each finding of the paper by the measured values and their intervals.

A finding names a threshold. It holds if the whole interval is on its side of the threshold, fails
if it is on the other side, and is undecided if it is on both. A missing difference is no evidence
that edited text lacks nothing: its interval has to lie within a margin, which is printed.
"""

import math
from collections.abc import Callable, Iterator
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
"""Shares of documents above the human 95th percentile that count as the human tail: 5 % ± half."""

REPAIRED = 0.5
"""Largest share of the synthetic excess that remains in text that counts as repaired."""

APART = 0.05
"""Share of nearest neighbours of its own kind, in excess of human text, from which on a corpus is
judged separate on the map."""


def verdicts(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge findings II to IV of the paper, also for edited text; p is corrected over all."""
    rows = list(_all(values))
    known = [p for _, _, p, _ in rows if p is not None]
    corrected = iter(correct(known, BENJAMINI_HOCHBERG))
    return [
        {"finding": finding, "found": verdict, "p": p,
         "p_corrected": None if p is None else next(corrected), "numbers": numbers}
        for finding, verdict, p, numbers in rows
    ]  # fmt: skip


def judge(interval: Interval, threshold: float, above: bool) -> str:
    """Whether an interval lies above a threshold, or below it."""
    low, high = interval["low"], interval["high"]
    if low is not None and high is not None and (low > threshold or high < threshold):
        return HOLDS if (low > threshold) == above else FAILS
    return UNDECIDED


def judge_within(interval: Interval, low: float, high: float) -> str:
    """Whether an interval lies within a margin."""
    sides = judge(interval, low, True), judge(interval, high, False)
    if FAILS in sides:
        return FAILS
    return HOLDS if sides == (HOLDS, HOLDS) else UNDECIDED


def _judged(finding: str, interval: Interval, threshold: float, above: bool, numbers: str) -> Row:
    return finding, judge(interval, threshold, above), _p(interval, threshold), numbers


def _p(interval: Interval, threshold: float) -> float | None:
    """p against a threshold; for 0 the p of a permutation test where labels were permuted."""
    if threshold == 0 and interval["p"] is not None:
        return float(interval["p"])
    return p_against(Estimate.from_json(interval), threshold)


def at_most(p: float | None, uncorrected: float | None = None) -> str:
    """Format a p value, with ≤ if it is corrected from, or is, the least p of permutations."""
    reference = p if uncorrected is None else uncorrected
    least = reference is not None and math.isclose(reference, LEAST_P)
    return f"{'≤ ' if least else ''}{p_text(p)}"


def _permuted(interval: Interval) -> str:
    return "" if interval["p"] is None else f"; labels permuted, p {at_most(interval['p'])}"


def estimate_text(interval: Interval, digits: int = 2, scale: float = 1, sign: bool = False) -> str:
    """Format a value with its interval."""
    form = f"{'+' if sign else ''}.{digits}f"
    return _with_ends(interval, lambda value: f"{scale * value:{form}}")


def percent(interval: Interval) -> str:
    """Format a share with its interval, in percent."""
    return estimate_text(interval, 1, 100)


def log_ratio_text(interval: Interval) -> str:
    """Format a ratio with its interval, from its logarithm."""
    return _with_ends(interval, lambda value: ratio_text(value).removeprefix("×"))


def _with_ends(interval: Interval, text: Callable[[float], str]) -> str:
    value, low, high = (interval[key] for key in ("value", "low", "high"))
    if value is None:
        return "undefined"
    return text(value) + ("" if low is None or high is None else f" [{text(low)}, {text(high)}]")


def _all(values: dict[str, Any]) -> Iterator[Row]:
    for scores in values["perplexity"]:
        prior = scores["prior"]
        for name, row in scores["corpora"].items():
            if name == "human":
                shape = estimate_text(row["u_shape"], 1, 100, True)
                numbers = f"smaller outer bin minus largest inner one: {shape} points"
                finding = f"token probabilities of human text form a U ({prior})"
                yield _judged(finding, row["u_shape"], 0, True, numbers)
            elif name in values["edited"]:
                yield _keeps_tail(prior, name, row["position"])
            else:
                yield from _range(prior, name, row["position"])
    if values["words"]:
        yield from _words(values["words"], values["edited"])
    for name, more in values["density"].get("more", {}).items():
        if name not in values["edited"]:
            numbers = f"mean response minus that of human text: {estimate_text(more, 4, 1, True)}"
            finding = f"{name} documents resemble each other more than human ones do"
            yield _judged(finding, more, 0, True, numbers)
    for name, corpus in values["map"].items():
        if name != "human":
            yield _separate(name, corpus, values["map"]["human"], name in values["edited"])


def _range(prior: str, name: str, position: dict[str, Interval]) -> Iterator[Row]:
    lowest, tail, spread = (position[key] for key in ("lowest_quarter", "tail", "spread"))
    numbers = f"{percent(lowest)} % of them (most: 50 %, alike: 25 %)"
    finding = f"most {name} documents lie in the lowest quarter of the human range ({prior})"
    yield _judged(finding, lowest, 0.5, True, numbers)
    width = log_ratio_text(spread)
    numbers = f"interquartile range of log perplexity, ratio to human: {width} (alike: 1)"
    finding = f"{name} text has a narrower perplexity range ({prior})"
    yield _judged(finding, spread, 0, False, numbers)
    numbers = (
        f"{percent(tail)} % of documents above the human 95th percentile "
        f"(lacking: below {100 * TAIL[0]:g} %, alike: 5 %)"
    )
    yield _judged(f"{name} text lacks the human tail ({prior})", tail, TAIL[0], False, numbers)


def _keeps_tail(prior: str, name: str, position: dict[str, Interval]) -> Row:
    tail, (low, high) = position["tail"], TAIL
    ends = [p for p in (_p(tail, low), _p(tail, high)) if p is not None]
    numbers = (
        f"{percent(tail)} % of documents above the human 95th percentile (kept: {100 * low:g} "
        f"to {100 * high:g} %); interquartile range, ratio to human: "
        f"{log_ratio_text(position['spread'])}"
    )
    # p of a value outside the margin is the larger one of its two ends.
    p = max(ends) if len(ends) == 2 else None
    return f"{name} text keeps the human tail ({prior})", judge_within(tail, *TAIL), p, numbers


def _words(words: dict[str, Any], edited: list[str]) -> Iterator[Row]:
    for name, excess in words["excess"].items():
        if name in edited:
            continue
        change = words["difference"][name]
        numbers = (
            f"{estimate_text(change['entropy'], 2, 1, True)} bits; different pairs of all pairs "
            f"{estimate_text(change['distinct_2'], 1, 100, True)} points; runs of four in another "
            f"document {estimate_text(change['self_repetition'], 1, 100, True)} points"
        )
        finding = f"{name} text is over-concentrated: fewer bits a word than human text"
        yield _judged(finding, change["entropy"], 0, False, numbers)
        numbers = (
            f"distance from the reference {estimate_text(words['distance'][name], 3)}, human "
            f"{estimate_text(words['distance']['human'], 3)}; excess "
            f"{estimate_text(excess, 3, 1, True)}{_permuted(excess)}"
        )
        yield _judged(f"{name} text uses other n-grams than human text", excess, 0, True, numbers)
    if judge(words["excess"].get("synthetic", {"low": None, "high": None}), 0, True) != HOLDS:
        return  # nothing to repair
    for name, remaining in words["unrepaired"].items():
        numbers = (
            f"{percent(remaining)} % of the excess of synthetic text "
            f"(repaired: below {100 * REPAIRED:g} %)"
        )
        finding = f"selection by {name} does not repair the n-grams"
        if name in edited:
            finding = f"{name} text uses the n-grams of human text"
        yield _judged(finding, remaining, REPAIRED, name not in edited, numbers)


def _separate(name: str, corpus: dict[str, Any], human: dict[str, Any], edited: bool) -> Row:
    more = corpus["more"]
    numbers = (
        f"nearest neighbours of its own kind: {percent(corpus['purity'])} %, human "
        f"{percent(human['purity'])} %; more by {estimate_text(more, 1, 100, True)} points "
        f"(apart: {100 * APART:g}){_permuted(more)}"
    )
    location = "among human text" if edited else "apart from human text"
    return _judged(f"{name} text lies {location} on the map", more, APART, not edited, numbers)
