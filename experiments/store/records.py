"""Records of finished stages: a file in the folder of each, or a line each in one file per kind.

A store that computes writes ``KIND/NAME-FINGERPRINT/record.json``. A store that only shows results,
as ``results/``, holds ``records/KIND.jsonl``: one record per line under the label of its folder,
sorted, so that a new result is one new line.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from toedit.corpora.files import atomic_path
from toedit.errors import UserError

RECORD = "record.json"
FOLDER = "records"

Record = dict[str, Any]


def read_record(root: Path, label: str) -> Record | None:
    """The record of a result; None if there is none.

    Raises:
        UserError: it is damaged.
    """
    path = root / label / RECORD
    if not path.is_file():
        records, damaged = _packed(root, label.partition("/")[0])
        if damaged and label not in records:
            raise UserError(f"line {damaged[0]} of {str(record_path(root, label))!r} is damaged")
        return records.get(label)
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the record {str(path)!r} is damaged; delete the folder "
            f"{str(path.parent)!r} to recompute it"
        ) from error


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
            yield f"{folder.name}/{path.parent.name}"
    for packed in sorted((root / FOLDER).glob(f"{kind}.jsonl")):
        pattern = f"{packed.stem}/{name}"
        records, _ = _packed(root, packed.stem)
        yield from (label for label in records if Path(label).match(pattern))


def find_label(root: Path, label: str) -> str | None:
    """The label if it is recorded, else that of the same result under another name, else None.

    A result is identified by its kind and fingerprint; its name is for people.
    """
    if is_recorded(root, label):
        return label
    kind, _, folder = label.partition("/")
    return next(labels(root, kind, f"*-{folder.rpartition('-')[2]}"), None)


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
            raise UserError(f"line {damaged[0]} of the records of {kind} in {root} is damaged")
        records = {**known, **{k: v for k, v in added.items() if k.startswith(f"{kind}/")}}
        if records == known:
            continue
        rows = [{"label": label, **records[label]} for label in sorted(records)]
        with atomic_path(root / FOLDER / f"{kind}.jsonl") as temporary:
            lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        changed.append(root / FOLDER / f"{kind}.jsonl")
    return changed


def _packed(root: Path, kind: str) -> tuple[dict[str, Record], list[int]]:
    """Records of a packed kind by label, and the numbers of damaged lines."""
    path = root / FOLDER / f"{kind}.jsonl"
    try:
        state = path.stat()
    except OSError:
        return {}, []
    return _read_packed(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=128)
def _read_packed(path: Path, size: int, modified: int) -> tuple[dict[str, Record], list[int]]:
    records, damaged = {}, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = json.loads(line)
            records[record.pop("label")] = _checked(record)
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged.append(number)
    return records, damaged


def _checked(record: Record) -> Record:
    """The record, if it has what every reader needs.

    Raises:
        KeyError, TypeError: it has not.
    """
    record["metrics"], record["identity"]
    return record
