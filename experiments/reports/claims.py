"""Decide the claims of the paper and our own questions from the comparisons of the tables.

``conf/claims.yaml`` fixes every claim: its comparison, direction, margin and family. A claim is
decided at the paper's scale if that was run, else at the embedded scale, by the setting with the
most seeds. The claims about models and edited text are one family (Holm), and the exclusions of
effects as large as the paper's another. Findings about corpora are exploratory and have a table of
their own (Benjamini and Hochberg, :mod:`experiments.reports.statistics`); statements of the theory
have a third, without p values.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.analysis import verdicts
from experiments.analysis.claims import Claim, read_claims
from experiments.analysis.estimate import Estimate
from experiments.reports.format import csv_table, p_text, signed
from experiments.reports.tables.build import FilledTable
from experiments.reports.tables.cells import AVERAGE, GEOMETRIC, FilledRow
from experiments.reports.tables.comparisons import LEVEL, Comparison
from experiments.reports.tables.files import ESTIMATE

BASE, SOURCE, LONGER = "base", "source", "source, 10 % more tokens"
MARGINS = {"share_of_gain": (BASE,), "more_tokens": (SOURCE, LONGER)}
"""Rows that each rule for margins reads; ``share_of_gain`` takes the gain of the claim's second row
over the base."""

COLUMNS = {"average": AVERAGE, "geometric mean": GEOMETRIC}
ALIASES = {"OLMo-1B (PT)": "source", "Llama-3": "source", "DSIR": "DSIR (10M)"}
"""Names in the claims of rows that the tables label otherwise."""


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim with its verdict and the comparison that decides it.

    Attributes:
        claim: the statement.
        scale: ``paper``, ``embedded``, or empty if nothing was run.
        verdict: of the estimate.
        comparison: that decides the claim; None if nothing was run.
        p_holm: p corrected over the claims; None if it is not tested.
        p_margin_holm: p of an effect as large as the margin, corrected over the claims.
        margin: smallest effect of interest, on the scale of the comparison; None if our own runs
            set it and those were not run.
        older: some run of the comparison finished before the claims were fixed.
        title: of the block with the comparison.
    """

    claim: Claim
    scale: str
    verdict: verdicts.Verdict
    comparison: Comparison | None = None
    p_holm: float | None = None
    p_margin_holm: float | None = None
    margin: float | None = None
    older: bool = False
    title: str = ""

    @property
    def estimate(self) -> Estimate | None:
        """The estimated difference; None if nothing was run."""
        return None if self.comparison is None else self.comparison.estimate

    @property
    def insignificant(self) -> bool:
        """Whether a p value of the verdict is not significant after Holm's correction."""
        word = self.verdict.word
        sign = word in (verdicts.SUPPORTED, verdicts.SMALLER, verdicts.CONTRADICTED)
        margin = word in (verdicts.SMALLER, verdicts.NO_EFFECT, verdicts.EQUIVALENT)
        values = [self.p_holm] * sign + [self.p_margin_holm] * margin
        return any(p is not None and p >= LEVEL for p in values)

    @property
    def word(self) -> str:
        """The verdict, with a dagger if it is not significant after the correction."""
        return f"{self.verdict.word} †" if self.insignificant else self.verdict.word


def decide(tables: Sequence[FilledTable]) -> list[ClaimVerdict]:
    """Decide every claim, and correct the p values of each family of claims by Holm."""
    claims, identity = read_claims()
    by_number = {table.table.number: table for table in tables}
    fixed = identity["claims_fixed"]
    decisions = [_decide(claim, by_number[claim.table], fixed) for claim in claims]
    families: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for index, item in enumerate(decisions):
        p = None if item.estimate is None else item.estimate.p
        if p is not None and item.verdict.word not in (verdicts.NOT_TESTABLE, verdicts.TOO_SMALL):
            families[item.claim.family].append((index, p))
    for tested in families.values():
        signs = verdicts.correct([p for _, p in tested])
        margins = [decisions[index].verdict.p_margin for index, _ in tested]
        corrected = verdicts.correct([p or 0.0 for p in margins])
        for (index, _), sign, margin, p in zip(tested, signs, margins, corrected, strict=True):
            decision = decisions[index]
            p_margin = None if margin is None else p
            decisions[index] = replace(decision, p_holm=sign, p_margin_holm=p_margin)
    return decisions


def _decide(claim: Claim, table: FilledTable, fixed: str) -> ClaimVerdict:
    """Decide a claim by the first of its blocks that was run, there by the setting with the most
    seeds; ``fixed`` is the date on which the claims were fixed."""
    column = COLUMNS.get(claim.column, claim.column)
    candidates: dict[str, list[Comparison]] = defaultdict(list)
    for pair in (pair for pair in table.comparisons.pairs if pair.column == column):
        for comparison in (pair, pair.swapped):
            labels = [row.row.label for row in (comparison.first, comparison.second)]
            if [ALIASES.get(label, label) for label in labels] == [claim.first, claim.second]:
                candidates[table.blocks[pair.block].block.name].append(comparison)
    name = next((name for name in claim.blocks if name in candidates), None)
    if name is None:
        printed = None if isinstance(claim.margin, dict) else claim.margin
        return ClaimVerdict(claim, "", verdicts.verdict(None, claim.sign, printed), margin=printed)
    comparison = max(candidates[name], key=lambda candidate: candidate.estimate.n_seeds)
    block = table.blocks[comparison.block]
    rows = comparison.first, comparison.second
    informative = column != AVERAGE or any(_above_chance(row, column) for row in rows)
    margin = _margin(claim, block.rows, comparison)
    about_training = claim.about == "training"
    result = verdicts.verdict(comparison.estimate, claim.sign, margin, about_training, informative)
    if result.word == verdicts.TOO_SMALL and claim.model:
        result = replace(result, why=f"{result.why} (the paper: {claim.model})")
    finished = [r.record["finished"] for row in rows for r in row.results.values()]
    return ClaimVerdict(
        claim, block.block.scale, result, comparison, margin=margin, older=min(finished) < fixed,
        title=block.block.title,
    )  # fmt: skip


def _above_chance(row: FilledRow, column: str) -> bool:
    """Return whether an average is significantly above chance and above the majority answer."""
    cell = row.cells[column]
    result = next(iter(row.results.values()))
    baselines = []
    for _, metric in cell.observed:
        measured = result.record["metrics"][metric.task]
        baselines.append(max((measured.get(name) or 0.0) for name in ("random", "majority")))
    level = 100 * sum(baselines) / len(baselines)
    return cell.estimate.low is not None and cell.estimate.low > level


def _margin(claim: Claim, rows: Sequence[FilledRow], comparison: Comparison) -> float | None:
    """Return the margin of a claim: a printed gain, or a gain of our own runs by its rule.

    The gain is a mean over the seeds that both rows have; None if there is no such seed or no gain.
    """
    if not isinstance(claim.margin, dict):
        return claim.margin
    ((rule, share),) = claim.margin.items()
    first, last = _row(rows, BASE, comparison), comparison.second
    if rule == "more_tokens":
        first, longer = _row(rows, SOURCE, comparison), _row(rows, LONGER, comparison)
        if longer is None:
            return None
        last, share = longer, 1.0
    if first is None:
        return None
    before, after = (row.cells[comparison.column].seeds for row in (first, last))
    pairs = [(before.get(seed, before.get(None)), value) for seed, value in after.items()]
    gains = [old - new for old, new in pairs if old is not None]
    sign = 1 if comparison.metric.lower else -1
    gain = share * (sum(gains) / len(gains)) * sign if gains else 0.0
    return gain if gain > 0 else None


def _row(rows: Sequence[FilledRow], label: str, comparison: Comparison) -> FilledRow | None:
    """Return the row with a label that was evaluated in the same way as the compared rows."""

    def evaluation(row: FilledRow) -> str:
        return next(iter(row.results.values())).context[0]

    matches = (row for row in rows if row.row.label == label and comparison.column in row.cells)
    expected = evaluation(comparison.second)
    return next((row for row in matches if evaluation(row) == expected), None)


FIELDS = ("id", "claim", "where", "scale", "sign", "margin", "verdict", "p_holm", "p_margin",
          "p_margin_holm", "first", "second", "column", *ESTIMATE)  # fmt: skip


def csv_text(decisions: Sequence[ClaimVerdict]) -> str:
    """Format the claims as CSV with the columns :data:`FIELDS`."""
    lines = []
    for item in decisions:
        claim, estimate, pair = item.claim, item.estimate, item.comparison
        labels = [pair.first.label, pair.second.label, pair.column] if pair else [""] * 3
        numbers = [estimate and getattr(estimate, name) for name in ESTIMATE]
        lines.append([claim.id, claim.text, claim.where, item.scale, claim.sign, item.margin,
                      item.word, item.p_holm, item.verdict.p_margin, item.p_margin_holm, *labels,
                      *numbers])  # fmt: skip
    return csv_table(FIELDS, lines)


HEADER = ("claim", "ours", "95 %", "margin", "verdict")


def rows(decisions: Sequence[ClaimVerdict]) -> list[list[str]]:
    """Format the claims as text by :data:`HEADER`, at most 100 characters per row of a table."""
    return [[label(item.claim), *numbers(item), item.word] for item in decisions]


def label(claim: Claim) -> str:
    """Return the short name of a claim; its measure if it restates the claim before it."""
    return claim.name if claim.of is None else measure(claim)


def measure(claim: Claim) -> str:
    """Return the measure of a claim that restates another."""
    return f"– {claim.column.removeprefix('held-out ')}"


def sentence(item: ClaimVerdict) -> str:
    """Format a claim as a sentence: its statement, our estimate and the margin."""
    text = item.claim.text[0].lower() + item.claim.text[1:]
    value, interval, margin = numbers(item)
    if not value:
        return text
    estimate = item.estimate
    seeds = f", {estimate.n_seeds} seeds" if estimate and estimate.n_seeds > 1 else ""
    return f"{text} ({value} {interval}{seeds}; margin {margin or 'none'})"


def numbers(item: ClaimVerdict) -> list[str]:
    """Format the value, the 95 % interval and the margin of a claim."""

    def text(value: float) -> str:
        if item.claim.column == GEOMETRIC or item.claim.about == "text":
            return f"×{math.exp(value):.2f}"
        return signed(value, 2 if item.claim.column == "average" else 4)

    estimate = item.estimate
    margin = "" if item.margin is None else text(item.claim.sign * item.margin)
    if estimate is None:
        return ["", "", margin]
    ends = [text(end).lstrip("×") for end in (estimate.low, estimate.high) if end is not None]
    return [text(estimate.value), f"[{', '.join(ends)}]" if ends else "", margin]


def details(decisions: Sequence[ClaimVerdict]) -> list[list[str]]:
    """Format what each verdict is based on: comparison, seeds, items and p values."""
    lines = []
    for item in decisions:
        line = [label(item.claim), f"{item.claim.text} ({item.claim.where})"]
        if item.comparison is None:
            lines.append([*line, *[""] * 7])
            continue
        estimate, pair = item.comparison.estimate, item.comparison
        seeds = "1 seed" if estimate.n_seeds == 1 else f"{estimate.n_seeds} seeds"
        lines.append(
            [*line, f"{pair.first.label} − {pair.second.label}, {pair.column}"
             f" ({item.scale}{', older runs' if item.older else ''})",
             f"{seeds}, {estimate.n_items} items", p_text(estimate.p), p_text(item.p_holm),
             p_text(item.verdict.p_margin), p_text(item.p_margin_holm), item.verdict.why]
        )  # fmt: skip
    return lines


DETAILS = ("", "claim", "comparison", "rests on", "p", "p, Holm", "p, as large as the margin",
           "that p, Holm", "why")  # fmt: skip


def note() -> str:
    """Explain the table of claims."""
    claims, identity = read_claims()
    ours = sum(claim.family == "ours" for claim in claims)
    restated = sum(claim.of is not None for claim in claims)
    return (
        f"{len(claims) - ours - restated} claims of the paper, {restated} of them also in a "
        f"measure that small models can be told apart by, and {ours} questions of ours, fixed in "
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
