"""Runs of experiments: which results in a store belong together, and as what.

``reports/<experiment>-<id>/run.json`` names the stages of a run as its plan calls them, with the
folder of each result; tables start from there. A result itself knows only who computed it first.
"""

from __future__ import annotations

from typing import Any

from experiments import provenance
from experiments.fingerprint import Stage
from experiments.schema import Config
from experiments.store import Store

RUN = "run.json"
FORMAT = 1
"""Version of the file; others are refused."""


def manifest(config: Config, stages: list[Stage], store: Store) -> dict[str, Any]:
    """What ``run.json`` holds: the experiment, and its stages with the folder of each result."""
    return {
        "format": FORMAT,
        "experiment": config.name,
        "plan": config.plan,
        "note": config.note,
        "command": provenance.command(),
        "git_commit": provenance.environment()["git_commit"],
        "finished": provenance.now(),
        "stages": {f"{stage.kind}/{stage.name}": store.label(stage) for stage in stages},
    }
