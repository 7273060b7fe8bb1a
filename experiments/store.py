"""The store: one folder a stage, done when its record stands in it.

    store/<kind>/<name>-<fingerprint>/record.json

The record is written last, by an atomic rename. A folder without one is an interrupted stage, which
continues where its own files say. One process works on a stage at a time: a lock of the operating
system (flock), which a dead process cannot keep.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.fingerprint import Stage
from toedit.corpora.shards import atomic_path, write_json
from toedit.errors import UserError

RECORD = "record.json"
METRICS = "metrics.jsonl"
FORCED = ".forced"
FORMAT = 1
"""Version of the store's layout; a store of a newer one is refused."""


class Store:
    """A folder of stages and their records.

    Args:
        root: the folder; made if absent.
        create: write nothing where False; for looking only.

    Raises:
        UserError: it cannot be written, or a newer version wrote it.
    """

    def __init__(self, root: str | Path, create: bool = True) -> None:
        self.root = Path(root)
        version = self.root / "format.json"
        try:
            if create and not version.exists():
                write_json(version, {"format": FORMAT})
            found = json.loads(version.read_text())["format"] if version.exists() else FORMAT
        except OSError as error:
            raise UserError(
                f"cannot write the store {str(root)!r}: {error.strerror}; set store=FOLDER"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{str(version)!r} is corrupted; write {{"format": {FORMAT}}} into it'
            ) from error
        if found > FORMAT:
            raise UserError(
                f"the store {str(root)!r} has format {found}, this version reads up to {FORMAT}: "
                "update"
            )

    def folder(self, stage: Stage) -> Path:
        """Where a stage's files are."""
        return self.root / stage.kind / f"{stage.name}-{stage.fingerprint}"

    def record(self, stage: Stage) -> dict[str, Any] | None:
        """The record of a finished stage, or None.

        Raises:
            UserError: the record cannot be read.
        """
        return _read_record(self.folder(stage) / RECORD)

    def finish(self, stage: Stage, record: dict[str, Any]) -> None:
        """Marks a stage as done."""
        write_json(self.folder(stage) / RECORD, record)

    def discard(self, stage: Stage) -> None:
        """Removes a stage's folder; its record goes first, so that it is never half a result."""
        (self.folder(stage) / RECORD).unlink(missing_ok=True)
        shutil.rmtree(self.folder(stage), ignore_errors=True)

    def mark_forced(self, stage: Stage) -> None:
        """Notes that a stage's earlier result was discarded on purpose."""
        self.folder(stage).mkdir(parents=True, exist_ok=True)
        (self.folder(stage) / FORCED).touch()

    def is_forced(self, stage: Stage) -> bool:
        """Whether this result was begun by ``force``."""
        return (self.folder(stage) / FORCED).exists()

    def claim_attempt(self, stage: Stage) -> int:
        """A number no other attempt at this stage has, in this store."""
        folder = self.root / "attempts"
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            try:
                (folder / f"{stage.fingerprint}-{number}").touch(exist_ok=False)
                return number
            except FileExistsError:
                number += 1

    def differences(self, stage: Stage) -> list[str]:
        """Fields that differ between a stage and the newest record of the same name."""
        records = sorted(
            (self.root / stage.kind).glob(f"{stage.name}-*/{RECORD}"),
            key=lambda p: p.stat().st_mtime,
        )
        if not records:
            return []
        before = _flat((_read_record(records[-1]) or {}).get("identity", {}))
        after = _flat(stage.identity)
        return [
            f"{key}: {before.get(key, 'default')} -> {after.get(key, 'default')}"
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        ]

    @contextmanager
    def lock(self, stage: Stage) -> Iterator[None]:
        """Holds the stage's lock; says who has it while waiting."""
        path = self.root / "locks" / f"{stage.kind}-{stage.name}-{stage.fingerprint}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+") as handle:
            waiting = False
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not waiting:
                        owner = path.read_text().strip() or "another process"
                        print(
                            f"waiting for {stage.label}: {owner} works on it",
                            file=sys.stderr,
                            flush=True,
                        )
                        waiting = True
                    time.sleep(0.5)
            handle.truncate(0)
            handle.write(f"process {os.getpid()} on {socket.gethostname()}")
            handle.flush()
            yield


def _read_record(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text())
        record["metrics"], record["identity"]
        return record
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the record {str(path)!r} is corrupted; delete the folder "
            f"{str(path.parent)!r} to recompute it"
        ) from error


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {
            k: v for key, item in value.items() for k, v in _flat(item, f"{prefix}{key}.").items()
        }
    return {prefix.rstrip("."): value}


class MetricsLog:
    """``metrics.jsonl`` of a stage: a line a step, readable without any tracker."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / METRICS
        self._begun = False

    def append(self, values: dict[str, float], step: int) -> None:
        """Adds a line; lines of this step or later, left by an earlier attempt, go first."""
        if not self._begun and self.path.exists():
            kept = [row for row in self.read() if row["step"] < step]
            with atomic_path(self.path) as temporary:
                temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
        self._begun = True
        with self.path.open("a") as handle:
            handle.write(json.dumps({"step": step, **values}) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All whole lines."""
        rows = []
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                try:
                    rows.append(json.loads(line))
                except ValueError:
                    continue  # the line a kill cut short
        return rows
