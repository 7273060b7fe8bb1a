"""The part of a store that tables need: records, answers item by item, and curves."""

import json
import re
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from experiments.store import Store, rows
from experiments.store.records import Record, find_label, pack_records, read_record
from experiments.store.runs import EXAMPLES, RESULTS, RUN, Run, read_run
from toedit.corpora.files import atomic_path, damaged_as
from toedit.errors import UserError, suggest

REPORT = (RUN, RESULTS, EXAMPLES, "results.md")
STORE_GIVEN = re.compile(r',\s*"(?:store=|command_line": ")(?:[^"\\]|\\.)*"')
"""In the words of a command, and the line that these make.

Where a store was is no part of a result, and nobody else's path.
"""

KEPT = {
    "evaluate": ("predictions/*.parquet",),
    "certain": ("documents.parquet",),
    "train": ("metrics.jsonl",),
}
"""Files that are kept beside the record, by kind of stage."""


def export(store: Store, target: Path, experiments: Sequence[str] = ()) -> list[Path]:
    """Copies what tables need of the runs of a store.

    What the target has already stays: another machine may have computed a result with other
    rounding, and what depends on it would no longer fit. So does the page of a run whose results
    the target has with other numbers. A result that the target has under another name goes by that
    name in all that is copied.

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
    labels = dict.fromkeys(entry.label for run in chosen.values() for entry in run.stages)
    there = {label: find_label(target, label) for label in labels}
    renamed = {label: other for label, other in there.items() if other not in (None, label)}
    records = {label: _record(store, label) for label, other in there.items() if other is None}
    answers: dict[tuple[str, str], rows.Rows] = {}
    for label, record in records.items():
        answers |= exported_rows(store, label, record)
    written = rows.pack(target, answers)  # before the records, which list them
    written += pack_records(
        target, {label: json.loads(_rename(json.dumps(r), renamed)) for label, r in records.items()}
    )
    for path, run in chosen.items():
        same = all(
            _metrics(store.root, entry.label)
            == _metrics(target, renamed.get(entry.label, entry.label))
            for entry in run.stages
        )
        for name in REPORT:
            page = target / "reports" / path.parent.name / name
            if (path.parent / name).exists() and (same or not page.exists()):
                written += _copied(path.parent / name, page, renamed)
    return written


def _read(root: Path, path: Path) -> Run:
    try:
        return read_run(root, path)
    except UserError as error:
        raise UserError(f"{str(path)!r} {error}; delete its folder, or run it again") from error


def _record(store: Store, label: str) -> Record:
    record = read_record(store.root, label)
    if record is None:
        raise UserError(f"the result {label} has no record; run its experiment again")
    return record


def _metrics(root: Path, label: str) -> Any:
    return (read_record(root, label) or {}).get("metrics")


def exported_rows(store: Store, label: str, record: Record) -> dict[tuple[str, str], rows.Rows]:
    """Rows of the files of a result that tables need.

    Raises:
        UserError: a file is not as it was recorded.
    """
    patterns = KEPT.get(label.partition("/")[0], ())
    if "files" not in record:
        raise UserError(f"the result {label} is damaged: its record lists no files")
    names = [n for n in record["files"] if any(fnmatch(n, pattern) for pattern in patterns)]
    try:
        return {(label, n): rows.read(store.root, label, n, record["files"]) for n in names}
    except UserError as error:
        raise UserError(f"the result {label} is damaged: {error}") from error


def _rename(text: str, renamed: dict[str, str]) -> str:
    """JSON with labels as the target has them, and commands without the folder of their store."""
    text = STORE_GIVEN.sub("", text)
    for label, other in renamed.items():
        text = text.replace(f'"{label}"', f'"{other}"')
    return text


def _copied(source: Path, target: Path, renamed: dict[str, str]) -> list[Path]:
    """Copies a text file unless the same is there."""
    with damaged_as(source):
        content = _rename(source.read_text(encoding="utf-8"), renamed)
    if target.is_file() and target.read_bytes() == content.encode():
        return []
    with atomic_path(target) as temporary:
        temporary.write_text(content, encoding="utf-8")
        shutil.copystat(source, temporary)
    return [target]
