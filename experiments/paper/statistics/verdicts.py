"""Each finding of the paper against what was measured, with its interval.

A finding names a threshold. It holds where the whole interval is on its side of it, fails where it
is on the other side, and is undecided where it is on both. That edited text lacks nothing is not
taken from a missing difference: it has to lie within a margin that is printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from experiments.paper.statistics.intervals import Interval

HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"
TAIL = (0.025, 0.075)
"""Shares of documents above the human 95th percentile that count as the human tail: its own 5 %,
half of it more or less."""

REPAIRED = 0.5
"""Share of the synthetic excess that may be left in text that counts as repaired."""

APART = 0.05
"""Share of nearest neighbours of its own kind, beyond that of human text, from which on a corpus
counts as lying apart."""


def verdicts(values: dict[str, Any]) -> list[dict[str, str]]:
    """Findings II to IV of the paper, and the edited text beside them."""
    return [
        {"finding": finding, "found": found, "numbers": numbers}
        for finding, found, numbers in _all(values)
    ]


def _all(values: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
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
                   judge(found, 0, True), numbers)  # fmt: skip
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


def _shape(prior: str, row: dict[str, Any]) -> tuple[str, str, str]:
    return (
        f"token probabilities of human text form a U ({prior})",
        judge(row["u_shape"], 0, True),
        f"smaller outer bin minus largest inner one: {shown(row['u_shape'], 1, 100, True)} points",
    )


def _range(prior: str, name: str, place: dict[str, Interval]) -> Iterator[tuple[str, str, str]]:
    lowest, tail, spread = place["lowest_quarter"], place["tail"], place["spread"]
    yield (
        f"most {name} documents lie in the lowest quarter of the human range ({prior})",
        judge(lowest, 0.5, True),
        f"{percent(lowest)} % of them (most: 50 %, alike: 25 %)",
    )
    yield (
        f"{name} text has a narrower perplexity range ({prior})",
        judge(spread, 1, False),
        f"interquartile range of log perplexity, ratio to human: {shown(spread)} (alike: 1)",
    )
    yield (
        f"{name} text lacks the human tail ({prior})",
        judge(tail, TAIL[0], False),
        f"{percent(tail)} % of documents above the human 95th percentile "
        f"(lacking: below {100 * TAIL[0]:g} %, alike: 5 %)",
    )


def _kept(prior: str, name: str, place: dict[str, Interval]) -> tuple[str, str, str]:
    low, high = (100 * end for end in TAIL)
    return (
        f"{name} text keeps the human tail ({prior})",
        judge_within(place["tail"], *TAIL),
        f"{percent(place['tail'])} % of documents above the human 95th percentile (kept: {low:g} "
        f"to {high:g} %); interquartile range, ratio to human: {shown(place['spread'])}",
    )


def _words(words: dict[str, Any], edited: list[str]) -> Iterator[tuple[str, str, str]]:
    for name, excess in words["excess"].items():
        if name in edited:
            continue
        change = words["difference"][name]
        yield (
            f"{name} text is over-concentrated: fewer bits a word than human text",
            judge(change["entropy"], 0, False),
            f"{shown(change['entropy'], 2, 1, True)} bits; different pairs of all pairs "
            f"{shown(change['distinct_2'], 1, 100, True)} points; runs of four in another "
            f"document {shown(change['self_repetition'], 1, 100, True)} points",
        )
        yield (
            f"{name} text uses other n-grams than human text",
            judge(excess, 0, True),
            f"distance from the reference {shown(words['distance'][name], 3)}, human "
            f"{shown(words['distance']['human'], 3)}; excess {shown(excess, 3, 1, True)}",
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
                   judge(left, REPAIRED, False), numbers)  # fmt: skip
        else:
            yield (f"selection by {name} does not repair the n-grams",
                   judge(left, REPAIRED, True), numbers)  # fmt: skip


def _apart(
    name: str, own: dict[str, Any], human: dict[str, Any], edited: bool
) -> tuple[str, str, str]:
    numbers = (
        f"nearest neighbours of its own kind: {percent(own['purity'])} %, human "
        f"{percent(human['purity'])} %; more by {shown(own['more'], 1, 100, True)} points "
        f"(apart: {100 * APART:g})"
    )
    if edited:
        finding = f"{name} text lies among human text on the map"
        return finding, judge(own["more"], APART, False), numbers
    finding = f"{name} text lies apart from human text on the map"
    return finding, judge(own["more"], APART, True), numbers
