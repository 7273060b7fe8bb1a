"""Runs of experiments: which results in a store belong together, and as what.

``reports/<experiment>-<id>/run.json`` lists the stages of a run with the arm, seed and checkpoint
of each and the folder of its result; tables and pages start from there. A result itself knows only
who computed it first.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments import provenance
from experiments.fingerprint import Stage
from experiments.schema import Config
from experiments.store import Store
from experiments.store.contents import RECORD
from toedit.errors import UserError

RUN, RESULTS, EXAMPLES = "run.json", "results.json", "examples.json"
FORMAT = 2
"""Version of the file; 1, whose stages had names alone, is read too, others are refused."""


@dataclass(frozen=True)
class StageEntry:
    """A stage of a run.

    Attributes:
        kind: of the stage.
        name: of the stage.
        arm: of the experiment, whatever the seed; None for what serves all arms.
        seed: of the run; None where no seed changes the result.
        checkpoint: tokens of training after which a model was evaluated; None for all.
        label: folder of the result below the store.
    """

    kind: str
    name: str
    arm: str | None
    seed: int | None
    checkpoint: int | None
    label: str


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
        stages: in the order of the plan.
    """

    root: Path
    folder: Path
    experiment: str
    plan: str
    note: str
    command: list[str]
    finished: str
    stages: tuple[StageEntry, ...]

    def of_kind(self, kind: str) -> list[StageEntry]:
        """Its stages of a kind."""
        return [entry for entry in self.stages if entry.kind == kind]

    @property
    def seeds(self) -> list[int]:
        """The seeds of its arms, in the order of the plan."""
        seeds = (e.seed for e in self.stages if e.kind in ("train", "evaluate", "edit"))
        return list(dict.fromkeys(seed for seed in seeds if seed is not None))


def manifest(config: Config, stages: list[Stage], store: Store) -> dict[str, Any]:
    """What ``run.json`` holds: the experiment, and its stages with the folder of each result."""
    entries = [
        StageEntry(s.kind, s.name, s.arm, s.seed, s.checkpoint, store.label(s)) for s in stages
    ]
    return {
        "format": FORMAT,
        "experiment": config.name,
        "plan": config.plan,
        "note": config.note,
        "command": provenance.command(),
        "git_commit": provenance.environment()["git_commit"],
        "finished": provenance.now(),
        "stages": [asdict(entry) for entry in entries],
    }


def read_run(root: Path, path: Path) -> Run:
    """Reads a ``run.json``.

    Args:
        root: the store.
        path: the file.

    Raises:
        UserError: it is damaged, or of a version that this one does not know.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] not in (1, FORMAT):
            raise UserError(f"is of format {found['format']}, this version reads 1 to {FORMAT}")
        texts = [found[name] for name in ("experiment", "plan", "note", "finished")]
        words = found["command"]
        if not all(isinstance(text, str) for text in (*texts, *words)):
            raise ValueError
        if found["format"] == 1:
            stages = tuple(_of_format_1(root, name, own) for name, own in found["stages"].items())
        else:
            stages = tuple(StageEntry(**entry) for entry in found["stages"])
        if not all(isinstance(t, str) for e in stages for t in (e.kind, e.name, e.label)):
            raise ValueError
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError("is damaged") from error
    experiment, plan, note, finished = texts
    return Run(root, path.parent, experiment, plan, note, words, finished, stages)


def labels_of(path: Path) -> list[str]:
    """Folders of the results that a ``run.json`` lists, of any format.

    Raises:
        UserError: it is damaged.
    """
    try:
        stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
        return [*stages.values()] if isinstance(stages, dict) else [s["label"] for s in stages]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{str(path)!r} is damaged; delete its folder") from error


def _of_format_1(root: Path, place: str, label: str) -> StageEntry:
    """A stage of a list that named arm, seed and checkpoint in one word."""
    kind, _, name = place.partition("/")
    chain = list(_chain(root, label))
    config = chain[0].get("config", {}) if chain else {}
    after = config.get("after")
    arm, _, named = name.removesuffix(f"-after{after}").partition("-seed")
    configs = (record.get("config", {}) for record in chain)
    own = next((found["seed"] for found in configs if "seed" in found), None)
    return StageEntry(kind, name, arm, int(named) if named else own, after, label)


def _chain(root: Path, label: str) -> Iterator[dict[str, Any]]:
    """The record of a result and those of what it read, the nearest first; none that is damaged."""
    try:
        record = json.loads((root / label / RECORD).read_text(encoding="utf-8"))
        inputs = [*record["inputs"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    yield record
    for own in inputs:
        yield from _chain(root, own)


def typed(argv: Sequence[str]) -> str:
    """A command as one types it, without what changes no result."""
    aside = ("store=", "tracker", "force=")
    words = [word for word in argv[1:] if not word.startswith(aside)]
    program = "python -m experiments.run" if argv and argv[0] == "run.py" else " ".join(argv[:1])
    return f"{program} {shlex.join(words)}".strip()
