"""Results that tables may rest on: whole, of this version, with answers as they were recorded."""

import json
from collections.abc import Iterable
from functools import cached_property, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from experiments.analysis.result import Result, seedless
from experiments.stage import REVISIONS, digest
from experiments.store import VERSION, Store, flat, read_record
from experiments.store.contents import RECORD
from experiments.store.runs import RESULTS, RUN, Run, read_run
from toedit.errors import UserError


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
            self.runs.append(read_run(root, path))
        except UserError as error:
            self.refused[str(path)] = str(error)

    @classmethod
    def of_folder(cls, root: Path, folder: Path) -> "tuple[Evidence, Run]":
        """One run of a store alone.

        Raises:
            UserError: its list is damaged.
        """
        found = cls([])
        found.roots.append(root)
        found.runs.append(read_run(root, folder / RUN))
        return found, found.runs[0]

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
        found: dict[tuple[Any, ...], Result] = {}
        for run in self.runs:
            if run.experiment == experiment:
                for own in self.of_run(run, kind):
                    key = (own.arm, own.checkpoint, fingerprint_and_numbers(own.record))
                    found.setdefault(key, own)
        return list(found.values())

    def of_run(self, run: Run, kind: str) -> list[Result]:
        """Finished stages of a kind of one run, in the order of its plan."""
        found = []
        for entry in run.of_kind(kind):
            record = self.record(run.root, entry.label)
            if record is not None and self.sound(run.root, record):
                found.append(Result(run, entry, record, self))
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

    def chain(self, root: Path, record: dict[str, Any]) -> list[dict[str, Any]]:
        """A record and all that it rests on as far as it is here, each once, the nearest first."""
        found, labels = [record], list(record["inputs"].values())
        for label in labels:  # grows as it is walked
            own = self.record(root, label)
            if own is not None:
                found.append(own)
                labels += (read for read in own["inputs"].values() if read not in labels)
        return found

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
        found |= flat(seedless(identity["config"]), f"{record['kind']}.")
        by_input = record["inputs"]
        for name, read in sorted(by_input.items()):
            inner = self.settings(root, read)
            clash = len(by_input) > 1
            found |= {(f"{name}:{key}" if clash else key): value for key, value in inner.items()}
        return found


def fingerprint_and_numbers(record: dict[str, Any]) -> str:
    """What two copies of one result have in common, and two results of one stage do not."""
    return record["fingerprint"] + json.dumps(record["metrics"], sort_keys=True)


REVISED = (
    "certain", "edit", "evaluate", "mixture", "perplexity", "score", "select", "tokenizer",
    "tokens", "train",
)  # fmt: skip
"""Kinds of stages that the module of the same name defines."""


@lru_cache
def revision(kind: str) -> int | None:
    """The revision of a kind of stage in this version; None where several modules make it."""
    if kind not in REVISED:
        return None
    import_module(f"experiments.stages.{kind}")
    return REVISIONS[kind]


SHAPE: dict[str, Any] = {
    "kind": str, "name": str, "fingerprint": str, "identity": dict, "config": dict, "inputs": dict,
    "metrics": dict, "seconds": (int, float), "finished": str, "peak_memory_gb": (int, float),
}  # fmt: skip
"""Fields of a record that are read here, and their types."""


def _whole(record: dict[str, Any]) -> bool:
    fields = all(isinstance(record.get(name), kind) for name, kind in SHAPE.items())
    return fields and {"rev", "config"} <= set(record["identity"])
