"""Load the finished results of stores and refuse those that are damaged, altered or outdated."""

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from experiments.stage import REVISIONS, digest
from experiments.store import VERSION, Store, flat, rows
from experiments.store.records import is_recorded, read_record, record_path
from experiments.store.runs import RESULTS, RUN, Run, StageEntry, read_run
from toedit.corpora.files import read_json
from toedit.errors import UserError


@dataclass(eq=False)
class Result:
    """A finished stage of a run.

    Attributes:
        run: the run that needs it.
        entry: its entry in the plan of that run.
        record: its record.
        evidence: source of the records of its inputs.
        cache: values computed from its files, by file name or metric.
    """

    run: Run
    entry: StageEntry
    record: dict[str, Any]
    evidence: "Evidence" = field(repr=False)
    cache: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def kind(self) -> str:
        """Kind of the stage."""
        return self.entry.kind

    @property
    def label(self) -> str:
        """Path of its folder below the store."""
        return self.entry.label

    @property
    def arm(self) -> str:
        """Its arm, or its name if it belongs to none."""
        return self.entry.arm or self.entry.name

    @property
    def seed(self) -> int | None:
        """Its seed; None if no seed changes it, as for the base model."""
        return self.entry.seed

    @property
    def checkpoint(self) -> int | None:
        """Tokens of training after which it was evaluated; None for all."""
        return self.entry.checkpoint

    @property
    def folder(self) -> Path:
        """Folder of its files."""
        return self.run.root / self.label

    @cached_property
    def family(self) -> str:
        """Identifier of its settings, the same for all seeds."""
        return digest(self.settings)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All settings but seeds that determine it, those of its inputs included, flattened."""
        return self.evidence.settings(self.run.root, self.label)

    def upstream(self, kind: str) -> dict[str, Any] | None:
        """Record of the nearest stage of a kind among itself and all its inputs."""
        chain = self.evidence.chain(self.run.root, self.record)
        return next((record for record in chain if record["kind"] == kind), None)

    @cached_property
    def context(self) -> tuple[str, str]:
        """Settings of its evaluation and of its training, without seeds and data, as JSON.

        They include all of the model that the training started from. Rows of tables are compared
        if both agree. The second is of an empty object if nothing was trained.
        """
        config = self.record["identity"]["config"]
        evaluated = {k: value for k, value in config.items() if k not in ("model", "revision")}
        training = self.upstream("train")
        trained = {} if training is None else seedless(training["identity"]["config"])
        if training is not None and "start" in training["inputs"]:
            start = self.evidence.settings(self.run.root, training["inputs"]["start"])
            trained = {"training": trained, "start": start}
        return json.dumps(evaluated, sort_keys=True), json.dumps(trained, sort_keys=True)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Rows of a file of the result, verified by its hash; read once.

        Raises:
            UserError: the file is missing, or differs from the recorded one.
        """
        if name not in self.cache:
            files = self.record.get("files", {})
            self.cache[name] = rows.read(self.run.root, self.label, name, files)
        result: list[dict[str, Any]] = self.cache[name]
        return result


class Evidence:
    """All runs of some stores; a result that several stores hold counts once.

    Attributes:
        roots: the readable stores.
        runs: the readable runs, sorted by name.
        refused: reason by name of everything that was not read.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = list(roots)
        self.runs: list[Run] = []
        self.refused: dict[str, str] = {}
        self._records: dict[tuple[Path, str], dict[str, Any] | None] = {}
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
                try:
                    self.runs.append(read_run(root, path))
                except UserError as error:
                    self.refused[str(path)] = str(error)

    @classmethod
    def of_folder(cls, root: Path, folder: Path) -> "tuple[Evidence, Run]":
        """A single run of a store.

        Raises:
            UserError: its list of stages is damaged.
        """
        evidence, run = cls([]), read_run(root, folder / RUN)
        evidence.roots.append(root)
        evidence.runs.append(run)
        return evidence, run

    @cached_property
    def distinct(self) -> list[Run]:
        """The runs without copies of the same run in other stores."""
        runs: dict[tuple[str, bytes], Run] = {}
        for run in self.runs:
            path = run.folder / RESULTS
            runs.setdefault((run.folder.name, path.read_bytes() if path.is_file() else b""), run)
        return list(runs.values())

    def results(self, experiment: str, kind: str) -> list[Result]:
        """Finished stages of a kind of all runs of an experiment; one that runs share, once.

        The same stage with other numbers in another store counts as another result.
        """
        results: dict[tuple[Any, ...], Result] = {}
        for run in self.runs:
            if run.experiment == experiment:
                for result in self.of_run(run, kind):
                    key = fingerprint_and_numbers(result.record)
                    results.setdefault((result.arm, result.checkpoint, key), result)
        return list(results.values())

    def of_run(self, run: Run, kind: str) -> list[Result]:
        """Finished stages of a kind of one run, in the order of its plan."""
        results = []
        for entry in run.of_kind(kind):
            record = self.record(run.root, entry.label)
            if record is not None and self._has_valid_inputs(run.root, record):
                results.append(Result(run, entry, record, self))
        return results

    def page(self, run: Run, name: str = RESULTS) -> dict[str, Any]:
        """Values of a run's page, or of another JSON file in its folder.

        They are empty if there is no such file, or a damaged one, which ``refused`` then lists.
        """
        path = run.folder / name
        if not path.is_file():
            return {}
        try:
            values: dict[str, Any] = read_json(path, dict)
        except UserError:
            self.refused[str(path)] = "is damaged"
            return {}
        return values

    @contextmanager
    def refusing(self, run: Run, name: str = RESULTS) -> Iterator[None]:
        """List a file of a run in ``refused`` where its values are not what the block reads."""
        try:
            yield
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            self.refused[str(run.folder / name)] = "lacks what is shown of it; run it again"

    def record(self, root: Path, label: str) -> dict[str, Any] | None:
        """A valid record; None, with the reason in ``refused``, if there is none."""
        if (root, label) not in self._records:
            self._records[root, label] = self._read_valid(root, label)
        return self._records[root, label]

    def _read_valid(self, root: Path, label: str) -> dict[str, Any] | None:
        try:
            record = read_record(root, label)
        except UserError:
            record = {}
        if record is None:
            self.refused[str(root / label)] = "has no record"
        elif problem := _problem(record, label):
            self.refused[str(record_path(root, label))] = problem
        else:
            return record
        return None

    def _has_valid_inputs(self, root: Path, record: dict[str, Any]) -> bool:
        """Whether all records upstream that the store holds are valid."""
        labels = list(record["inputs"].values())
        for label in labels:  # grows during the iteration
            if is_recorded(root, label):
                parent = self.record(root, label)
                if parent is None:
                    return False
                labels += (name for name in parent["inputs"].values() if name not in labels)
        return True

    def chain(self, root: Path, record: dict[str, Any]) -> list[dict[str, Any]]:
        """A record and those of everything upstream that the store holds, the nearest first."""
        records, labels = [record], list(record["inputs"].values())
        for label in labels:  # grows during the iteration
            parent = self.record(root, label)
            if parent is not None:
                records.append(parent)
                labels += (name for name in parent["inputs"].values() if name not in labels)
        return records

    def settings(self, root: Path, label: str) -> dict[str, Any]:
        """Identity of a result and of everything upstream by ``kind.field``, without seeds.

        What changes no result is left out too.
        """
        if (root, label) not in self._settings:
            self._settings[root, label] = self._read_settings(root, label)
        return self._settings[root, label]

    def _read_settings(self, root: Path, label: str) -> dict[str, Any]:
        record = self.record(root, label)
        if record is None:
            return {label.partition("/")[0]: label}
        kind, identity, inputs = record["kind"], record["identity"], record["inputs"]
        config = {k: v for k, v in identity["config"].items() if (kind, k) not in STORED}
        settings: dict[str, Any] = {f"{kind}.rev": identity["rev"]}
        settings |= flat(seedless(config), f"{kind}.")
        for name, parent in sorted(inputs.items()):
            prefix = f"{name}:" if len(inputs) > 1 else ""
            settings |= {prefix + k: value for k, value in self.settings(root, parent).items()}
        return settings


STORED = {("score", "score")}
"""Settings by kind that change no result that rests on it: which candidates are kept for rules."""

ROUNDING = 1e-5
"""Difference of metrics, absolute or relative, that processors of another kind may make."""

CUT = "cut_items"
"""Metric of a benchmark: the number of items that were longer than the model reads."""


def fingerprint_and_numbers(record: dict[str, Any]) -> str:
    """Key that two copies of one result share, and two results of one stage do not."""
    return record["fingerprint"] + json.dumps(numbers(record), sort_keys=True)


def numbers(record: dict[str, Any]) -> dict[str, Any]:
    """The metrics of a result without :data:`CUT`, which older versions did not count."""
    return {
        name: {k: v for k, v in value.items() if k != CUT} if isinstance(value, dict) else value
        for name, value in record["metrics"].items()
    }


def agree(one: Any, other: Any) -> bool:
    """Whether metrics are equal but for the rounding of another machine."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(agree(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(agree, one, other))
    if isinstance(one, float) and isinstance(other, float) and not math.isnan(one):
        return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return bool(one == other)


def seedless(value: Any) -> Any:
    """A JSON value without the seeds in it."""
    if isinstance(value, dict):
        return {key: seedless(item) for key, item in value.items() if key != "seed"}
    return [seedless(item) for item in value] if isinstance(value, list) else value


FIELDS: dict[str, Any] = {
    "kind": str, "name": str, "fingerprint": str, "identity": dict, "config": dict, "inputs": dict,
    "metrics": dict, "seconds": (int, float), "finished": str, "peak_memory_gb": (int, float),
}  # fmt: skip
"""Fields of a record that analyses read, and their types."""

REVISED_KINDS = {
    "certain", "edit", "evaluate", "mixture", "perplexity", "score", "select", "tokenizer",
    "tokens", "train",
}  # fmt: skip
"""Kinds of stages whose revision is checked; the module of the same name defines each."""


def _problem(record: dict[str, Any], label: str) -> str:
    """Reason to refuse the record of a result; empty if it is valid."""
    kind, _, name = label.partition("/")
    fingerprint = name.rpartition("-")[2]
    complete = all(isinstance(record.get(key), types) for key, types in FIELDS.items())
    if not complete or not {"rev", "config"} <= set(record["identity"]):
        return "is damaged"
    if (record["kind"], record["fingerprint"]) != (kind, fingerprint):
        return "is not of this folder"
    if digest(record["identity"]) != fingerprint:
        return "has an identity that its fingerprint does not fit"
    read = {name: own.rpartition("-")[2] for name, own in record["inputs"].items()}
    if record["identity"].get("inputs", {}) != read:  # a chain of inputs so ends
        return "names other inputs than its fingerprint"
    if kind in REVISED_KINDS:
        import_module(f"experiments.stages.{kind}")
        revision = record["identity"]["rev"]
        if revision != REVISIONS[kind]:
            return f"is of revision {revision} of {kind}, this version has {REVISIONS[kind]}"
    return ""
