"""Tables that hold words or text: methods (10), edits of ours (12), the make-up of Dolma (18)."""

from typing import Any

from experiments.analysis.evidence import Evidence
from experiments.plans.train_on_edits import TRAINED
from experiments.reports import printed
from experiments.reports.format import table
from experiments.reports.tables.run_figures import read_page
from experiments.store.runs import EXAMPLES, Run

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

SHOWN = 12
"""Edits shown of a preset."""


def methods() -> str:
    """Table 10: what a model writes in each method, at what price, and what remains."""
    header = ["method", "written by a model", "forward passes", "distribution"]
    return f"## Table 10. Ways to make training text\n\n{table(header, METHODS)}\n"


def examples(evidence: Evidence) -> list[tuple[str, list[dict[str, Any]]]]:
    """Edits of every experiment under their preset or rule; where runs agree, of the first."""
    shown: list[tuple[str, list[dict[str, Any]]]] = []
    known = []
    for run in evidence.distinct:
        if run.plan != "train_on_edits":
            continue
        rules = {own.entry.name: own.record["identity"]["config"]["rule"]
                 for own in evidence.of_run(run, "edit")}  # fmt: skip
        for name, found in _examples(run, evidence).items():
            said = [f"{key}={value}" for key, value in rules.get(name, {}).items()]
            by = f" by {', '.join(said)}" if name == TRAINED and said else ""
            own = (run.experiment, found[:SHOWN])
            if found and own not in known:
                known.append(own)
                shown.append((f"{run.experiment}: {name}{by}", found[:SHOWN]))
    return shown


def _examples(run: Run, evidence: Evidence) -> dict[str, Any]:
    """Edits beside the page of a run; before they had a file of their own, in its values."""
    found = read_page(run, evidence, EXAMPLES)
    return found or read_page(run, evidence).get("examples", {})


def edits(evidence: Evidence) -> str:
    """Table 12: edits of ours, token by token."""
    parts = ["## Table 12. Edits, token by token"]
    header = ["before", "token", "p", "drawn", "p", "after"]
    for title, found in examples(evidence):
        parts += [f"### {title}", table(header, [_edit(own) for own in found])]
    if len(parts) == 1:
        parts.append("Empty. Filled by `python -m experiments.run +exp=cpt_bio`.")
    return "\n\n".join(parts) + "\n"


def _edit(own: dict[str, Any]) -> list[str]:
    drawn = "" if own["drawn_probability"] is None else f"{own['drawn_probability']:.2g}"
    cells = [own["before"], own["old"], f"{own['probability']:.4f}", own["new"], drawn,
             own["after"]]  # fmt: skip
    return [cell.replace("|", "\\|").replace("\n", "⏎").replace("`", "'") for cell in cells]


def dolma() -> str:
    """Table 18: the make-up of Dolma, which the paper quotes from its authors."""
    rows = printed.read("table18")
    header = ["source", "kind", "UTF-8 bytes, GB", "documents, M", "words, B", "tokens, B"]
    return (
        "## Table 18. Make-up of Dolma, quoted by the paper\n\n"
        f"{table(header, [list(row.values()) for row in rows])}\n"
    )


WORDS = {10: lambda evidence: methods(), 12: edits, 18: lambda evidence: dolma()}
"""What makes each of them, from the runs."""
