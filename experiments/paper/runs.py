"""Runs of experiments: which results in a store belong together, and as what.

``reports/<experiment>-<id>/run.json`` names the stages of a run as its plan calls them, with the
folder of each result; tables start from there. A result itself knows only who computed it first.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import provenance
from experiments.fingerprint import Stage
from experiments.schema import Config
from experiments.store import Store

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


@dataclass(frozen=True)
class Run:
    """A run of an experiment, as a store keeps it.

    Attributes:
        root: the store.
        folder: its report.
        experiment: its name, as ``+exp=`` takes it.
        plan: what its stages and its page come from.
        note: what its numbers can and cannot be compared with.
        command: what was typed.
        finished: when, UTC.
        stages: folder of each result below the store, by ``kind/name`` of the plan.
    """

    root: Path
    folder: Path
    experiment: str
    plan: str
    note: str
    command: list[str]
    finished: str
    stages: dict[str, str]


def typed(argv: Sequence[str]) -> str:
    """A command as one types it, without what changes no result."""
    aside = ("store=", "tracker", "force=")
    words = [word for word in argv[1:] if not word.startswith(aside)]
    program = "python -m experiments.run" if argv and argv[0] == "run.py" else " ".join(argv[:1])
    return f"{program} {shlex.join(words)}".strip()
