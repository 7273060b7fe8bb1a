"""Looking after a store: what it holds and for what, what can go, and whether it is still whole."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.store import Store
from experiments.store.contents import altered
from experiments.store.export import exported_rows
from experiments.store.jobs import jobs, registry_lock
from experiments.store.records import (
    NOT_STAGES,
    RECORD,
    advice,
    damaged_lines,
    is_label,
    labels,
    read_record,
    result_folder,
)
from experiments.store.runs import RESULTS, RUN, labels_of
from toedit.corpora import SUBMITTED
from toedit.corpora.files import remove
from toedit.corpora.paths import removable
from toedit.errors import UserError
from toedit.locks import is_locked


@dataclass
class Entry:
    """One stage's folder.

    Attributes:
        label: ``kind/name-fingerprint``, also its place below the root.
        folder: the folder.
        record: its record; None where it is unfinished.
        running: a process works on it.
        problem: why its record cannot be read, and what to do; empty if it can, or there is none.
        read_by: labels of finished stages that read it.
        wanted_by: reports and jobs that list it.
    """

    label: str
    folder: Path
    record: dict[str, Any] | None
    running: bool
    problem: str = ""
    read_by: list[str] = field(default_factory=list)
    wanted_by: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """``damaged``, ``running``, ``done`` or ``unfinished``."""
        if self.problem:
            return "damaged"
        return "running" if self.running else "done" if self.record else "unfinished"

    @property
    def evaluated(self) -> bool:
        """It is a finished evaluation, which tables show."""
        return self.record is not None and self.label.startswith("evaluate/")

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return size_of(self.folder)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    total = 0
    for file in files:
        with suppress(FileNotFoundError):  # a running stage's files come and go
            total += file.lstat().st_size if file.is_file() else 0
    return total


def stage_labels(root: Path) -> list[str]:
    """Labels of the stages of a store, finished or not, in folders of their own or packed."""
    kinds = [p for p in root.iterdir() if p.is_dir() and p.name not in NOT_STAGES]
    folders = [f"{kind.name}/{p.name}" for kind in kinds for p in kind.iterdir() if p.is_dir()]
    return sorted({label for label in (*folders, *labels(root)) if is_label(label)})


def _entries(store: Store) -> Iterator[Entry]:
    for label in stage_labels(store.root):
        folder, record, problem = store.root / label, None, ""
        try:
            folder = result_folder(store.root, label)
            record = read_record(store.root, label)
        except UserError as error:
            problem = str(error)
        submitted = record is None and not problem and (folder / SUBMITTED).exists()
        busy = submitted or is_locked(store.lock_path(label))
        yield Entry(label, folder, record, busy, problem)


def survey(store: Store, interrupted: bool = True) -> list[Entry]:
    """Every stage of a store, sorted by label.

    Args:
        store: the store.
        interrupted: count what interrupted jobs declared as wanted.

    Raises:
        UserError: a job or a report is damaged.
    """
    listings = list(_listings(store, interrupted))  # first, or a job that ends now is overlooked
    entries = {entry.label: entry for entry in _entries(store)}
    for entry in entries.values():
        for label in (entry.record or {}).get("inputs", {}).values():
            if label in entries:
                entries[label].read_by.append(entry.label)
    for name, listed in listings:
        for label in listed:
            if label in entries:
                entries[label].wanted_by.append(name)
    return list(entries.values())


def _listings(store: Store, interrupted: bool) -> Iterator[tuple[str, list[str]]]:
    for job in jobs(store.root):
        if job.running or interrupted:
            yield f"job {job.experiment}", job.stages
    for folder in sorted((store.root / "reports").glob("*")):
        if (folder / RUN).exists():
            yield f"report {folder.name}", labels_of(folder / RUN)
        elif (folder / RESULTS).exists():  # of before runs were listed
            yield f"report {folder.name}", labels_of(folder / RESULTS)


def needed(entries: list[Entry]) -> set[str]:
    """Labels of stages that a report, an evaluation or a job needs, directly or through others."""
    by_label = {entry.label: entry for entry in entries}
    open_ = [e for e in entries if e.wanted_by or e.running or e.evaluated]
    seen: set[str] = set()
    while open_:
        entry = open_.pop()
        if entry.label not in seen:
            seen.add(entry.label)
            inputs = (entry.record or {}).get("inputs", {}).values()
            open_ += [by_label[label] for label in inputs if label in by_label]
    return seen


@dataclass(frozen=True)
class Garbage:
    """Something that can go: where it is, its size, and why nobody needs it."""

    path: Path
    bytes: int
    why: str


def garbage(store: Store, interrupted: bool = False) -> list[Garbage]:
    """What can be removed without touching anything a report, an evaluation or a job needs.

    Args:
        store: the store.
        interrupted: also unfinished stages, and what only interrupted jobs need.

    Raises:
        UserError: a record is damaged, so that what it needs is not known, or a link leads out.
    """
    found = []

    def add(path: Path, why: str) -> None:
        if path.exists():
            found.append(Garbage(path, size_of(path), why))

    entries = survey(store, interrupted=not interrupted)
    for problem in (*(entry.problem for entry in entries), *damaged_lines(store.root)):
        if problem:
            raise UserError(f"{problem}; until then nothing is removed")
    keep = needed(entries)
    if interrupted:
        for job in jobs(store.root):
            if not job.running:
                add(job.path, "declaration of an interrupted job")
    for entry in entries:
        if entry.running:
            continue
        if entry.record is None:
            if interrupted and entry.label not in keep:
                add(entry.folder, "unfinished, and no process works on it")
        elif entry.label not in keep:
            add(entry.folder, "no report, evaluation or job needs it")
        else:
            for name in entry.record.get("scratch", []):
                add(removable(entry.folder, name), "only the unfinished stage needed it")
            for path in entry.folder.rglob(".*.tmp"):
                add(path, "left by a kill in the middle of writing")
    return found


def collect(store: Store, interrupted: bool = False) -> list[Garbage]:
    """Removes what :func:`garbage` finds, while no job can begin; returns what went."""
    with registry_lock(store.root):
        found = garbage(store, interrupted)
        for item in found:
            if not item.path.is_symlink() and (item.path / RECORD).exists():
                (item.path / RECORD).unlink()  # first, so that it is never half a result
            remove(item.path)
            if item.path.exists():
                raise UserError(f"cannot remove {str(item.path)!r}; is it a link, or forbidden?")
    return found


def damage(store: Store) -> Iterator[tuple[str, list[str]]]:
    """Every finished stage with what is wrong with it and what to do, most often nothing.

    Reads and hashes all files; of a packed result those that were exported. A stage recorded
    without hashes counts as damaged, as does a line that holds no record.
    """
    for problem in damaged_lines(store.root):
        yield "records", [problem]
    for entry in _entries(store):
        if entry.problem:
            yield entry.label, [entry.problem]
        elif entry.record is not None and not entry.running:
            todo = advice(store.root, entry.label)
            yield entry.label, [f"{problem}; {todo}" for problem in _altered(store, entry)]


def _altered(store: Store, entry: Entry) -> list[str]:
    record = entry.record or {}
    if "files" not in record:
        return ["its record lists no files"]
    if (entry.folder / RECORD).exists():
        return altered(entry.folder, record["files"])
    try:
        exported_rows(store, entry.label, record)
    except UserError as error:
        return [str(error)]
    return []
