"""One finished stage of a run, as tables read it."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from experiments.stage import digest
from experiments.store import rows
from experiments.store.runs import Run, StageEntry


class Records(Protocol):
    """Where the records of what a result rests on are."""

    def record(self, root: Path, label: str) -> dict[str, Any] | None:
        """A record; None where it is not here."""
        ...

    def chain(self, root: Path, record: dict[str, Any]) -> list[dict[str, Any]]:
        """A record and all that it rests on, the nearest first."""
        ...

    def settings(self, root: Path, label: str) -> dict[str, Any]:
        """Everything that decides a result but seeds, flat."""
        ...


@dataclass(eq=False)
class Result:
    """A finished stage of a run, as the tables read it.

    Attributes:
        run: the run that needs it.
        entry: what the plan of that run calls it.
        record: its record.
        evidence: where the records of what it read are.
    """

    run: Run
    entry: StageEntry
    record: dict[str, Any]
    evidence: Records = field(repr=False)

    @property
    def kind(self) -> str:
        """Of the stage."""
        return self.entry.kind

    @property
    def label(self) -> str:
        """Its folder below the store."""
        return self.entry.label

    @property
    def arm(self) -> str:
        """Its arm; its name where it belongs to none."""
        return self.entry.arm or self.entry.name

    @property
    def seed(self) -> int | None:
        """Its seed; None where no seed changes it, as the base model."""
        return self.entry.seed

    @property
    def checkpoint(self) -> int | None:
        """Tokens of training after which it was evaluated; None for all."""
        return self.entry.checkpoint

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.run.root / self.label

    @cached_property
    def family(self) -> str:
        """What it shares with the same setting under other seeds."""
        return digest(self.settings)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Everything that decides the result but seeds, its own and upstream, flat."""
        return self.evidence.settings(self.run.root, self.label)

    def upstream(self, kind: str) -> dict[str, Any] | None:
        """The record of the nearest stage of a kind that it rests on, which may be its own."""
        chain = self.evidence.chain(self.run.root, self.record)
        return next((own for own in chain if own["kind"] == kind), None)

    @cached_property
    def context(self) -> tuple[str, str]:
        """How it was evaluated and how it was trained, seeds and data apart, and all of the model
        that the training started from: rows are compared where these agree. Empty where there was
        no training."""
        training = self.upstream("train")
        own = {
            key: value
            for key, value in self.record["identity"]["config"].items()
            if key not in ("model", "revision")
        }
        trained = {} if training is None else seedless(training["identity"]["config"])
        if training is not None and "start" in training["inputs"]:
            start = self.evidence.settings(self.run.root, training["inputs"]["start"])
            trained = {"training": trained, "start": start}
        return json.dumps(own, sort_keys=True), json.dumps(trained, sort_keys=True)

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What was read from its files, by what reads it."""
        return {}

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a file of the result, compared with its hash; read once.

        Raises:
            UserError: it is gone, or other than when it was recorded.
        """
        if name not in self.kept:
            files = self.record.get("files", {})
            self.kept[name] = rows.read(self.run.root, self.label, name, files)
        found: list[dict[str, Any]] = self.kept[name]
        return found


def seedless(value: Any) -> Any:
    """A JSON value without what seeds it names."""
    if isinstance(value, dict):
        return {key: seedless(own) for key, own in value.items() if key != "seed"}
    return [seedless(own) for own in value] if isinstance(value, list) else value
