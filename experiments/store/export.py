"""The part of a store that tables need: records, answers item by item, and curves."""

import re
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from experiments.store import Store, read_record, rows
from experiments.store.contents import RECORD
from experiments.store.runs import EXAMPLES, RESULTS, RUN, Run, read_run
from toedit.corpora.files import atomic_path
from toedit.errors import UserError, suggest

REPORT = (RUN, RESULTS, EXAMPLES, "results.md")
STORE_GIVEN = re.compile(rb',\s*"store=(?:[^"\\]|\\.)*"')
"""In the words of a command. Where a store was is no part of a result, and nobody else's path."""

KEPT = {
    "evaluate": ("predictions/*.parquet",),
    "certain": ("documents.parquet",),
    "train": ("metrics.jsonl",),
}
"""Files that are kept beside the record, by kind of stage."""


def export(store: Store, target: Path, experiments: Sequence[str] = ()) -> list[Path]:
    """Copies what tables need of the runs of a store; what is in the target already stays, and so
    does the page of a run whose results are there with other numbers.

    Args:
        store: where the runs are.
        target: a store to add them to, as ``results/``.
        experiments: only runs of these; all if empty.

    Returns:
        The files that were written.

    Raises:
        UserError: there is no such run, or a file is not as it was recorded.
    """
    paths = sorted((store.root / "reports").glob(f"*/{RUN}"))
    runs = {path: _read(store.root, path) for path in paths}
    known = {run.experiment for run in runs.values()}
    for name in experiments:
        if name not in known:
            raise UserError(f"no run of {name!r} in {str(store.root)!r}; {suggest(name, known)}")
    Store(target)
    chosen = {p: run for p, run in runs.items() if not experiments or run.experiment in experiments}
    kept: dict[tuple[str, str], rows.Rows] = {}
    for label in dict.fromkeys(entry.label for run in chosen.values() for entry in run.stages):
        if _elsewhere(target, label) is None:
            kept |= _rows(store, label)
    written = rows.pack(target, kept)  # before the records, which say that they are there
    for path, run in chosen.items():
        there: dict[str, str] = {}
        labels = [entry.label for entry in run.stages]
        for label in labels:
            written += _stage(store, target, label, there)
        same = all(_same_numbers(store.root / label, target / there.get(label, label))
                   for label in labels)  # fmt: skip
        for name in REPORT:
            own = target / "reports" / path.parent.name / name
            if (path.parent / name).exists() and (same or not own.exists()):
                written += _copied(path.parent / name, own, there)
    return written


def _read(root: Path, path: Path) -> Run:
    try:
        return read_run(root, path)
    except UserError as error:
        raise UserError(f"{str(path)!r} {error}; delete its folder, or run it again") from error


def _same_numbers(source: Path, target: Path) -> bool:
    own, other = (read_record(folder / RECORD) or {} for folder in (source, target))
    return own.get("metrics") == other.get("metrics")


def _stage(store: Store, target: Path, label: str, there: dict[str, str]) -> list[Path]:
    """One result; one that the target has, under whatever name, stays: another machine may have
    computed it with other rounding, and what rests on it would no longer fit. Another name is noted
    in ``there``, and written in place of its own in what rests on it."""
    own = _elsewhere(target, label)
    if own is None:
        return _copied(store.root / label / RECORD, target / label / RECORD, there)
    if own != label:
        there[label] = own
    return []


def _elsewhere(target: Path, label: str) -> str | None:
    """The label of a result in the target, by its own name or another; None where it is not."""
    if (target / label / RECORD).exists():
        return label
    kind, _, folder = label.partition("/")
    fingerprint = folder.rpartition("-")[2]
    for path in sorted((target / kind).glob(f"*-{fingerprint}/{RECORD}")):
        return f"{kind}/{path.parent.name}"
    return None


def _rows(store: Store, label: str) -> dict[tuple[str, str], rows.Rows]:
    """Rows of the files of a result that tables need.

    Raises:
        UserError: it has no record, or a file is not as it was recorded.
    """
    record: dict[str, Any] | None = read_record(store.root / label / RECORD)
    if record is None:
        raise UserError(f"the result {label} has no record; run its experiment again")
    patterns = KEPT.get(label.partition("/")[0], ())
    names = [n for n in record["files"] if any(fnmatch(n, pattern) for pattern in patterns)]
    try:
        return {(label, n): rows.read(store.root, label, n, record["files"]) for n in names}
    except UserError as error:
        raise UserError(f"the result {label} is damaged: {error}") from error


def _copied(source: Path, target: Path, renamed: dict[str, str] | None = None) -> list[Path]:
    """Copies a file unless the same is there, with labels of results as the target has them, and
    commands without the folder of the store they were given in."""
    content = STORE_GIVEN.sub(b"", source.read_bytes())
    for label, own in (renamed or {}).items():
        content = content.replace(f'"{label}"'.encode(), f'"{own}"'.encode())
    if target.is_file() and target.read_bytes() == content:
        return []
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)
        shutil.copystat(source, temporary)
    return [target]
