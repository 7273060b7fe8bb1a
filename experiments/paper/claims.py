"""What the paper claims, and what our runs say of it: supported, not supported, or undecidable.

A claim is a comparison that a table holds, with the sign that the paper gives it. It is decided at
the paper's scale where that was run, else at the embedded scale, which is said. Each rests on one
comparison that was chosen beforehand, so its p value is not corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.paper.evidence import Evidence
from experiments.paper.tables.build import Built
from experiments.paper.tables.cells import AVERAGE
from experiments.paper.tables.columns import BITS
from experiments.paper.tables.compare import LEVEL, Test
from experiments.paper.tables.figures import results
from experiments.paper.tables.layout import EMBEDDED, PAPER

SUPPORTED, NOT_SUPPORTED, UNDECIDABLE = "supported", "not supported", "undecidable at this scale"
NOT_RUN = "not run"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper as a comparison.

    Attributes:
        text: the statement.
        where: where the paper makes it.
        table: number of the table.
        blocks: names of blocks that may decide it, the first that was run.
        first: label of a row.
        second: label of the row that is subtracted.
        columns: labels of the column by scale.
        sign: of the difference if the claim holds.
    """

    text: str
    where: str
    table: int
    blocks: Sequence[str]
    first: str
    second: str
    columns: dict[str, str]
    sign: int

    @property
    def rows(self) -> tuple[str, str]:
        """Both labels."""
        return self.first, self.second


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes:
        text: the statement.
        where: where the paper makes it.
        found: ``supported``, ``not supported``, ``undecidable at this scale`` or ``not run``.
        scale: ``paper``, ``embedded`` or empty.
        numbers: what it rests on.
    """

    text: str
    where: str
    found: str
    scale: str
    numbers: str


BOTH = {PAPER: AVERAGE, EMBEDDED: AVERAGE}
HUMAN, SYNTHETIC = "Human Data", "Synthetic Data"

CLAIMS = (
    Claim("Training on synthetic instead of human text makes human text harder to predict",
          "section 3.1, table 1, figure 2", 1, ("block1", "embedded"), SYNTHETIC, HUMAN,
          BOTH, +1),
    Claim("Already a quarter of synthetic text makes it harder to predict",
          "section 3.1, table 1", 1, ("block1", "embedded"), "25% Synthetic Data", HUMAN,
          BOTH, +1),
    Claim("Training on synthetic text lowers accuracy on benchmarks", "section 3.1, table 9", 9,
          ("gpt2", "embedded"), SYNTHETIC, HUMAN, BOTH, -1),
    Claim("Selecting synthetic text by DSIR leaves it worse than human text",
          "section 3.3, table 14", 14, ("olmo-237m", "embedded"), "DSIR (10M)", HUMAN,
          {PAPER: "Wikitext-103", EMBEDDED: "wikipedia"}, +1),
    Claim("Pre-training on edited text beats the source text", "section 5.2, table 2", 2,
          ("reasoning", "embedded"), "ToEdit", "source", BOTH, +1),
    Claim("Continual pre-training on edited text beats the source text (biomedicine)",
          "section 5.2, table 3", 3, ("biomedicine", "biomedicine-embedded"), "ToEdit", "CPT",
          BOTH, +1),
    Claim("Continual pre-training on edited text beats the source text (finance)",
          "section 5.2, table 3", 3, ("finance",), "ToEdit", "CPT", BOTH, +1),
    Claim("Continual pre-training on edited text beats the source text (mathematics)",
          "section 5.2, table 3", 3, ("math", "math-embedded"), "ToEdit", "CPT", BOTH, +1),
    Claim("Fine-tuning on edited responses beats the source (instructions)",
          "section 5.2, table 4", 4, ("natural-instructions", "instruct-embedded"), "ToEdit",
          "source", BOTH, +1),
    Claim("Fine-tuning on edited responses beats the source (code and reasoning)",
          "section 5.2, table 4", 4, ("oss-instruct", "code-embedded"), "ToEdit", "source", BOTH,
          +1),
    Claim("Editing once lowers the share of near-certain tokens", "appendix, table 15", 15,
          ("natural-instructions", "embedded"), "Gen 2", "Gen 1 (source)",
          {PAPER: "p > 0.99", EMBEDDED: "p > 0.99"}, -1),
    Claim("Fine-tuning on text edited twice beats the source", "appendix, table 16", 16,
          ("cot", "embedded"), "Gen 2", "Gen 0", BOTH, +1),
)  # fmt: skip
"""In the order of the paper, each by the measure that the paper speaks of."""

BESIDE = BITS.label
"""A column of the embedded scale that sees smaller differences than accuracies do. It is no measure
of the claims: what is held out is source text, which favours training on source text."""

ALIASES = {"OLMo-1B (PT)": "source", "Llama-3": "source", "DSIR": "DSIR (10M)"}
"""Labels of rows that play the part of a claim's row."""


def decide(tables: Sequence[Built], evidence: Evidence) -> list[Verdict]:
    """The verdict on every claim, those of statistics and theory included."""
    by_number = {built.table.number: built for built in tables}
    return [
        *(_decided(claim, by_number[claim.table]) for claim in CLAIMS),
        *_stated(evidence),
    ]


def _decided(claim: Claim, built: Built) -> Verdict:
    """By the first of its blocks that was run; there by the setting with the most seeds."""
    for name in claim.blocks:
        for number, block in enumerate(built.blocks):
            column = claim.columns[block.block.scale]
            tests = [
                test
                for test in built.comparisons.pairs
                if (test.block, test.column) == (number, column) and _labels(test) == claim.rows
            ]
            if block.block.name == name and tests:
                most = max(tests, key=lambda test: test.seeds)
                rows = most.first, most.second
                beside = [
                    t for t in built.comparisons.pairs
                    if t.column == BESIDE != column and (t.first, t.second) == rows
                ]  # fmt: skip
                return _verdict(claim, block.block.scale, [most, *beside])
    return Verdict(claim.text, claim.where, NOT_RUN, "", "")


def _labels(test: Test) -> tuple[str, str]:
    first, second = (ALIASES.get(r.row.label, r.row.label) for r in (test.first, test.second))
    return first, second


def _verdict(claim: Claim, scale: str, tests: Sequence[Test]) -> Verdict:
    """The verdict of the first test, with the numbers of all."""
    test = tests[0]
    if test.p < LEVEL:
        found = SUPPORTED if claim.sign * test.value > 0 else NOT_SUPPORTED
    else:
        found = UNDECIDABLE
    numbers = f"{test.first.row.label} − {test.second.row.label}, " + "; ".join(map(_shown, tests))
    seeds = test.seeds
    numbers += f"; {f'{seeds} seeds' if seeds > 1 else 'one seed, so nothing is said of others'}"
    if found == UNDECIDABLE:
        numbers += f"; a difference of {test.detectable:.3g} could have been seen"
    return Verdict(claim.text, claim.where, found, scale, numbers)


def _shown(test: Test) -> str:
    return (
        f"{test.column}: {test.value:+.4g}, over items [{test.low:+.4g}, {test.high:+.4g}], "
        f"p {test.p:.2g} ({test.method})"
    )


STATED = {
    "statistics": ("section 3.2", "finding", "found"),
    "theory": ("section 4", "statement", "as stated"),
}
"""Plans whose pages hold verdicts of their own: where the paper speaks of it, and their fields."""

WORDS = {
    "holds": SUPPORTED,
    "fails": NOT_SUPPORTED,
    "undecided": UNDECIDABLE,
    "says nothing here": UNDECIDABLE,
}


def _stated(evidence: Evidence) -> list[Verdict]:
    """Verdicts that runs of statistics and theory came to; of several runs the newest, one of the
    paper's scale before others."""
    found = []
    for plan, (where, text, verdict) in STATED.items():
        runs = [run for run in evidence.distinct if run.plan == plan]
        if not runs:
            found.append(Verdict(f"What the page of +exp={plan} states", where, NOT_RUN, "", ""))
            continue
        run = max(runs, key=lambda run: (run.experiment.startswith("paper/"), run.finished))
        scale = PAPER if run.experiment.startswith("paper/") else EMBEDDED
        rows: list[dict[str, Any]] = results(run, evidence).get("verdicts", [])
        for row in rows:
            word = WORDS.get(row[verdict], row[verdict])
            found.append(Verdict(row[text], where, word, scale, row["numbers"]))
    return found
