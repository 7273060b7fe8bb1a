"""The store: one folder a stage, done when its record stands in it.

    store/<kind>/<name>-<fingerprint>/record.json

The record is written last, by an atomic rename, and lists every file of the result with its size
and hash. A folder without one is an interrupted stage, which continues where its own files say. One
process works on a stage at a time, and each says in ``jobs/`` which stages it is going to need.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from experiments.stage import Stage
from experiments.store.contents import incomplete, inventory
from experiments.store.records import (
    NOT_STAGES,
    RECORD,
    advice,
    find_label,
    is_label,
    labels,
    read_record,
    record_path,
    result_folder,
)
from toedit.corpora import SUBMITTED
from toedit.corpora.files import parse_json, remove, write_json
from toedit.corpora.paths import inside, removable, require_closed
from toedit.engines.slurm import require_idle
from toedit.errors import UserError
from toedit.identity import differences
from toedit.locks import locked
from toedit.redaction import published

FORCED = ".forced"
FAILED = ".failed.json"
"""Why a stage without a record has none; goes once it has one."""
VERSION = "format.json"
FORMAT = 1
"""Version of the store's layout; a store of a newer one is refused."""
RECORD_FORMAT = 2
"""Version of records: 2 has arm, seed and checkpoint as fields, which 1 had in the name."""


class Store:
    """A folder of stages and their records.

    Args:
        root: the folder; made if absent.
        create: write nothing where False; for looking only.

    Raises:
        UserError: it cannot be written, a newer version wrote it, or a link leads out of it.
    """

    def __init__(self, root: str | Path, create: bool = True) -> None:
        self.root = Path(root)
        version = self.root / VERSION
        try:
            if create and not version.exists():
                write_json(version, {"format": FORMAT})
            text = version.read_text() if version.exists() else f'{{"format": {FORMAT}}}'
            found = parse_json(text, dict)["format"]
            if not isinstance(found, int) or found < 1:
                raise ValueError
        except OSError as error:
            raise UserError(
                f"cannot write the store {str(root)!r}: {error.strerror}; set store=FOLDER"
            ) from error
        except (ValueError, KeyError) as error:
            raise UserError(
                f'{str(version)!r} is damaged; write {{"format": {FORMAT}}} into it'
            ) from error
        if found > FORMAT:
            raise UserError(
                f"the store {str(root)!r} has format {found}, this version reads up to {FORMAT}: "
                "update"
            )
        for name in sorted(NOT_STAGES):
            folder = self.root / name
            if name == "wandb":  # holds links of its own, and nothing that is read or removed
                inside(self.root, name)
                continue
            if folder.exists() and not folder.is_dir():
                raise UserError(f"{str(folder)!r} is no folder; move it out of the store")
            require_closed(folder, self.root)

    def label(self, stage: Stage) -> str:
        """Kind and folder of a stage, which another experiment may have finished under its name."""
        return find_label(self.root, stage.label) or stage.label

    def folder(self, stage: Stage) -> Path:
        """Folder of a stage's files.

        Raises:
            UserError: it is or lies behind a link.
        """
        return result_folder(self.root, self.label(stage))

    def record(self, stage: Stage) -> dict[str, Any] | None:
        """The record of a finished stage, or None.

        Raises:
            UserError: the record is damaged.
        """
        return read_record(self.root, self.label(stage))

    def finish(self, stage: Stage, record: dict[str, Any]) -> None:
        """Marks a stage as done: its record, with an inventory of its files, is written last."""
        folder = self.folder(stage)
        files = inventory(folder, stage.config.SCRATCH)
        write_json(
            folder / RECORD, {**record, "scratch": list(stage.config.SCRATCH), "files": files}
        )
        (folder / FAILED).unlink(missing_ok=True)
        self.clear_scratch(stage)

    def fail(self, stage: Stage, error: BaseException, when: str) -> None:
        """Notes why a stage did not end, for the ledger; what it has done so far stays."""
        folder = self.folder(stage)
        with suppress(OSError):  # as on a full disk, where the error itself is what matters
            if not (folder / RECORD).exists():
                write_json(folder / FAILED, {"when": when, "error": published(str(error))})

    def clear_scratch(self, stage: Stage) -> None:
        """Removes what only an unfinished stage needs, such as optimizer state."""
        folder = self.folder(stage)
        for name in stage.config.SCRATCH:
            remove(removable(folder, name))

    def require_complete(self, stage: Stage) -> None:
        """Raises a :class:`UserError` where a file of a finished stage is gone or cut short."""
        folder = self.folder(stage)
        record = self.record(stage)
        if record is None:
            raise UserError(f"the result {stage.label} was removed by another process; run again")
        problem = incomplete(folder, record.get("files", {}))
        if problem:
            label = self.label(stage)
            raise UserError(
                f"the result {stage.label} is incomplete: {problem}; {advice(self.root, label)}"
            )
        require_closed(folder)

    @contextmanager
    def explain_damage(self) -> Iterator[None]:
        """Adds to an error about a damaged file what to do, if it is one of this store."""
        try:
            yield
        except UserError as error:
            remedy = self.remedy(error.path) if error.path else None
            if remedy is None:
                raise
            raise UserError(f"{error}; {remedy}") from error

    def remedy(self, path: Path) -> str | None:
        """What to do about a damaged file, if it belongs to a stage of this store."""
        root, path = self.root.resolve(), path.resolve()
        label = "/".join(path.relative_to(root).parts[:2]) if root in path.parents else ""
        return advice(self.root, label) if is_label(label) else None

    def require_idle(self, stage: Stage) -> None:
        """Raises a UserError while a Slurm job of a stage is queued or running."""
        marks = (self.root / stage.kind).glob(f"*-{stage.fingerprint}/{SUBMITTED}")
        require_idle(marks, stage.label)

    def discard(self, stage: Stage) -> None:
        """Removes a stage's folder, under whatever name; its record goes first, so that it is never
        half a result."""
        for path in sorted((self.root / stage.kind).glob(f"*-{stage.fingerprint}")):
            folder = result_folder(self.root, f"{stage.kind}/{path.name}")
            (folder / RECORD).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)

    def mark_forced(self, stage: Stage) -> None:
        """Notes that a stage's earlier result was discarded on purpose."""
        self.folder(stage).mkdir(parents=True, exist_ok=True)
        (self.folder(stage) / FORCED).touch()

    def clear_forced(self, stage: Stage) -> None:
        """Forgets that this result was begun by ``force``, once all that was forced is done."""
        (self.folder(stage) / FORCED).unlink(missing_ok=True)

    def is_forced(self, stage: Stage) -> bool:
        """Whether this result was begun by ``force``."""
        return (self.folder(stage) / FORCED).exists()

    @contextmanager
    def attempt(self, stage: Stage) -> Iterator[tuple[int, bool]]:
        """Hold the number of an attempt at a stage, and whether it continues one.

        Its file is locked by the process at work and empty once the stage has a record; so one with
        content that nobody holds was interrupted, and the next attempt continues it.
        """
        with ExitStack() as held:
            for number in count(1):
                path = self.root / "attempts" / f"{stage.fingerprint}-{number}"
                is_there = os.path.lexists(path)
                if is_there and (not path.is_file() or not path.stat().st_size):
                    continue
                try:
                    held.enter_context(locked(path, stage.label, wait=False))
                    break
                except UserError:  # another process holds it
                    if not os.path.lexists(path):
                        raise
            try:
                yield number, is_there
            finally:
                with suppress(UserError, OSError):
                    if self.record(stage) is not None:
                        os.truncate(path, 0)

    def differences(self, stage: Stage) -> list[str]:
        """Fields that differ between a stage and the newest record of the same name."""
        found = sorted(
            labels(self.root, stage.kind, f"{stage.name}-*"),
            key=lambda label: record_path(self.root, label).stat().st_mtime,
        )
        if not found:
            return []
        try:
            before = flat((read_record(self.root, found[-1]) or {}).get("identity", {}))
        except UserError:  # only a hint; the damaged record is told where it matters
            return []
        return differences(before, flat(stage.identity), "default")

    def lock_path(self, label: str) -> Path:
        """The lock file of a stage: by kind and fingerprint, under whatever name it is computed."""
        kind, _, name = label.partition("/")
        return self.root / "locks" / f"{kind}-{name.rpartition('-')[2]}"

    def lock(self, stage: Stage) -> AbstractContextManager[None]:
        """Holds the stage's lock; says who has it while waiting."""
        return locked(self.lock_path(stage.label), stage.label)


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, keys joined by dots."""
    if isinstance(value, dict) and value:
        return {
            k: v for key, item in value.items() for k, v in flat(item, f"{prefix}{key}.").items()
        }
    return {prefix.rstrip("."): value}
