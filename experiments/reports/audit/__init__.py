"""Audit the published tables: recompute what follows from the printed numbers alone.

Every check reads ``published/*.csv`` and no result of ours. Tests change a number there and see the
finding appear or go.
"""

from experiments.reports.audit import (
    arithmetic,
    consistency,
    exchange,
    logs,
    printed_significance,
)
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
    printed_significance.editing,
    printed_significance.pairs,
    consistency.same_setting,
    consistency.versions,
    consistency.derived_counts,
    consistency.ratios,
    consistency.selections,
    consistency.generations,
    consistency.run_lengths,
    logs.logged,
    logs.variants,
    logs.equal_length,
)


def audit() -> list[Finding]:
    """Run all checks and list their findings."""
    return [finding for check in CHECKS for finding in check()]


HEADINGS = {
    FOR: "What speaks for the paper",
    AGAINST: "What does not add up, or does not hold",
    NEUTRAL: "What a reader should know",
}


def by_side(findings: list[Finding]) -> dict[str, list[Finding]]:
    """Group findings under headings: for the paper, against it, neither."""
    return {
        heading: [finding for finding in findings if finding.speaks == speaks]
        for speaks, heading in HEADINGS.items()
    }


def markdown(findings: list[Finding]) -> str:
    """Write the findings as a page of Markdown, each with its arithmetic."""
    parts = [
        "# Audit of the published tables",
        "Recomputed from the numbers of arXiv 2412.14689 v3 (v1 where said) as they are printed. "
        "Each table rests on one run an arm, so a test over items says nothing of other runs.",
    ]
    for heading, group in by_side(findings).items():
        rows = [[cell_text(c) for c in (f.table, f.kind, f.text, f.arithmetic)] for f in group]
        parts.append(f"## {heading} ({len(group)})")
        parts.append(table(["table", "what", "finding", "arithmetic"], rows))
    return "\n\n".join(parts) + "\n"
