"""Report of synthesised text: numbers of documents, and the first texts."""

from itertools import islice
from typing import Any

from experiments.config import Config
from experiments.reports.format import table
from experiments.stage import Stage
from experiments.stages.corpus import TRAIN
from experiments.stages.synthesize import EXPORT
from experiments.store import Store
from toedit.corpora.sources import local_documents

MAX_TEXTS, CHARACTERS = 3, 500
"""Texts per stage, and characters per text."""


def results(
    config: Config, stages: list[Stage], records: dict[str, dict[str, Any]], store: Store
) -> dict[str, Any]:
    """Return counts, the file and the beginnings of the first texts of each stage."""
    runs = []
    for stage in stages:
        if stage.kind == "synthesize":
            folder = store.folder(stage)
            examples = [
                {"format": d.metadata["format"], "audience": d.metadata["audience"],
                 "seed": d.metadata["seed_id"], "text": d.text[:CHARACTERS]}
                for d in islice(local_documents([folder / TRAIN]), MAX_TEXTS)
            ]  # fmt: skip
            metrics = records[f"{stage.kind}/{stage.name}"]["metrics"]
            file = str(folder / EXPORT)
            runs.append({"name": stage.name, "file": file, **metrics, "examples": examples})
    return {"experiment": config.name, "note": config.note, "runs": runs}


def markdown(values: dict[str, Any]) -> str:
    """Format the results as a page of Markdown."""
    names = ("asked", "documents", "characters", "too_short", "near_duplicates")
    rows = [[run["name"], *(str(run[name]) for name in names)] for run in values["runs"]]
    parts = [f"# {values['experiment']}"]
    parts.append(table(["", *(name.replace("_", " ") for name in names)], rows))
    for run in values["runs"]:
        parts.append(f"Written to `{run['file']}`; `mixture.synthetic=` that file trains on it.")
        for example in run["examples"]:
            request = ", for ".join(filter(None, (example["format"], example["audience"])))
            quoted = "\n".join(f"> {line}" for line in example["text"].splitlines())
            parts.append(f"*{request}, after {example['seed']}*\n\n{quoted}")
    return "\n\n".join(filter(None, [*parts, values["note"]])) + "\n"
