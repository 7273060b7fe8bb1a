"""The part of a store that tables need: records, answers item by item, and curves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from experiments.store import Store, read_record
from experiments.store.contents import RECORD, altered
from toedit.corpora.files import atomic_path
from toedit.errors import UserError, suggest

RUN, RESULTS = "run.json", "results.json"
REPORT = (RUN, RESULTS, "results.md")
KEPT = {
    "evaluate": ("predictions/*.parquet",),
    "certain": ("documents.parquet",),
    "train": ("metrics.jsonl",),
}
"""Files that are kept beside the record, by kind of stage."""


def export(store: Store, target: Path, experiments: Sequence[str] = ()) -> list[Path]:
    """Copies what tables need of the runs of a store; what is in the target already stays.

    Args:
        store: where the runs are.
        target: a store to add them to, as ``results/``.
        experiments: only runs of these; all if empty.

    Returns:
        The files that were written.

    Raises:
        UserError: there is no such run, or a file is not as it was recorded.
    """
    runs = {
        path: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((store.root / "reports").glob(f"*/{RUN}"))
    }
    known = {run["experiment"] for run in runs.values()}
    for name in experiments:
        if name not in known:
            raise UserError(f"no run of {name!r} in {str(store.root)!r}; {suggest(name, known)}")
    Store(target)
    written: list[Path] = []
    for path, run in runs.items():
        if experiments and run["experiment"] not in experiments:
            continue
        for label in run["stages"].values():
            written += _stage(store, target, label)
        for name in REPORT:
            written += _copied(path.parent / name, target / "reports" / path.parent.name / name)
    return written


def _stage(store: Store, target: Path, label: str) -> list[Path]:
    record: dict[str, Any] | None = read_record(store.root / label / RECORD)
    if record is None:
        raise UserError(f"the result {label} has no record; run its experiment again")
    patterns = KEPT.get(label.partition("/")[0], ())
    names = [n for n in record["files"] if any(fnmatch(n, pattern) for pattern in patterns)]
    problems = altered(store.root / label, {name: record["files"][name] for name in names})
    if problems:
        raise UserError(f"the result {label} is damaged: {problems[0]}")
    found = [_copied(store.root / label / name, target / label / name) for name in names]
    found.append(_copied(store.root / label / RECORD, target / label / RECORD))
    return [path for paths in found for path in paths]


def _copied(source: Path, target: Path) -> list[Path]:
    """Copies a file unless the same is there."""
    if target.is_file() and target.read_bytes() == source.read_bytes():
        return []
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
    return [target]
