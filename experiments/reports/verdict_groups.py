"""Group verdicts on claims by how they are drawn, and count the claims of the paper by group."""

from collections.abc import Sequence
from typing import NamedTuple

from experiments.analysis import verdicts
from experiments.reports.claims import ClaimVerdict


class Group(NamedTuple):
    """Verdicts that are drawn alike: class in the page, symbol, label, and colour of figures."""

    name: str
    symbol: str
    label: str
    colour: str


YES = Group("yes", "✓", "supported", "#009E73")
NO = Group("no", "✗", "contradicted", "#D55E00")
NONE = Group("none", "≈", "effect ruled out", "#0072B2")
OPEN = Group("open", "?", "undecided", "#E69F00")
CANNOT = Group("cannot", "–", "not testable", "0.55")
MISSING = Group("missing", "○", "not run", "0.55")
GROUPS = {
    verdicts.SUPPORTED: YES, verdicts.SMALLER: YES, verdicts.CONTRADICTED: NO,
    verdicts.EQUIVALENT: NONE, verdicts.NO_EFFECT: NONE, verdicts.UNDECIDED: OPEN,
    verdicts.TOO_SMALL: CANNOT, verdicts.NOT_TESTABLE: CANNOT, verdicts.NOT_RUN: MISSING,
}  # fmt: skip


def groups(decisions: Sequence[ClaimVerdict]) -> list[tuple[Group, int]]:
    """Return the groups of verdicts that occur, with the number of claims in each."""
    found = [GROUPS[item.verdict.word] for item in decisions]
    return [(group, found.count(group)) for group in dict.fromkeys(GROUPS.values())
            if group in found]  # fmt: skip


def restatements(first: ClaimVerdict, decisions: Sequence[ClaimVerdict]) -> list[ClaimVerdict]:
    """Return a claim and those that restate it in another measure."""
    return [item for item in decisions if first.claim.id in (item.claim.id, item.claim.of)]


def _decided(items: Sequence[ClaimVerdict]) -> Group:
    """Return the group of the first verdict that a test reached, else that of the claim itself."""
    found = [GROUPS[item.verdict.word] for item in items]
    return next((group for group in found if group not in (CANNOT, MISSING)), found[0])


def summary(decisions: Sequence[ClaimVerdict]) -> tuple[int, int, list[str]]:
    """Count the claims of the paper by group, by their restatement where only that was testable.

    Returns:
        Number of supported claims, number of all, and number and label of each other group.
    """
    paper = [item for item in decisions if item.claim.family == "paper" and not item.claim.of]
    reached = [_decided(restatements(first, decisions)) for first in paper]
    others = [f"{count} {group.label}" for group in dict.fromkeys(GROUPS.values())
              if group is not YES and (count := reached.count(group))]  # fmt: skip
    return reached.count(YES), len(paper), others
