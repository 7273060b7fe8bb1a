"""The paper's claims, and what our runs say of each.

``conf/claims.yaml`` fixes every claim: its comparison, direction, margin and family. A claim is
decided at the paper's scale where that was run, else at the embedded scale, by the setting with the
most seeds. The claims about models and edited text are one family (Holm), and the exclusions of
effects as large as the paper's another. Findings about corpora are exploratory and stand in a table
of their own (Benjamini and Hochberg, :mod:`experiments.paper.statistics`); statements of the theory
in a third, without p values.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO

from experiments.analysis.claims import Claim, read_claims
from experiments.analysis.estimate import Estimate
from experiments.analysis.verdicts import (
    CONTRADICTED,
    EQUIVALENT,
    NO_EFFECT,
    NOT_TESTABLE,
    SMALLER,
    SUPPORTED,
    Verdict,
    correct,
    verdict,
)
from experiments.paper.format import difference_text, p_text, signed
from experiments.paper.tables.build import Built
from experiments.paper.tables.cells import AVERAGE, GEOMETRIC, FilledRow
from experiments.paper.tables.columns import BITS
from experiments.paper.tables.comparisons import LEVEL, Comparison
from experiments.paper.tables.files import ESTIMATE

RELATIVE_GAIN = 0.23
"""The smallest gain of ToEdit over the source that the paper prints, relative to the source's gain
over the base model (biomedicine, Llama-3)."""

COLUMNS = {"average": AVERAGE, "geometric mean": GEOMETRIC}
ALIASES = {"OLMo-1B (PT)": "source", "Llama-3": "source", "DSIR": "DSIR (10M)"}
"""Labels of rows that play the part of a claim's row."""


@dataclass(frozen=True)
class Decided:
    """What became of a claim.

    Attributes:
        claim: the statement.
        scale: ``paper``, ``embedded`` or empty.
        verdict: what the estimate says.
        comparison: what it rests on; None where nothing was run.
        p_holm: p corrected over the claims; None where it is not tested.
        p_margin_holm: p of an effect as large as the paper's, corrected over the claims.
        beside: a more sensitive comparison, and what it says by a margin of our own, if there is
            one; it decides nothing.
        older: some run that it rests on is older than the claims are fixed.
    """

    claim: Claim
    scale: str
    verdict: Verdict
    comparison: Comparison | None = None
    p_holm: float | None = None
    p_margin_holm: float | None = None
    beside: tuple[Comparison, Verdict | None] | None = None
    older: bool = False

    @property
    def estimate(self) -> Estimate | None:
        """The difference."""
        return None if self.comparison is None else self.comparison.estimate

    @property
    def word(self) -> str:
        """The verdict, with a dagger where Holm's correction takes its significance away."""
        word = self.verdict.word
        signs = [self.p_holm] if word in (SUPPORTED, SMALLER, CONTRADICTED) else []
        margins = [self.p_margin_holm] if word in (SMALLER, NO_EFFECT, EQUIVALENT) else []
        lost = any(p is not None and p >= LEVEL for p in signs + margins)
        return f"{word} †" if lost else word


def decide(tables: Sequence[Built]) -> list[Decided]:
    """The verdict on every claim."""
    claims, identity = read_claims()
    by_number = {built.table.number: built for built in tables}
    decided = [_decided(own, by_number[own.table], identity["claims_fixed"]) for own in claims]
    tested = {
        own.claim.id: (own.estimate.p, own.verdict.p_margin or 0.0) for own in decided
        if own.estimate and own.estimate.p is not None and own.verdict.word != NOT_TESTABLE
    }  # fmt: skip
    families = [correct(p) for p in zip(*tested.values(), strict=True)]
    corrected = {
        name: {"p_holm": sign, "p_margin_holm": margin}
        for name, sign, margin in zip(tested, *families, strict=True)
    }
    return [replace(own, **corrected.get(own.claim.id, {})) for own in decided]


def _decided(claim: Claim, built: Built, fixed: str) -> Decided:
    """By the first of its blocks that was run; there by the setting with the most seeds."""
    column = COLUMNS.get(claim.column, claim.column)
    for name in claim.blocks:
        for number, block in enumerate(built.blocks):
            found = [
                own
                for own in built.comparisons.pairs
                if (own.block, own.column) == (number, column) and _rows(own, claim)
            ]
            if block.block.name == name and found:
                most = max(found, key=lambda own: own.estimate.n_seeds)
                about = claim.about == "training"
                rows = most.first, most.second
                informative = column != AVERAGE or any(_above_chance(r, column) for r in rows)
                said = verdict(most.estimate, claim.sign, claim.margin, about, informative)
                older = any(
                    result.record["finished"] < fixed
                    for row in rows for result in row.results.values()
                )  # fmt: skip
                return Decided(claim, block.block.scale, said, most,
                               beside=_beside(claim, built, most), older=older)  # fmt: skip
    return Decided(claim, "", verdict(None, claim.sign, claim.margin))


def _rows(own: Comparison, claim: Claim) -> bool:
    labels = [ALIASES.get(row.row.label, row.row.label) for row in (own.first, own.second)]
    return labels == [claim.first, claim.second]


def _above_chance(row: FilledRow, column: str) -> bool:
    """Whether an arm does better than chance and than the commonest answer would."""
    cell = row.cells[column]
    result = next(iter(row.results.values()))
    baselines = []
    for _, metric in cell.observed:
        own = result.record["metrics"][metric.task]
        baselines.append(max((own.get(name) or 0.0) for name in ("random", "majority")))
    level = 100 * sum(baselines) / len(baselines)
    return cell.estimate.low is not None and cell.estimate.low > level


def _beside(
    claim: Claim, built: Built, most: Comparison
) -> tuple[Comparison, Verdict | None] | None:
    """The sensitive column of the same rows, judged by a share of our own gain over the base."""
    if claim.beside != BITS.label:
        return None
    own = next(
        (c for c in built.comparisons.pairs
         if c.column == claim.beside and (c.first, c.second) == (most.first, most.second)), None
    )  # fmt: skip
    if own is None:
        return None
    rows = built.blocks[most.block].rows
    base = next((row for row in rows if row.row.label == "base" and row.cells), None)
    if base is None:
        return own, None
    gain = base.cells[claim.beside].value - own.second.cells[claim.beside].value
    margin = RELATIVE_GAIN * gain
    return own, verdict(own.estimate, -1, margin) if margin > 0 else None


FIELDS = ("id", "claim", "where", "scale", "sign", "margin", "verdict", "p_holm", "p_margin",
          "p_margin_holm", "first", "second", "column", *ESTIMATE)  # fmt: skip


def csv_text(decided: Sequence[Decided]) -> str:
    """The claims as CSV, by :data:`FIELDS`."""
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(FIELDS)
    for own in decided:
        found, on = own.estimate, own.comparison
        labels = [on.first.label, on.second.label, on.column] if on else ["", "", ""]
        numbers = ["" if found is None else getattr(found, name) for name in ESTIMATE]
        claim, said = own.claim, own.verdict
        writer.writerow([claim.id, claim.text, claim.where, own.scale, claim.sign, claim.margin,
                         own.word, own.p_holm, said.p_margin, own.p_margin_holm, *labels,
                         *numbers])  # fmt: skip
    return buffer.getvalue()


HEADER = ("claim", "ours", "95 %", "paper", "verdict")


def rows(decided: Sequence[Decided]) -> list[list[str]]:
    """The claims as text, by :data:`HEADER`: at most 100 characters as a table."""
    return [[own.claim.name, *_numbers(own), own.word] for own in decided]


def _numbers(own: Decided) -> list[str]:
    def shown(value: float) -> str:
        return signed(value, 2) if own.claim.column == "average" else f"×{math.exp(value):.2f}"

    printed, found = shown(own.claim.sign * own.claim.margin), own.estimate
    if found is None:
        return ["", "", printed]
    ends = [shown(end).lstrip("×") for end in (found.low, found.high) if end is not None]
    return [shown(found.value), f"[{', '.join(ends)}]" if ends else "", printed]


def details(decided: Sequence[Decided]) -> list[list[str]]:
    """What each verdict rests on: comparison, seeds and items, p values, and what is beside it."""
    found = []
    for own in decided:
        claim = [own.claim.name, f"{own.claim.text} ({own.claim.where})"]
        if own.comparison is None:
            found.append([*claim, *[""] * 8])
            continue
        estimate, comparison = own.comparison.estimate, own.comparison
        seeds = "1 seed" if estimate.n_seeds == 1 else f"{estimate.n_seeds} seeds"
        beside = ""
        if own.beside is not None:
            other, said = own.beside
            beside = f"{other.column}: {difference_text(other.estimate, other.metric.digits)}"
            beside += f", p {p_text(other.estimate.p)}" + (f", {said.word}" if said else "")
        found.append(
            [*claim, f"{comparison.first.label} − {comparison.second.label}, {comparison.column}"
             f" ({own.scale}{', older runs' if own.older else ''})",
             f"{seeds}, {estimate.n_items} items", p_text(estimate.p), p_text(own.p_holm),
             p_text(own.verdict.p_margin), p_text(own.p_margin_holm), own.verdict.why, beside]
        )  # fmt: skip
    return found


DETAILS = ("", "claim", "comparison", "rests on", "p", "p, Holm", "p, as large as the paper's",
           "that p, Holm", "why", "beside it")  # fmt: skip


def note() -> str:
    """What the table of claims means."""
    claims, identity = read_claims()
    return (
        f"{len(claims)} claims, fixed in conf/claims.yaml on {identity['claims_fixed']} "
        f"({identity['claims_sha256']}). The 95 % interval decides the sign, the 90 % interval "
        "whether an effect as large as the paper's is excluded; equivalent: in both directions, "
        "which does not mean none. Not testable: one seed for a claim about training, or no arm "
        "better than chance and the majority answer. † not significant after Holm over the claims "
        "that are testable, signs and margins each. Older runs: finished before the claims were "
        "fixed, which then are fixed only before later seeds. Bits per byte are those of held-out "
        "source text, which favours training on the source; they decide nothing."
    )
