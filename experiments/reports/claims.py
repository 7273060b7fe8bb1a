"""The paper's claims, and what our runs say of each.

``conf/claims.yaml`` fixes every claim: its comparison, direction, margin and family. A claim is
decided at the paper's scale where that was run, else at the embedded scale, by the setting with the
most seeds. The claims about models and edited text are one family (Holm), and the exclusions of
effects as large as the paper's another. Findings about corpora are exploratory and have a table of
their own (Benjamini and Hochberg, :mod:`experiments.reports.statistics`); statements of the theory
have a third, without p values.
"""

import csv
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

from experiments.analysis.claims import Claim, read_claims
from experiments.analysis.estimate import Estimate
from experiments.analysis.verdicts import (
    CONTRADICTED,
    EQUIVALENT,
    NO_EFFECT,
    NOT_TESTABLE,
    SMALLER,
    SUPPORTED,
    TOO_SMALL,
    Verdict,
    correct,
    verdict,
)
from experiments.reports.format import p_text, signed
from experiments.reports.tables.build import FilledTable
from experiments.reports.tables.cells import AVERAGE, GEOMETRIC, FilledRow
from experiments.reports.tables.comparisons import LEVEL, Comparison
from experiments.reports.tables.files import ESTIMATE

BASE, SOURCE, LONGER = "base", "source", "source, 10 % more tokens"
MARGINS = {"share_of_gain": (BASE,), "more_tokens": (SOURCE, LONGER)}
"""The rows from which a margin is taken, by its rule; a share of the gain is that of the claim's
second row over the base."""

COLUMNS = {"average": AVERAGE, "geometric mean": GEOMETRIC}
ALIASES = {"OLMo-1B (PT)": "source", "Llama-3": "source", "DSIR": "DSIR (10M)"}
"""Labels of rows that play the part of a claim's row."""


@dataclass(frozen=True)
class ClaimVerdict:
    """What became of a claim.

    Attributes:
        claim: the statement.
        scale: ``paper``, ``embedded`` or empty.
        verdict: what the estimate says.
        comparison: what it rests on; None where nothing was run.
        p_holm: p corrected over the claims; None where it is not tested.
        p_margin_holm: p of an effect as large as the margin, corrected over the claims.
        margin: the effect worth having, on the scale of the comparison; None where our own runs
            set it and what it is taken from was not run.
        title: of the block of the table it rests on.
        older: some run that it rests on is older than the claims are fixed.
    """

    claim: Claim
    scale: str
    verdict: Verdict
    comparison: Comparison | None = None
    p_holm: float | None = None
    p_margin_holm: float | None = None
    margin: float | None = None
    older: bool = False
    title: str = ""

    @property
    def estimate(self) -> Estimate | None:
        """The difference."""
        return None if self.comparison is None else self.comparison.estimate

    @property
    def lost(self) -> bool:
        """Whether Holm's correction takes the verdict's significance away."""
        word = self.verdict.word
        signs = [self.p_holm] if word in (SUPPORTED, SMALLER, CONTRADICTED) else []
        margins = [self.p_margin_holm] if word in (SMALLER, NO_EFFECT, EQUIVALENT) else []
        return any(p is not None and p >= LEVEL for p in signs + margins)

    @property
    def word(self) -> str:
        """The verdict, with a dagger where it is lost to the correction."""
        return f"{self.verdict.word} †" if self.lost else self.verdict.word


def decide(tables: Sequence[FilledTable]) -> list[ClaimVerdict]:
    """The verdict on every claim."""
    claims, identity = read_claims()
    by_number = {built.table.number: built for built in tables}
    decided = [_decided(own, by_number[own.table], identity["claims_fixed"]) for own in claims]
    untested = NOT_TESTABLE, TOO_SMALL
    families: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for own in decided:
        if own.estimate and own.estimate.p is not None and own.verdict.word not in untested:
            p = own.estimate.p, own.verdict.p_margin or 0.0
            families[own.claim.family][own.claim.id] = p
    corrected: dict[str, dict[str, Any]] = {}
    for tested in families.values():
        columns = [correct(p) for p in zip(*tested.values(), strict=True)]
        for name, sign, margin in zip(tested, *columns, strict=True):
            corrected[name] = {"p_holm": sign, "p_margin_holm": margin}
    return [_corrected(own, corrected.get(own.claim.id, {})) for own in decided]


def _corrected(own: ClaimVerdict, found: dict[str, Any]) -> ClaimVerdict:
    untested = {"p_margin_holm": None} if own.verdict.p_margin is None else {}
    return replace(own, **{**found, **untested})


def _decided(claim: Claim, built: FilledTable, fixed: str) -> ClaimVerdict:
    """By the first of its blocks that was run; there by the setting with the most seeds."""
    column = COLUMNS.get(claim.column, claim.column)
    for name in claim.blocks:
        for number, block in enumerate(built.blocks):
            found = [
                own
                for pair in built.comparisons.pairs
                for own in (pair, pair.turned)
                if (own.block, own.column) == (number, column) and _rows(own, claim)
            ]
            if block.block.name == name and found:
                most = max(found, key=lambda own: own.estimate.n_seeds)
                about = claim.about == "training"
                rows = most.first, most.second
                informative = column != AVERAGE or any(_above_chance(r, column) for r in rows)
                margin = _margin(claim, block.rows, most)
                said = verdict(most.estimate, claim.sign, margin, about, informative)
                if said.word == TOO_SMALL and claim.model:
                    said = replace(said, why=f"{said.why} (the paper: {claim.model})")
                older = any(
                    result.record["finished"] < fixed
                    for row in rows for result in row.results.values()
                )  # fmt: skip
                return ClaimVerdict(
                    claim, block.block.scale, said, most, margin=margin, older=older,
                    title=block.block.title,
                )  # fmt: skip
    printed = None if isinstance(claim.margin, dict) else claim.margin
    return ClaimVerdict(claim, "", verdict(None, claim.sign, printed), margin=printed)


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


def _margin(claim: Claim, rows: Sequence[FilledRow], on: Comparison) -> float | None:
    """The margin of a claim: a printed gain, or what our own runs gain by its rule.

    The gain is a mean over the seeds that both rows have; None where there is none.
    """
    if not isinstance(claim.margin, dict):
        return claim.margin
    ((rule, share),) = claim.margin.items()
    first, last = _row(rows, BASE, on), on.second
    if rule == "more_tokens":
        first, longer = _row(rows, SOURCE, on), _row(rows, LONGER, on)
        if longer is None:
            return None
        last, share = longer, 1.0
    if first is None:
        return None
    before, after = first.cells[on.column].seeds, last.cells[on.column].seeds
    shared = [(before.get(seed, before.get(None)), value) for seed, value in after.items()]
    gains = [own - value for own, value in shared if own is not None]
    gain = share * (sum(gains) / len(gains)) * (1 if on.metric.lower else -1) if gains else 0.0
    return gain if gain > 0 else None


def _row(rows: Sequence[FilledRow], label: str, on: Comparison) -> FilledRow | None:
    """The row of a label that was evaluated as the rows of a comparison were."""

    def evaluated(row: FilledRow) -> str:
        return next(iter(row.results.values())).context[0]

    found = (row for row in rows if row.row.label == label and on.column in row.cells)
    return next((row for row in found if evaluated(row) == evaluated(on.second)), None)


FIELDS = ("id", "claim", "where", "scale", "sign", "margin", "verdict", "p_holm", "p_margin",
          "p_margin_holm", "first", "second", "column", *ESTIMATE)  # fmt: skip


def csv_text(decided: Sequence[ClaimVerdict]) -> str:
    """The claims as CSV, by :data:`FIELDS`."""
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(FIELDS)
    for own in decided:
        found, on = own.estimate, own.comparison
        labels = [on.first.label, on.second.label, on.column] if on else ["", "", ""]
        numbers = ["" if found is None else getattr(found, name) for name in ESTIMATE]
        claim, said = own.claim, own.verdict
        writer.writerow([claim.id, claim.text, claim.where, own.scale, claim.sign, own.margin,
                         own.word, own.p_holm, said.p_margin, own.p_margin_holm, *labels,
                         *numbers])  # fmt: skip
    return buffer.getvalue()


HEADER = ("claim", "ours", "95 %", "margin", "verdict")


def rows(decided: Sequence[ClaimVerdict]) -> list[list[str]]:
    """The claims as text, by :data:`HEADER`: at most 100 characters as a table."""
    return [[label(own.claim), *_numbers(own), own.word] for own in decided]


def label(claim: Claim) -> str:
    """A claim's short name; of one that restates the claim before it, its measure."""
    return claim.name if claim.of is None else measure(claim)


def measure(claim: Claim) -> str:
    """The measure of a claim that restates another."""
    return f"– {claim.column.removeprefix('held-out ')}"


def told(own: ClaimVerdict) -> str:
    """A claim in a sentence: what it says, our number and the margin."""
    text = own.claim.text[0].lower() + own.claim.text[1:]
    value, ends, margin = _numbers(own)
    if not value:
        return text
    found = own.estimate
    seeds = "" if found is None or found.n_seeds < 2 else f", {found.n_seeds} seeds"
    return f"{text} ({value} {ends}{seeds}; margin {margin or 'none'})"


def _numbers(own: ClaimVerdict) -> list[str]:
    def shown(value: float) -> str:
        if own.claim.column == GEOMETRIC or own.claim.about == "text":
            return f"×{math.exp(value):.2f}"
        return signed(value, 2 if own.claim.column == "average" else 4)

    found = own.estimate
    margin = "" if own.margin is None else shown(own.claim.sign * own.margin)
    if found is None:
        return ["", "", margin]
    ends = [shown(end).lstrip("×") for end in (found.low, found.high) if end is not None]
    return [shown(found.value), f"[{', '.join(ends)}]" if ends else "", margin]


def details(decided: Sequence[ClaimVerdict]) -> list[list[str]]:
    """What each verdict rests on: comparison, seeds and items, p values, and what is beside it."""
    found = []
    for own in decided:
        claim = [label(own.claim), f"{own.claim.text} ({own.claim.where})"]
        if own.comparison is None:
            found.append([*claim, *[""] * 7])
            continue
        estimate, comparison = own.comparison.estimate, own.comparison
        seeds = "1 seed" if estimate.n_seeds == 1 else f"{estimate.n_seeds} seeds"
        found.append(
            [*claim, f"{comparison.first.label} − {comparison.second.label}, {comparison.column}"
             f" ({own.scale}{', older runs' if own.older else ''})",
             f"{seeds}, {estimate.n_items} items", p_text(estimate.p), p_text(own.p_holm),
             p_text(own.verdict.p_margin), p_text(own.p_margin_holm), own.verdict.why]
        )  # fmt: skip
    return found


DETAILS = ("", "claim", "comparison", "rests on", "p", "p, Holm", "p, as large as the margin",
           "that p, Holm", "why")  # fmt: skip


def note() -> str:
    """What the table of claims means."""
    claims, identity = read_claims()
    own = sum(claim.family == "ours" for claim in claims)
    restated = sum(claim.of is not None for claim in claims)
    return (
        f"{len(claims) - own - restated} claims of the paper, {restated} of them also in a measure "
        f"that small models can be told apart by, and {own} questions of ours, fixed in "
        f"conf/claims.yaml on {identity['claims_fixed']} ({identity['claims_sha256']}). Margins: "
        "the paper's printed gain; in bits per byte 0.23 of the gain over the base model, the "
        "smallest share that the paper prints, or, from scratch, what 10 % more tokens gain. The "
        "95 % interval decides the sign, the 90 % interval whether an effect as large as the "
        "margin is excluded; equivalent: in both directions, which does not mean none. Not "
        "testable: one seed for a claim about training; at this size: no arm better than chance "
        "and the majority answer. † not significant after Holm over the testable claims of a "
        "family (the paper's, ours), signs and margins each. Older runs: finished before the "
        "claims were fixed, which then are fixed only before later seeds. Bits per byte are those "
        "of held-out source text, which favours training on the source."
    )
