"""Tables without results: methods (10), edits token by token (12), composition of Dolma (18)."""

from typing import Any

from experiments.analysis.evidence import Evidence
from experiments.plans.train_on_edits import TRAINED
from experiments.reports import printed
from experiments.reports.format import table
from experiments.store.runs import EXAMPLES

METHODS = [
    ["human text", "nothing", "none", "as written"],
    ["synthetic text (Cosmopedia)", "whole documents, token by token", "one a token",
     "narrower than human text (figures 3, 11)"],
    ["selected synthetic text (DSIR, classifier, perplexity, density)", "nothing more",
     "none, or one a document", "still synthetic (table 14)"],
    ["rephrased text", "whole documents, after a human one", "one a token",
     "the writing model's"],
    ["ToEdit", "tokens with p >= 0.99", "one a document",
     "human, but for a few tokens in 10,000 (table 12)"],
]  # fmt: skip

MAX_EDITS = 12
"""Edits listed per preset or rule."""


def methods() -> str:
    """Format table 10: methods by what a model writes, forward passes and distribution."""
    header = ["method", "written by a model", "forward passes", "distribution"]
    return f"## Table 10. Ways to make training text\n\n{table(header, METHODS)}\n"


def examples(evidence: Evidence) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return titles and edits of every experiment by preset or rule; runs with the same edits
    count once."""
    sections: list[tuple[str, list[dict[str, Any]]]] = []
    known = []
    for run in evidence.distinct:
        if run.plan != "train_on_edits":
            continue
        rules = {result.entry.name: result.record["identity"]["config"]["rule"]
                 for result in evidence.of_run(run, "edit")}  # fmt: skip
        by_name: dict[str, Any] = {}
        with evidence.refusing(run, EXAMPLES):
            found = evidence.page(run, EXAMPLES)
            found = found or evidence.page(run).get("examples", {})  # of earlier versions
            [_edit(change) for changes in found.values() for change in changes[:MAX_EDITS]]
            by_name = found
        for name, changes in by_name.items():
            fields = [f"{key}={value}" for key, value in rules.get(name, {}).items()]
            rule = f" by {', '.join(fields)}" if name == TRAINED and fields else ""
            section = (run.experiment, changes[:MAX_EDITS])
            if changes and section not in known:
                known.append(section)
                sections.append((f"{run.experiment}: {name}{rule}", changes[:MAX_EDITS]))
    return sections


def edits(evidence: Evidence) -> str:
    """Format table 12: edits of our own runs, token by token."""
    parts = ["## Table 12. Edits, token by token"]
    header = ["before", "token", "p", "drawn", "p", "after"]
    for title, changes in examples(evidence):
        parts += [f"### {title}", table(header, [_edit(change) for change in changes])]
    if len(parts) == 1:
        parts.append("Empty. Filled by `python -m experiments.run +exp=cpt_bio`.")
    return "\n\n".join(parts) + "\n"


def _edit(edit: dict[str, Any]) -> list[str]:
    p = "" if edit["drawn_probability"] is None else f"{edit['drawn_probability']:.2g}"
    cells = [edit["before"], edit["old"], f"{edit['probability']:.4f}", edit["new"], p,
             edit["after"]]  # fmt: skip
    return [cell.replace("|", "\\|").replace("\n", "⏎").replace("`", "'") for cell in cells]


def dolma() -> str:
    """Format table 18: the composition of Dolma, which the paper quotes from its authors."""
    rows = printed.read("table18")
    header = ["source", "kind", "UTF-8 bytes, GB", "documents, M", "words, B", "tokens, B"]
    return (
        "## Table 18. Make-up of Dolma, quoted by the paper\n\n"
        f"{table(header, [list(row.values()) for row in rows])}\n"
    )


TEXT_TABLES = {10: lambda evidence: methods(), 12: edits, 18: lambda evidence: dolma()}
"""Functions from the runs to the text of each table, by number."""
