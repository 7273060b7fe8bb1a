"""The report of a run: its list of stages, its values, its page and its figures."""

from importlib import import_module
from pathlib import Path
from typing import Any

from experiments.analysis.evidence import Evidence
from experiments.config import Config
from experiments.reports import arms, arms_page
from experiments.reports.examples import examples
from experiments.stage import Stage
from experiments.store import Store
from experiments.store.runs import EXAMPLES, RESULTS, RUN, manifest
from toedit.corpora.files import atomic_path, write_json

PAGES = {
    "synthesize": "experiments.reports.synthesis",
    "statistics": "experiments.reports.statistics",
    "theory": "experiments.reports.theory",
}
"""Where values, page and figures of a plan come from; those of the others compare arms."""


def write_report(
    config: Config,
    stages: list[Stage],
    records: dict[str, dict[str, Any]],
    store: Store,
    folder: Path,
) -> str:
    """Writes what a run found into a folder.

    ``run.json`` lists its stages (:mod:`experiments.store.runs`), ``results.json`` holds the values
    and ``results.md`` the page, with figures and, of edits, ``examples.json`` beside them.

    Returns:
        The Markdown.
    """
    write_json(folder / RUN, manifest(config, stages, store))
    if config.plan not in PAGES:
        if config.plan == "train_on_edits":
            edits = [stage for stage in stages if stage.kind == "edit"]
            write_json(folder / EXAMPLES, {own.name: examples(own, store) for own in edits})
        return arms_report(store.root, folder)
    page = import_module(PAGES[config.plan])
    return _write(page, page.results(config, stages, records, store), folder)


def arms_report(root: Path, folder: Path, draw: bool = True) -> str:
    """Writes values, page and figures of a run that compares arms, from its records alone.

    Args:
        root: the store.
        folder: of the report, which holds ``run.json``.
        draw: whether figures are drawn.

    Returns:
        The Markdown.
    """
    evidence, run = Evidence.of_folder(root, folder)
    return _write(arms_page, arms.results(run, evidence), folder, draw)


def figures_of(plan: str) -> tuple[Any, ...]:
    """What draws the figures of a plan's page: functions of values and a folder."""
    page = import_module(PAGES[plan]) if plan in PAGES else arms_page
    return tuple(getattr(page, "FIGURES", ()))


def _write(page: Any, values: dict[str, Any], folder: Path, draw: bool = True) -> str:
    text: str = page.markdown(values)
    write_json(folder / RESULTS, values, indent=None)
    for figure in getattr(page, "FIGURES", ()) if draw else ():
        figure(values, folder)
    with atomic_path(folder / "results.md") as temporary:
        temporary.write_text(text)
    return text
