"""Write the report of a run: its list of stages, values, page and figures."""

import logging
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from experiments.analysis.evidence import Evidence
from experiments.config import Config
from experiments.reports import arms, arms_page
from experiments.stage import Stage
from experiments.stages.corpus import text_folder
from experiments.store import Store
from experiments.store.runs import EXAMPLES, RESULTS, RUN, manifest
from toedit.corpora.files import atomic_path, write_json
from toedit.corpora.sources import local_documents
from toedit.errors import UserError

logger = logging.getLogger(__name__)

PAGES = {
    "synthesize": "experiments.reports.synthesis",
    "statistics": "experiments.reports.statistics",
    "theory": "experiments.reports.theory",
}
"""Modules with the report of a plan; the reports of the other plans compare arms."""

MAX_EXAMPLES, CONTEXT = 12, 40
"""Examples per edit in ``examples.json``, and characters of context on either side."""

PAGE_DOCUMENTS, PAGE_CHARACTERS = 200, 2_000_000
"""Documents of an edit, from the first, on its page ``edits/NAME.html``, and about their text."""


def write_report(
    config: Config, stages: list[Stage], records: dict[str, Any], store: Store, folder: Path
) -> str:
    """Write the report of a run into a folder.

    ``run.json`` lists its stages (:mod:`experiments.store.runs`), ``results.json`` holds the values
    and ``results.md`` the page, with figures and, if text was edited, ``examples.json`` and a page
    of its changes for each edit, ``edits/NAME.html``.

    Returns:
        The Markdown.
    """
    write_json(folder / RUN, manifest(config, stages, store))
    if config.plan not in PAGES:
        if config.plan == "train_on_edits":
            edits = [stage for stage in stages if stage.kind == "edit"]
            write_json(folder / EXAMPLES, {s.name: _edit_examples(s, store) for s in edits})
            for stage in edits:
                _write_edit_page(stage, store, folder / "edits" / f"{stage.name}.html")
        return arms_report(store.root, folder)
    page = import_module(PAGES[config.plan])
    return _write(page, page.results(config, stages, records, store), folder)


def arms_report(root: Path, folder: Path, draw: bool = True) -> str:
    """Write values, page and figures of a run that compares arms, from its records alone.

    Args:
        root: the store.
        folder: of the report, with ``run.json``.
        draw: whether figures are drawn.

    Returns:
        The Markdown.
    """
    evidence, run = Evidence.of_folder(root, folder)
    return _write(arms_page, arms.results(run, evidence), folder, draw)


def figures_of(plan: str) -> tuple[Any, ...]:
    """Return the functions that draw the figures of a plan from values into a folder."""
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


def _write_edit_page(stage: Stage, store: Store, path: Path) -> None:
    """Write the page of ``toedit diff`` of an edit's first documents, with its histograms.

    Texts that cannot be paired are warned of: the results do not need the page.
    """
    from toedit.diff_page import page
    from toedit.diffs import differences

    text = stage.inputs["scores"].inputs["corpus"]
    documents, size = [], 0
    try:
        compared = differences(text_folder(text, store.folder(text)), store.folder(stage))
        for difference in islice(compared, PAGE_DOCUMENTS):
            documents.append(difference)
            size += sum(len(segment.old) for segment in difference.segments)
            if size > PAGE_CHARACTERS:
                break
    except UserError as error:
        logger.warning("%s is not written: %s", path, error)
        return
    record = store.record(stage) or {}
    known = {**record.get("metrics", {}), "rule": stage.config.rule.describe()}
    with atomic_path(path) as temporary:
        text_of_page = page(documents, known, f"What the edit {stage.name} changed")
        temporary.write_text(text_of_page, encoding="utf-8")


def _edit_examples(stage: Stage, store: Store) -> list[dict[str, Any]]:
    """Return the first changed token of the first documents that an edit changed.

    Args:
        stage: the edit.
        store: with the edit and its source text.

    Returns:
        ``id``, ``before`` and ``after`` (characters of the source), ``old`` and ``new``,
        ``probability`` of the old token, and ``drawn_probability`` of the new one, None if it was
        deleted or is not among the recorded candidates. Empty if the edit changed nothing, or if
        the text was edited before.
    """
    from toedit.diffs import read_changes
    from toedit.pipeline import CHANGED

    text = stage.inputs["scores"].inputs["corpus"]
    changes = read_changes(store.folder(stage) / CHANGED)
    examples: list[dict[str, Any]] = []
    for document in local_documents([text_folder(text, store.folder(text))]) if changes else ():
        if document.id not in changes:
            continue
        (change,) = changes[document.id][0].slice(0, 1).to_pylist()
        start, end = change["start"], change["start"] + len(change["old"])
        if document.text[start:end] != change["old"]:
            continue
        known = dict(zip(change["candidates"], change["probabilities"], strict=True))
        examples.append(
            {
                "id": document.id,
                "before": document.text[max(0, start - CONTEXT) : start],
                "old": change["old"],
                "new": change["new"],
                "after": document.text[end : end + CONTEXT],
                "probability": change["probability"],
                "drawn_probability": known.get(change["new"]),
            }
        )
        if len(examples) == MAX_EXAMPLES:
            break
    return examples
