"""Each finding of the paper against what was measured, with its interval.

A finding holds where the whole interval is on its side of the value that would be seen if there
were nothing to find, fails where it is on the other side, and is undecided where it is on both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from experiments.paper.statistics.intervals import Interval

HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"
KEPT = 0.025
"""Share of documents above the human 95th percentile that counts as a tail: half of its own."""


def verdicts(values: dict[str, Any]) -> list[dict[str, str]]:
    """Findings II to IV of the paper, and the edited text beside them."""
    return [
        {"finding": finding, "found": found, "numbers": numbers}
        for finding, found, numbers in _all(values)
    ]


def _all(values: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for own in values["perplexity"]:
        yield from _perplexity(own, values)
    if values["words"]:
        yield from _words(values["words"], values)
    yield from _map(values)


def judge(found: Interval, null: float, above: bool) -> str:
    """Whether an interval lies on the side of a finding."""
    low, high = found["low"], found["high"]
    if low is None or high is None:
        return UNDECIDED
    if low > null:
        return HOLDS if above else FAILS
    if high < null:
        return FAILS if above else HOLDS
    return UNDECIDED


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


def _perplexity(own: dict[str, Any], values: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    prior, rows = own["prior"], own["corpora"]
    shape = rows["human"]["u_shape"]
    yield (
        f"Token probabilities of human text form a U ({prior})", judge(shape, 0, True),
        "smaller outer bin minus largest inner one: " + shown(shape, 1, 100, True) + " points",
    )  # fmt: skip
    for name, row in rows.items():
        if name == "human":
            continue
        place = row["position"]
        if name in values["edited"]:
            tail = place["tail"]
            yield (
                f"{name} text keeps the human tail ({prior})", judge(tail, KEPT, True),
                f"documents above the human 95th percentile: {percent(tail)} % (human: 5 %); "
                f"interquartile range, ratio to human: {shown(place['spread'])}",
            )  # fmt: skip
            continue
        lowest, tail, spread = place["lowest_quarter"], place["tail"], place["spread"]
        yield (
            f"{name} documents lie in the lowest quarter of the human range ({prior})",
            judge(lowest, 0.25, True), f"{percent(lowest)} % of them (alike: 25 %)",
        )  # fmt: skip
        yield (
            f"{name} text has a narrower perplexity range ({prior})", judge(spread, 1, False),
            f"interquartile range of log perplexity, ratio to human: {shown(spread)}",
        )  # fmt: skip
        yield (
            f"{name} text lacks the human tail ({prior})", judge(tail, 0.05, False),
            f"{percent(tail)} % of documents above the human 95th percentile (alike: 5 %)",
        )  # fmt: skip


def _words(words: dict[str, Any], values: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, excess in words["excess"].items():
        if name in values["edited"]:
            continue
        change = words["difference"][name]
        yield (
            f"{name} text is over-concentrated: fewer bits a word than human text",
            judge(change["entropy"], 0, False),
            f"{shown(change['entropy'], 2, 1, True)} bits; different pairs of all pairs "
            f"{shown(change['distinct_2'], 1, 100, True)} points; runs of four in another "
            f"document {shown(change['self_repetition'], 1, 100, True)} points",
        )  # fmt: skip
        yield (
            f"{name} text uses other n-grams than human text", judge(excess, 0, True),
            f"distance from the reference {shown(words['distance'][name], 3)}, human "
            f"{shown(words['distance']['human'], 3)}; excess {shown(excess, 3, 1, True)}",
        )  # fmt: skip
    for name, left in words["unrepaired"].items():
        if name in values["edited"]:
            yield (
                f"{name} text uses the n-grams of human text",
                judge(words["excess"][name], 0.5 * (words["excess"].get("synthetic", {})
                                                    .get("value") or 0), False),
                f"excess {shown(words['excess'][name], 4, 1, True)}"
                + _share_of_synthetic(left),
            )  # fmt: skip
        elif left["value"] is not None:
            yield (
                f"selection by {name} does not repair the n-grams", judge(left, 0.5, True),
                f"{percent(left)} % of the excess of synthetic text remain",
            )  # fmt: skip


def _share_of_synthetic(left: Interval) -> str:
    return "" if left["value"] is None else f", {percent(left)} % of that of synthetic text"


def _map(values: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, row in values["map"].items():
        if name == "human":
            continue
        human, own = values["map"]["human"]["purity"], row["purity"]
        if human["value"] is None or own["value"] is None or own["low"] is None:
            continue
        numbers = f"nearest neighbours of its own kind: {percent(own)} % (human {percent(human)} %)"
        if name in values["edited"]:
            apart = judge(own, human["high"] or human["value"], True)
            found = {HOLDS: FAILS, FAILS: HOLDS, UNDECIDED: HOLDS}[apart]
            yield f"{name} text lies among human text on the map", found, numbers
        else:
            found = judge(own, human["high"] or human["value"], True)
            yield f"{name} text lies apart from human text on the map", found, numbers
