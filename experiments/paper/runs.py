"""Runs of experiments: which results in a store belong together, and as what.

``reports/<experiment>-<id>/run.json`` names the stages of a run as its plan calls them, with the
folder of each result; tables start from there. A result itself knows only who computed it first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments import provenance
from experiments.fingerprint import Stage, digest
from experiments.schema import Config
from experiments.store import Store, read_record
from experiments.store.contents import RECORD, altered
from experiments.store.export import RUN
from toedit.errors import UserError

FORMAT = 1
"""Version of the file; others are refused."""

NAME = re.compile(r"(?P<arm>.*?)(?:-seed(?P<seed>\d+))?(?:-after(?P<after>\d+))?")
"""How plans call a stage: its arm, its seed where there are several, and how far it was trained."""


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


@dataclass(eq=False)
class Result:
    """A finished stage of a run, as the tables read it.

    Attributes:
        run: the run that needs it.
        kind: of the stage.
        name: of the stage, as the plan of that run calls it.
        record: its record.
        evidence: where the records of what it read are.
    """

    run: Run
    kind: str
    name: str
    record: dict[str, Any]
    evidence: Evidence = field(repr=False)

    @cached_property
    def label(self) -> str:
        """Its folder below the store."""
        return self.run.stages[f"{self.kind}/{self.name}"]

    @cached_property
    def arm(self) -> str:
        """Its arm, and how far it was trained where that is not the end."""
        found = self._parts
        return found["arm"] + (f"-after{found['after']}" if found["after"] else "")

    @cached_property
    def seed(self) -> int:
        """Its seed."""
        given = self._parts["seed"]
        return int(self.record.get("seed", 0)) if given is None else int(given)

    @property
    def _parts(self) -> dict[str, Any]:
        found = NAME.fullmatch(self.name)
        return found.groupdict() if found else {"arm": self.name, "seed": None, "after": None}

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.run.root / self.label

    @cached_property
    def family(self) -> str:
        """What it shares with the same setting under other seeds."""
        return self.evidence.family(self.run.root, self.label)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Everything that decides the result but seeds, its own and upstream, flat."""
        return self.evidence.settings(self.run.root, self.label)

    def upstream(self, kind: str) -> dict[str, Any] | None:
        """The record of the nearest stage of a kind that it rests on."""
        return self.evidence.upstream(self.run.root, self.record, kind)

    @cached_property
    def _verified(self) -> set[str]:
        return set()

    def path(self, name: str) -> Path:
        """A file of the result, compared with the hash in its record.

        Raises:
            UserError: it is gone, or other than when it was recorded.
        """
        path = self.folder / name
        if name not in self._verified:
            known = self.record.get("files", {})
            if name not in known:
                raise UserError(f"{self.label}: its record lists no {name}")
            problems = altered(self.folder, {name: known[name]})
            if problems:
                raise UserError(f"{self.label}: {problems[0]}")
            self._verified.add(name)
        return path


class Evidence:
    """All runs of some stores.

    Args:
        roots: the stores; one result in several of them counts once.

    Attributes:
        roots: the stores.
        runs: what was found, in the order of their names.
        refused: what was not read, and why: a name and a reason each.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = list(roots)
        self.runs: list[Run] = []
        self.refused: dict[str, str] = {}
        self._records: dict[Path, dict[str, Any] | None] = {}
        self._settings: dict[tuple[Path, str], dict[str, Any]] = {}
        for root in self.roots:
            for path in sorted((root / "reports").glob(f"*/{RUN}")):
                self._read(root, path)

    def _read(self, root: Path, path: Path) -> None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["format"] != FORMAT:
                raise UserError(f"is of format {found['format']}, this version reads {FORMAT}")
            fields = ("experiment", "plan", "note", "command", "finished", "stages")
            self.runs.append(Run(root, path.parent, *(found[name] for name in fields)))
        except UserError as error:
            self.refused[str(path)] = str(error)
        except (OSError, ValueError, KeyError, TypeError):
            self.refused[str(path)] = "is damaged"

    def results(self, experiment: str, kind: str) -> list[Result]:
        """Finished stages of a kind of all runs of an experiment; one that runs share, once.

        The same stage with other numbers in another store counts as another result.
        """
        found: dict[tuple[str, str], Result] = {}
        for run in self.runs:
            if run.experiment == experiment:
                for own in self.of_run(run, kind):
                    numbers = json.dumps(own.record["metrics"], sort_keys=True)
                    found.setdefault((own.arm, own.record["fingerprint"] + numbers), own)
        return list(found.values())

    def of_run(self, run: Run, kind: str) -> list[Result]:
        """Finished stages of a kind of one run, in the order of its plan."""
        found = []
        for name in run.stages:
            if name.startswith(f"{kind}/"):
                record = self.record(run.root, run.stages[name])
                if record is not None:
                    found.append(Result(run, kind, name.partition("/")[2], record, self))
        return found

    def record(self, root: Path, label: str) -> dict[str, Any] | None:
        """A record that can be trusted, or None; why not is in ``refused``."""
        path = root / label / RECORD
        if path not in self._records:
            self._records[path] = self._checked(path, label)
        return self._records[path]

    def _checked(self, path: Path, label: str) -> dict[str, Any] | None:
        try:
            record = read_record(path)
        except UserError:
            record = {}
        if record is None:
            self.refused[str(path.parent)] = "has no record"
            return None
        kind, _, name = label.partition("/")
        own = {"kind": kind, "fingerprint": name.rpartition("-")[2]}
        if not record or any(record.get(key) != value for key, value in own.items()):
            self.refused[str(path)] = "is damaged" if not record else "is not of this folder"
            return None
        if digest(record["identity"]) != own["fingerprint"]:
            self.refused[str(path)] = "has an identity that its fingerprint does not fit"
            return None
        return record

    def upstream(self, root: Path, record: dict[str, Any], kind: str) -> dict[str, Any] | None:
        """The record of the nearest stage of a kind that a record rests on; breadth first."""
        waiting = list(record.get("inputs", {}).values())
        while waiting:
            found = self.record(root, waiting[0])
            if found is not None:
                if found["kind"] == kind:
                    return found
                waiting += found.get("inputs", {}).values()
            waiting.pop(0)
        return None

    def family(self, root: Path, label: str) -> str:
        """A hash of everything that decides a result but seeds."""
        return digest(self.settings(root, label))

    def settings(self, root: Path, label: str) -> dict[str, Any]:
        """The identity of a result and of all it rests on without seeds, flat by ``kind.field``."""
        if (root, label) not in self._settings:
            self._settings[root, label] = self._settings_of(root, label)
        return self._settings[root, label]

    def _settings_of(self, root: Path, label: str) -> dict[str, Any]:
        record = self.record(root, label)
        if record is None:
            return {label.partition("/")[0]: label}
        identity = record["identity"]
        found: dict[str, Any] = {f"{record['kind']}.rev": identity["rev"]}
        found |= _flat(_seedless(identity["config"]), record["kind"])
        by_input = record.get("inputs", {})
        for name, read in sorted(by_input.items()):
            inner = self.settings(root, read)
            clash = len(by_input) > 1
            found |= {(f"{name}:{key}" if clash else key): value for key, value in inner.items()}
        return found


def _seedless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _seedless(own) for key, own in value.items() if key != "seed"}
    return [_seedless(own) for own in value] if isinstance(value, list) else value


def _flat(value: Any, prefix: str) -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {
            k: v for key, own in value.items() for k, v in _flat(own, f"{prefix}.{key}").items()
        }
    return {prefix: value}
