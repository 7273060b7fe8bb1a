"""What was synthesised: how much is left of what was asked for, and a few texts to read."""

from typing import Any

from experiments.config import Config
from experiments.reports.format import table
from experiments.stage import Stage
from experiments.stages.corpus import TRAIN
from experiments.stages.synthesize import EXPORT
from experiments.store import Store
from toedit.corpora.sources import local_documents

SHOWN, CHARACTERS = 3, 500


def results(
    config: Config, stages: list[Stage], records: dict[str, dict[str, Any]], store: Store
) -> dict[str, Any]:
    """Counts by stage, where the texts are, and the beginnings of the first ones."""
    runs = []
    for stage in stages:
        if stage.kind == "synthesize":
            folder = store.folder(stage)
            texts = [
                d for _, d in zip(range(SHOWN), local_documents([folder / TRAIN]), strict=False)
            ]
            runs.append(
                {
                    "name": stage.name,
                    "file": str(folder / EXPORT),
                    **records[f"{stage.kind}/{stage.name}"]["metrics"],
                    "examples": [
                        {"format": d.metadata["format"], "audience": d.metadata["audience"],
                         "seed": d.metadata["seed_id"], "text": d.text[:CHARACTERS]}
                        for d in texts
                    ],
                }
            )  # fmt: skip
    return {"experiment": config.name, "note": config.note, "runs": runs}


def markdown(values: dict[str, Any]) -> str:
    """The results as a page of Markdown."""
    names = ("asked", "documents", "characters", "too_short", "near_duplicates")
    rows = [[run["name"], *(str(run[name]) for name in names)] for run in values["runs"]]
    parts = [f"# {values['experiment']}"]
    parts.append(table(["", *(name.replace("_", " ") for name in names)], rows))
    for run in values["runs"]:
        parts.append(f"Written to `{run['file']}`; `mixture.synthetic=` that file trains on it.")
        for found in run["examples"]:
            asked = ", for ".join(filter(None, (found["format"], found["audience"])))
            quoted = "\n".join(f"> {line}" for line in found["text"].splitlines())
            parts.append(f"*{asked}, after {found['seed']}*\n\n{quoted}")
    return "\n\n".join(filter(None, [*parts, values["note"]])) + "\n"
