"""Rows of the report's forest plot, its headline numbers, and a section for every claim."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from experiments.reports import claims
from experiments.reports.claims import ClaimVerdict
from experiments.reports.forest import LIMIT, in_margins
from experiments.reports.tables.build import FilledTable
from experiments.reports.tables.cells import FilledBlock
from experiments.reports.verdict_groups import GROUPS, Group, restatements, summary

HEADLINES = {
    "synthetic": "perplexity of human text after training on synthetic instead of human text",
    "pretrain_toedit_bits": "bits per byte of human text after training on edited instead of "
    "source text",
}
"""Claims whose estimates are headline numbers, collapse and editing, and what the number is."""


@dataclass(frozen=True)
class Row:
    """A claim in the forest plot.

    Attributes:
        item: the claim with its verdict.
    """

    item: ClaimVerdict

    @property
    def group(self) -> Group:
        """How the verdict is drawn."""
        return GROUPS[self.item.verdict.word]

    @property
    def label(self) -> str:
        """Short name; the measure alone if the claim restates the one above it."""
        return claims.label(self.item.claim)

    @property
    def numbers(self) -> tuple[str, str, str, str]:
        """Estimate, 95 % interval, printed value and margin as text, empty where there is none."""
        value, interval, margin = claims.numbers(self.item)
        printed = "" if isinstance(self.item.claim.margin, dict) else margin
        return value, interval, printed if self.item.claim.family == "paper" else "", margin

    @property
    def drawn(self) -> dict[str, float | bool | None] | None:
        """Ends of the interval and the estimate in margins, cut at the axis; None if not drawn."""
        ends = in_margins(self.item)
        if ends is None:
            return None
        value, low, high = ends
        return {
            "low": max(-LIMIT, min(LIMIT, low)),
            "high": max(-LIMIT, min(LIMIT, high)),
            "value": value if abs(value) <= LIMIT else None,
            "beyond_low": low < -LIMIT,
            "beyond_high": high > LIMIT,
        }

    @property
    def basis(self) -> list[tuple[str, str]]:
        """Names and texts of what the verdict rests on."""
        (line,) = claims.details([self.item])
        return [(name, text) for name, text in zip(claims.DETAILS[2:], line[2:], strict=True)
                if text]  # fmt: skip


class Headline(NamedTuple):
    """A headline number with its explanation and the id of the section about it."""

    number: str
    text: str
    target: str


def headlines(
    decisions: Sequence[ClaimVerdict], models: int, hours: float, filled: int, total: int
) -> Iterator[Headline]:
    """Yield the five headline numbers.

    Args:
        decisions: all claims.
        models: number of evaluated models.
        hours: that they took.
        filled: cells of the tables with a number of our own runs.
        total: all cells.
    """
    supported, paper, others = summary(decisions)
    text = "; ".join(["claims of the paper supported", *others])
    yield Headline(f"{supported} of {paper}", text, "claims")
    for item in decisions:
        if item.claim.id in HEADLINES:
            value, interval, printed, _ = Row(item).numbers
            words = [HEADLINES[item.claim.id], item.word, interval and f"95 %: {interval}",
                     printed and f"printed: {printed}"]  # fmt: skip
            target = f"claim-{item.claim.of or item.claim.id}"
            yield Headline(value or "not run", "; ".join(filter(None, words)), target)
    yield Headline(str(models), f"models trained and evaluated in {hours:.0f} hours", "ledger")
    yield Headline(f"{filled} of {total}", "cells of the tables filled by our runs", "tables")


class Placed(NamedTuple):
    """A block of a table: the table, the number of the block in it, and the block."""

    table: FilledTable
    number: int
    block: FilledBlock

    @property
    def id(self) -> str:
        """Its id on the page."""
        return f"table{self.table.table.number}-{self.block.block.name}"


class Section(NamedTuple):
    """A claim, what restates it, and the blocks of tables that it reads.

    Attributes:
        rows: the claim, then those that restate it.
        blocks: not shown in an earlier section.
        earlier: shown there.
    """

    rows: list[Row]
    blocks: list[Placed]
    earlier: list[Placed]


def sections(
    decisions: Sequence[ClaimVerdict], tables: Sequence[FilledTable]
) -> tuple[list[Section], dict[str, str]]:
    """Return a section per claim, and the id of the claim that shows each block by its id."""
    shown: dict[str, str] = {}
    found: list[Section] = []
    for first in (item for item in decisions if item.claim.of is None):
        own = restatements(first, decisions)
        read = {(item.claim.table, name) for item in own for name in item.claim.blocks}
        blocks = [placed for table in tables for placed in blocks_of(table)
                  if (table.table.number, placed.block.block.name) in read]  # fmt: skip
        new = [placed for placed in blocks if placed.id not in shown]
        shown |= {placed.id: first.claim.id for placed in new}
        found.append(Section([Row(item) for item in own], new,
                             [placed for placed in blocks if placed not in new]))  # fmt: skip
    return found, shown


def blocks_of(table: FilledTable) -> list[Placed]:
    """Return the blocks of a table that are displayed."""
    return [Placed(table, number, block) for number, block in table.numbered]
