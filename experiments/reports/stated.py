"""Verdicts that pages of their own hold: findings about corpora, and statements of the theory."""

from dataclasses import dataclass

from experiments.analysis.evidence import Evidence
from experiments.reports.tables.layout import EMBEDDED, PAPER
from experiments.reports.tables.run_figures import read_page

SECTIONS = {
    "statistics": (
        "Findings about corpora",
        "Exploratory: thresholds and corpora were chosen with the data at hand. p is corrected "
        "over the findings by Benjamini and Hochberg (docs/statistics.md).",
    ),
    "theory": (
        "Statements of the theory",
        "Computed, not sampled, so without p values: a statement fails where a counterexample was "
        "found (docs/theory.md).",
    ),
}
"""What stands over the verdicts of pages of their own."""

STATED = {"statistics": ("finding", "found"), "theory": ("statement", "as stated")}
"""Plans whose pages hold verdicts of their own, and the fields of these."""


@dataclass(frozen=True)
class Stated:
    """A verdict of a page of its own.

    Attributes:
        text: the finding or statement.
        verdict: in the words of its page.
        numbers: what it rests on.
        scale: ``paper`` or ``embedded``.
    """

    text: str
    verdict: str
    numbers: str
    scale: str


def stated(plan: str, evidence: Evidence) -> list[Stated]:
    """Verdicts that runs of statistics or theory came to; of several runs the newest, one of the
    paper's scale before others."""
    runs = [run for run in evidence.distinct if run.plan == plan]
    if not runs:
        return []
    text, word = STATED[plan]
    run = max(runs, key=lambda run: (run.experiment.startswith("paper/"), run.finished))
    scale = PAPER if run.experiment.startswith("paper/") else EMBEDDED
    return [
        Stated(row[text], row[word], row["numbers"], scale)
        for row in read_page(run, evidence).get("verdicts", [])
    ]
