"""Comparisons and reports: what an experiment found, as values and as a page."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from experiments.fingerprint import Stage
from experiments.paper.runs import manifest
from experiments.schema import Config
from experiments.store import Store
from experiments.store.export import RUN
from toedit.corpora.files import atomic_path, write_json

PAGES = {
    "train_on_edits": ("experiments.paper.results", "experiments.paper.report"),
    "pretrain": ("experiments.paper.pretraining", "experiments.paper.pretraining"),
    "pretrain_toedit": ("experiments.paper.arms", "experiments.paper.arms"),
    "synthesize": ("experiments.paper.synthesis", "experiments.paper.synthesis"),
    "collapse": ("experiments.paper.arms", "experiments.paper.arms"),
    "selection": ("experiments.paper.arms", "experiments.paper.arms"),
    "sft_generations": ("experiments.paper.generations", "experiments.paper.generations"),
    "statistics": ("experiments.paper.statistics", "experiments.paper.statistics"),
    "theory": ("experiments.paper.theory", "experiments.paper.theory"),
}
"""Where the values and the page of each plan come from."""


def write_report(
    config: Config,
    stages: list[Stage],
    records: dict[str, dict[str, Any]],
    store: Store,
    folder: Path,
) -> str:
    """Writes ``results.md``, ``results.json`` and ``run.json`` (:mod:`experiments.paper.runs`) into
    a folder; returns the Markdown."""
    values_of, page_of = map(import_module, PAGES[config.plan])
    values = values_of.results(config, stages, records, store)
    text: str = page_of.markdown(values)
    write_json(folder / "results.json", values)
    for draw in getattr(page_of, "FIGURES", ()):
        draw(values, folder)
    with atomic_path(folder / "results.md") as temporary:
        temporary.write_text(text)
    write_json(folder / RUN, manifest(config, stages, store))
    return text
