"""Read the verdicts on the pages of runs of statistics and theory."""

from collections.abc import Iterator
from typing import NamedTuple

from experiments.analysis.evidence import Evidence

SECTIONS = {
    "statistics": (
        "Findings about corpora",
        "Exploratory: thresholds and corpora were chosen with the data at hand. p is corrected "
        "over the findings by Benjamini and Hochberg (docs/statistics.md).",
        ("finding", "found", "numbers"),
    ),
    "theory": (
        "Statements of the theory",
        "Computed, not sampled, so without p values: a statement fails where a counterexample was "
        "found (docs/theory.md).",
        ("statement", "as stated", "numbers"),
    ),
}
"""Title, note and fields of the verdicts of each plan that has some."""

HEADER = ["statement", "verdict", "numbers"]


class Section(NamedTuple):
    """Verdicts of one plan.

    Attributes:
        title: heading.
        note: remark under the title.
        rows: a row per verdict by :data:`HEADER`.
    """

    title: str
    note: str
    rows: list[list[str]]


def page_verdicts(evidence: Evidence) -> Iterator[Section]:
    """Yield the verdicts of the newest run of each plan, preferably at the paper's scale."""
    for plan, (title, note, fields) in SECTIONS.items():
        runs = [run for run in evidence.distinct if run.plan == plan]
        if runs:
            run = max(runs, key=lambda run: (run.experiment.startswith("paper/"), run.finished))
            rows = []
            with evidence.refusing(run):
                verdicts = evidence.page(run).get("verdicts", [])
                rows = [[str(row[name]) for name in fields] for row in verdicts]
            if rows:
                yield Section(title, note, rows)
