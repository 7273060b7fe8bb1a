"""Report on statistics of corpora: values, verdicts with intervals, figures and the page."""

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
from experiments.store.runs import typed

__all__ = ["FIGURES", "markdown", "results"]


def results(
    config: Config, stages: list[Stage], records: dict[str, dict[str, Any]], store: Store
) -> dict[str, Any]:
    """Compute everything the report shows, as plain values; a part not measured is empty.

    Returns:
        ``corpora``, ``perplexity`` (by prior), ``words``, ``density``, ``selections``, ``map``,
        ``verdicts``, and settings needed to interpret them.
    """
    labels = {stage: f"{stage.kind}/{stage.name}" for stage in stages}
    outputs = {label: (store.folder(stage), records[label]) for stage, label in labels.items()}
    sizes = {
        name.partition("/")[2]: record["metrics"]
        for name, (_, record) in outputs.items()
        if name.startswith(("sample/", "edit/"))
    }
    measured = [HUMAN, *(name for name in sizes if name not in (HUMAN, REFERENCE))]
    corpora = [*measured, REFERENCE]
    edited = [name for name in measured if f"edit/{name}" in outputs]
    values: dict[str, Any] = {
        "experiment": config.name,
        "note": config.note,
        "command": _command(config.name),
        "seed": config.seed,
        "analysis": read_claims()[1],
        "corpora": {name: sizes[name] for name in corpora},
        "edited": edited,
        "rules": {s.name: s.config.rule.describe() for s in stages if s.kind == "edit"},
        "perplexity": probabilities(outputs, measured, edited),
        "words": words(outputs, corpora, edited),
        "density": density(outputs, measured),
        "selections": selections(outputs),
        "map": purity(outputs, edited),
        "stages": {store.label(s): records[label]["seconds"] for s, label in labels.items()},
    }
    values["verdicts"] = verdicts(values)
    return values


def _command(experiment: str) -> str:
    """The command without arguments that cannot change a result."""
    argv = provenance.command()
    is_run = argv[0] == "run.py"  # and no test or notebook
    return typed(argv if is_run else ["run.py", f"+exp={experiment}"])
