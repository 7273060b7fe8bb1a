"""Results that tables may rest on: whole, of this version, with answers as they were recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from experiments.fingerprint import digest
from experiments.paper.runs import FORMAT, Run
from experiments.store import VERSION, Store, flat, read_record
from experiments.store.contents import RECORD, altered
from experiments.store.export import RESULTS, RUN
from toedit.errors import UserError

NAME = re.compile(r"(?P<arm>.*?)(?:-seed(?P<seed>\d+))?(?:-after(?P<after>\d+))?")
"""How plans call a stage: its arm, its seed where there are several, and how far it was trained."""


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
        """Its seed; 0 for what has none."""
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
        """The record of the nearest stage of a kind that it rests on, which may be its own."""
        if self.kind == kind:
            return self.record
        return self.evidence.upstream(self.run.root, self.record, kind)

    @cached_property
    def seeded(self) -> bool:
        """Whether another seed would have changed it, as it would not the base model's."""
        root = self.run.root
        return any(_has_seed(r["config"]) for r in self.evidence.chain(root, self.record))

    @cached_property
    def context(self) -> tuple[str, str]:
        """How it was evaluated and how it was trained, seeds and data apart: rows are compared
        where these agree. Empty where there was no training."""
        training = self.upstream("train")
        own = {
            key: value
            for key, value in self.record["identity"]["config"].items()
            if key not in ("model", "revision")
        }
        trained = {} if training is None else _seedless(training["identity"]["config"])
        return json.dumps(own, sort_keys=True), json.dumps(trained, sort_keys=True)

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What was read from its files, by what reads it."""
        return {}

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
        for root in list(self.roots):
            try:
                Store(root, create=False)
            except UserError as error:
                self.refused[str(root / VERSION)] = str(error)
                self.roots.remove(root)
                continue
            for path in sorted((root / "reports").glob(f"*/{RESULTS}")):
                if not (path.parent / RUN).exists():
                    why = "was made before runs were listed; its command lists it"
                    self.refused[str(path.parent)] = why
            for path in sorted((root / "reports").glob(f"*/{RUN}")):
                self._read(root, path)

    def _read(self, root: Path, path: Path) -> None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["format"] != FORMAT:
                raise UserError(f"is of format {found['format']}, this version reads {FORMAT}")
            texts = [found[name] for name in ("experiment", "plan", "note", "finished")]
            stages, words = found["stages"], found["command"]
            listed = [*texts, *stages, *stages.values(), *words]
            if not all(isinstance(text, str) for text in listed):
                raise ValueError
        except UserError as error:
            self.refused[str(path)] = str(error)
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.refused[str(path)] = "is damaged"
            return
        experiment, plan, note, finished = texts
        run = Run(root, path.parent, experiment, plan, note, words, finished, stages)
        self.runs.append(run)

    @cached_property
    def distinct(self) -> list[Run]:
        """The runs without copies of one in another store."""
        found: dict[tuple[str, bytes], Run] = {}
        for run in self.runs:
            page = run.folder / RESULTS
            key = (run.folder.name, page.read_bytes() if page.is_file() else b"")
            found.setdefault(key, run)
        return list(found.values())

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
                if record is not None and self.sound(run.root, record):
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
        if not record or not _whole(record):
            self.refused[str(path)] = "is damaged"
            return None
        if any(record[key] != value for key, value in own.items()):
            self.refused[str(path)] = "is not of this folder"
            return None
        if digest(record["identity"]) != own["fingerprint"]:
            self.refused[str(path)] = "has an identity that its fingerprint does not fit"
            return None
        rev, now = record["identity"]["rev"], revision(kind)
        if now is not None and rev != now:
            self.refused[str(path)] = f"is of revision {rev} of {kind}, this version has {now}"
            return None
        return record

    def sound(self, root: Path, record: dict[str, Any]) -> bool:
        """Whether nothing that a record rests on is refused; what is not here is not asked."""
        for label in record["inputs"].values():
            if (root / label / RECORD).exists():
                read = self.record(root, label)
                if read is None or not self.sound(root, read):
                    return False
        return True

    def upstream(self, root: Path, record: dict[str, Any], kind: str) -> dict[str, Any] | None:
        """The record of the nearest stage of a kind that a record rests on."""
        found = (own for own in self.chain(root, record) if own["kind"] == kind)
        return next((own for own in found if own is not record), None)

    def chain(self, root: Path, record: dict[str, Any]) -> list[dict[str, Any]]:
        """A record and all that it rests on as far as it is here, each once, the nearest first."""
        found, labels = [record], list(record["inputs"].values())
        for label in labels:  # grows as it is walked
            own = self.record(root, label)
            if own is not None:
                found.append(own)
                labels += (read for read in own["inputs"].values() if read not in labels)
        return found

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
        found |= flat(_seedless(identity["config"]), f"{record['kind']}.")
        by_input = record["inputs"]
        for name, read in sorted(by_input.items()):
            inner = self.settings(root, read)
            clash = len(by_input) > 1
            found |= {(f"{name}:{key}" if clash else key): value for key, value in inner.items()}
        return found


REVISED = (
    "certain", "edit", "evaluate", "mixture", "perplexity", "score", "select", "tokenizer",
    "tokens", "train",
)  # fmt: skip
"""Kinds of stages that one module makes, which says its present revision."""


@lru_cache
def revision(kind: str) -> int | None:
    """The revision of a kind of stage in this version; None where several modules make it."""
    if kind not in REVISED:
        return None
    found: int = import_module(f"experiments.stages.{kind}").REV
    return found


SHAPE: dict[str, Any] = {
    "kind": str, "name": str, "fingerprint": str, "identity": dict, "config": dict, "inputs": dict,
    "metrics": dict, "seconds": (int, float), "finished": str, "peak_memory_gb": (int, float),
}  # fmt: skip
"""Fields of a record that are read here, and their types."""


def _whole(record: dict[str, Any]) -> bool:
    fields = all(isinstance(record.get(name), kind) for name, kind in SHAPE.items())
    return fields and {"rev", "config"} <= set(record["identity"])


def _seedless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _seedless(own) for key, own in value.items() if key != "seed"}
    return [_seedless(own) for own in value] if isinstance(value, list) else value


def _has_seed(value: Any) -> bool:
    if isinstance(value, dict):
        return "seed" in value or any(map(_has_seed, value.values()))
    return isinstance(value, list) and any(map(_has_seed, value))
