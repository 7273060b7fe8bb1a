"""Statistics of corpora: values from records, verdicts with intervals, figures, and the page."""

import sys
from typing import Any

from experiments import provenance
from experiments.analysis.claims import read_claims
from experiments.config import Config
from experiments.plans.statistics import HUMAN, REFERENCE
from experiments.reports.statistics.findings import verdicts
from experiments.reports.statistics.page import markdown
from experiments.reports.statistics.plots import FIGURES
from experiments.stage import Stage
from experiments.statistics.lexical import words
from experiments.statistics.neighbours import density, purity, selections
from experiments.statistics.probabilities import probabilities
from experiments.store import Store

__all__ = ["FIGURES", "markdown", "results"]


def results(
    config: Config, stages: list[Stage], records: dict[str, dict[str, Any]], store: Store
) -> dict[str, Any]:
    """Everything the report shows, as plain values; a part that was not measured is empty.

    Returns:
        ``corpora``, ``perplexity`` (by prior), ``words``, ``density``, ``selections``, ``map``,
        ``verdicts``, and what is needed to read them.
    """
    found = {
        f"{stage.kind}/{stage.name}": (store.folder(stage), records[f"{stage.kind}/{stage.name}"])
        for stage in stages
    }
    sizes = {
        name.partition("/")[2]: record["metrics"]
        for name, (_, record) in found.items()
        if name.startswith(("sample/", "edit/"))
    }
    corpora = [HUMAN, *(name for name in sizes if name not in (HUMAN, REFERENCE)), REFERENCE]
    measured = [name for name in corpora if name != REFERENCE]
    edited = [name for name in measured if f"edit/{name}" in found]
    values: dict[str, Any] = {
        "experiment": config.name,
        "note": config.note,
        "command": _command(config.name),
        "seed": config.seed,
        "analysis": read_claims()[1],
        "corpora": {name: sizes[name] for name in corpora},
        "edited": edited,
        "rules": {s.name: s.config.rule.describe() for s in stages if s.kind == "edit"},
        "perplexity": probabilities(found, measured, edited),
        "words": words(found, corpora, edited),
        "density": density(found, measured),
        "selections": selections(found),
        "map": purity(found, edited),
        "stages": {store.label(s): records[f"{s.kind}/{s.name}"]["seconds"] for s in stages},
    }
    values["verdicts"] = verdicts(values)
    return values


def _command(experiment: str) -> str:
    """The command without what cannot change a result."""
    aside = ("store=", "tracker", "force=", "+exp=")
    own = [a for a in provenance.command()[1:] if not a.startswith(aside)]
    if not sys.argv[0].endswith("run.py"):
        own = []  # a test or a notebook
    return " ".join([f"python -m experiments.run +exp={experiment}", *own])
