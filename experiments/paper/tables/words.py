"""Tables that hold words or text: methods (10), edits of ours (12), the make-up of Dolma (18)."""

from __future__ import annotations

from itertools import islice
from typing import Any

from experiments.paper import printed
from experiments.paper.evidence import Evidence
from experiments.paper.report import table
from experiments.paper.tables.figures import results

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


def edits(evidence: Evidence) -> str:
    """Table 12: edits of ours, token by token."""
    parts = ["## Table 12. Edits, token by token"]
    for run in evidence.distinct:
        if run.plan != "train_on_edits":
            continue
        for name, found in results(run, evidence).get("examples", {}).items():
            rows = [_edit(own) for own in islice(found, SHOWN)]
            header = ["before", "token", "p", "drawn", "p", "after"]
            if rows:
                parts += [f"### {run.experiment}: {name}", table(header, rows)]
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
