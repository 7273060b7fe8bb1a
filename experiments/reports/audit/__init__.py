"""An audit of the published tables: what can be recomputed from the printed numbers alone.

Nothing here knows an answer. Every check reads ``published/*.csv``, and tests change a number there
and see the finding appear or go.
"""

from experiments.reports.audit import arithmetic, consistency, exchange, printed_significance
from experiments.reports.audit.arithmetic import AGAINST, FOR, NEUTRAL, Finding
from experiments.reports.format import cell_text, table

__all__ = ["Finding", "audit", "markdown"]

CHECKS = (
    arithmetic.averages,
    arithmetic.joint_averages,
    arithmetic.standard_errors,
    arithmetic.counts,
    exchange.exchanged,
    arithmetic.repetitions,
    *printed_significance.CHECKS,
    consistency.same_setting,
    consistency.versions,
    consistency.derived_counts,
    consistency.ratios,
    consistency.selections,
    consistency.generations,
    consistency.logged,
    consistency.run_lengths,
)


def audit() -> list[Finding]:
    """Every finding, check by check."""
    return [finding for check in CHECKS for finding in check()]


HEADINGS = {
    FOR: "What speaks for the paper",
    AGAINST: "What does not add up, or does not hold",
    NEUTRAL: "What a reader should know",
}


def by_side(findings: list[Finding]) -> dict[str, list[Finding]]:
    """The findings under a heading each: for the paper, against it, neither."""
    return {
        heading: [finding for finding in findings if finding.speaks == speaks]
        for speaks, heading in HEADINGS.items()
    }


def markdown(findings: list[Finding]) -> str:
    """The findings as a page of Markdown, each with its arithmetic."""
    parts = [
        "# Audit of the published tables",
        "Recomputed from the numbers of arXiv 2412.14689 v3 (v1 where said) as they are printed. "
        "Each table rests on one run an arm, so a test over items says nothing of other runs.",
    ]
    for heading, own in by_side(findings).items():
        rows = [[f.table, f.kind, f.text, f.arithmetic] for f in own]
        parts += [f"## {heading} ({len(own)})", table(["table", "what", "finding", "arithmetic"],
                  [[cell_text(cell) for cell in row] for row in rows])]  # fmt: skip
    return "\n\n".join(parts) + "\n"
