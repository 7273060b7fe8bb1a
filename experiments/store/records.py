"""Records of finished stages: a file in the folder of each, or a line each in one file per kind.

A store that computes writes ``KIND/NAME-FINGERPRINT/record.json``. A store that only shows results,
as ``results/``, holds ``records/KIND.jsonl``: one record per line under the label of its folder,
sorted, so that a new result is one new line.
"""

import glob
import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from toedit.corpora.files import atomic_path, parse_json
from toedit.corpora.paths import inside, is_relative
from toedit.errors import UserError, short

RECORD = "record.json"
FOLDER = "records"

NOT_STAGES = {"attempts", "jobs", "locks", "records", "reports", "rows", "sweeps", "wandb"}
"""Folders of a store that hold no stages."""

LABEL = re.compile(r"(?!\.)([^/\x00-\x1f\x7f]+)/[^/\x00-\x1f\x7f]*-[0-9a-f]{12}")
"""``kind/name-fingerprint``; any other folder in a store is not ours to touch."""

TYPES: dict[str, Any] = {
    "kind": str, "name": str, "fingerprint": str, "identity": dict, "config": dict, "inputs": dict,
    "metrics": dict, "seconds": (int, float), "finished": str, "peak_memory_gb": (int, float),
    "experiment": str, "arm": (str, type(None)), "seed": (int, type(None)),
    "checkpoint": (int, type(None)), "git_commit": (str, type(None)), "argv": list,
    "command_line": str, "packages": dict, "hardware": dict, "tracker_run": (str, type(None)),
    "scratch": list, "files": dict, "commits": dict,
}  # fmt: skip
"""Fields of a record and their types; older records lack some."""

Record = dict[str, Any]


def is_label(value: Any) -> bool:
    """Whether a value is ``kind/name-fingerprint``, the folder of a result in a store."""
    found = LABEL.fullmatch(value) if isinstance(value, str) and is_relative(value) else None
    return found is not None and found[1] not in NOT_STAGES


def are_labels(value: Any) -> bool:
    """Whether a value is a list of labels."""
    return isinstance(value, list) and all(map(is_label, value))


def result_folder(root: Path, label: str) -> Path:
    """The folder of a result, whether there is one or not: all that read or remove results start
    here.

    Raises:
        UserError: the label is none, or a link leads to another folder.
    """
    folder = root / label
    if not is_label(label):
        raise UserError(f"{str(label)[:80]!r} is no result: allowed is KIND/NAME-FINGERPRINT")
    if os.path.realpath(folder) != os.path.join(os.path.realpath(root), label):
        raise UserError(
            f"the result {label} in {str(root)!r} is or lies behind a link, which is not followed: "
            "put the folder itself in its place"
        )
    return folder


def read_record(root: Path, label: str) -> Record | None:
    """The record of a result; None if there is none.

    Raises:
        UserError: it is damaged.
    """
    path = inside(result_folder(root, label), RECORD)
    if not path.is_file():
        records, damaged = _packed(root, label.partition("/")[0])
        if damaged and label not in records:
            raise UserError(damaged[0])
        return records.get(label)
    try:
        return _checked(parse_json(path.read_text(encoding="utf-8"), dict))
    except ValueError as error:
        raise UserError(
            f"the record {str(path)!r} is damaged ({short(error, 120)}); {advice(root, label)}"
        ) from error


def advice(root: Path, label: str) -> str:
    """What to do about a damaged result: compute it again, or, if it is packed, copy it again."""
    path = record_path(root, label)
    if path.name == RECORD:
        return f"delete the folder {str(path.parent)!r} to recompute it"
    return (
        f"restore the file from where it came, or delete the line of {label} in {str(path)!r} and "
        "export it again"
    )


def is_recorded(root: Path, label: str) -> bool:
    """Whether there is a record of a result, damaged or not."""
    records, damaged = _packed(root, label.partition("/")[0])
    return (root / label / RECORD).exists() or label in records or bool(damaged)


def record_path(root: Path, label: str) -> Path:
    """The file that holds the record of a result."""
    path = root / label / RECORD
    packed = root / FOLDER / f"{label.partition('/')[0]}.jsonl"
    return packed if packed.exists() and not path.exists() else path


def labels(root: Path, kind: str = "*", name: str = "*") -> Iterator[str]:
    """Labels of the recorded results of a kind whose folder matches ``name``, sorted by kind."""
    for folder in sorted(root.glob(kind)):
        for path in sorted(folder.glob(f"{name}/{RECORD}")):
            if is_label(label := f"{folder.name}/{path.parent.name}"):
                yield label
    for packed in sorted((root / FOLDER).glob(f"{kind}.jsonl")):
        pattern = f"{packed.stem}/{name}"
        records, _ = _packed(root, packed.stem)
        yield from (label for label in records if PurePosixPath(label).match(pattern))


def damaged_lines(root: Path) -> Iterator[str]:
    """What is wrong with lines of the files that hold the records of a kind."""
    for packed in sorted((root / FOLDER).glob("*.jsonl")):
        yield from _packed(root, packed.stem)[1]


def find_label(root: Path, label: str) -> str | None:
    """The label if it is recorded, else that of the same result under another name, else None.

    A result is identified by its kind and fingerprint; its name is for people.
    """
    if is_recorded(root, label):
        return label
    kind, _, folder = label.partition("/")
    return next(labels(root, glob.escape(kind), f"*-{folder.rpartition('-')[2]}"), None)


def pack_records(root: Path, added: Mapping[str, Record]) -> list[Path]:
    """Adds records to the files of their kinds; returns the files that changed.

    Args:
        root: the store.
        added: records by label; they replace records of the same label.
    """
    changed = []
    for kind in sorted({label.partition("/")[0] for label in added}):
        known, damaged = _packed(root, kind)
        if damaged:
            raise UserError(damaged[0])
        records = {**known, **{k: v for k, v in added.items() if k.startswith(f"{kind}/")}}
        if records == known:
            continue
        rows = [{"label": label, **records[label]} for label in sorted(records)]
        with atomic_path(root / FOLDER / f"{kind}.jsonl") as temporary:
            lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        changed.append(root / FOLDER / f"{kind}.jsonl")
    return changed


def _packed(root: Path, kind: str) -> tuple[dict[str, Record], list[str]]:
    """Records of a packed kind by label, and what is wrong with damaged lines."""
    path = root / FOLDER / f"{kind}.jsonl"
    try:
        state = path.stat()
    except OSError:
        return {}, []
    return _read_packed(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=128)
def _read_packed(path: Path, size: int, modified: int) -> tuple[dict[str, Record], list[str]]:
    records, damaged = {}, []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = parse_json(line.decode(), dict)
            label = record.pop("label", None)
            if not is_label(label) or not label.startswith(f"{path.stem}/"):
                raise ValueError(f"label {str(label)[:80]!r}")
            records[label] = _checked(record)
        except ValueError as error:
            damaged.append(
                f"line {number} of {str(path)!r} is damaged ({short(error, 120)}); restore the "
                "file from where it came, or delete the line and export the result again"
            )
    return records, damaged


def _checked(record: Record) -> Record:
    """The record, if what it has is of the right types and names nothing outside its folder.

    Raises:
        ValueError: it is not.
    """
    for name in ("metrics", "identity"):
        if name not in record:
            raise ValueError(f"no {name!r}")
    for name, types in TYPES.items():
        if name in record and not isinstance(record[name], types):
            raise ValueError(f"{name!r} is a {type(record[name]).__name__}")
    files, scratch = record.get("files", {}), record.get("scratch", [])
    bad = [label for label in record.get("inputs", {}).values() if not is_label(label)]
    bad += [name for name in (*files, *scratch) if not is_relative(name)]
    bad += [n for n, own in files.items() if not isinstance(own, dict) or not _is_file_entry(own)]
    if not bad:  # names in `scratch` are deleted: they may hold nothing of the result
        kept = {
            str(path).casefold()
            for name in (RECORD, *files)
            for path in (name, *PurePosixPath(name).parents)
        }
        bad = [name for name in scratch if name.casefold() in kept]
    if bad:
        raise ValueError(f"it names {str(bad[0])[:80]!r}")
    return record


def _is_file_entry(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("bytes"), int) and isinstance(value.get("sha256"), str)
