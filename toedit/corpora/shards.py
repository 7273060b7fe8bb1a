"""Documents and scores on disk, and the manifest that cuts a corpus into units of work.

A unit is a range of rows of one file. Units are fixed before any worker starts, so results do not
depend on how many workers there are. Files are written under another name and renamed when whole.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toedit.document import Document, Tokens
from toedit.errors import UserError, damaged
from toedit.priors.base import TokenScores

WORK = ".work"
"""Beside shards: the manifest, and what only an unfinished output needs."""

WORK_SCRATCH = tuple(
    f"{WORK}/{name}"
    for name in ("completions", "edits", "executor.json", "logs", "progress", "stats", "stats.json")
)

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".txt")


@dataclass(frozen=True)
class Unit:
    """Rows ``start`` to ``stop`` of a file; ``name`` stands for it in the ids of its documents."""

    file: str
    start: int
    stop: int
    name: str = ""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside ``path`` and renames it when the block ends without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())  # else a power cut could leave the name without the content
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        )


@contextmanager
def damaged_as(path: Path) -> Iterator[None]:
    """Turns errors of reading and decoding a file in the block into one that names the file."""
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError, EOFError, ValueError, KeyError, TypeError, IndexError,
            zlib.error) as error:  # fmt: skip
        raise damaged(path, error) from error


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
        UserError: the file is damaged.
    """
    with damaged_as(path):
        return json.loads(path.read_text())


def manifest_path(folder: Path) -> Path:
    """Where the manifest of an output folder stands."""
    return folder / WORK / "manifest.json"


def corpus_files(inputs: Iterable[str | Path]) -> list[Path]:
    """The readable files among files and folders, folders searched for known suffixes and sorted.

    Raises:
        UserError: a path does not exist, or nothing readable was found.
    """
    files = []
    for path in map(Path, inputs):
        if not path.exists():
            raise UserError(f"input {str(path)!r} does not exist")
        found = (
            sorted(p for p in path.rglob("*") if p.name.endswith(SUFFIXES))
            if path.is_dir()
            else [path]
        )
        files += [
            p for p in found if not any(part.startswith(".") for part in p.relative_to(path).parts)
        ]
    bad = [p for p in files if not p.name.endswith(SUFFIXES)]
    if bad or not files:
        what = f"{str(bad[0])!r} has an unknown suffix" if bad else "no readable file in the inputs"
        raise UserError(f"{what}; allowed: {', '.join(SUFFIXES)}")
    return files


def count_rows(path: Path) -> int:
    """Documents in a file: parquet rows, or lines."""
    if path.name.endswith(".parquet"):
        with damaged_as(path):
            return pq.ParquetFile(path).metadata.num_rows
    with damaged_as(path), _open(path) as lines:
        return sum(1 for _ in lines)


def make_units(files: Iterable[Path], rows_per_unit: int | None = None) -> list[Unit]:
    """Cuts files into units of at most ``rows_per_unit`` rows, in order; None for a unit a file.

    A file goes by its name, or by its path below the common folder where names repeat.
    """
    paths = list(files)
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        common = os.path.commonpath([path.resolve().parent for path in paths])
        names = [os.path.relpath(path.resolve(), common) for path in paths]
    units = []
    for path, name in zip(paths, names, strict=True):
        rows = count_rows(path)
        step = rows_per_unit or max(rows, 1)
        units += [
            Unit(str(path), start, min(start + step, rows), name) for start in range(0, rows, step)
        ]
    return units


def write_units(path: Path, units: list[Unit]) -> None:
    """Writes a manifest; files are named relative to it, so that a folder of results can move."""
    rows = [{**asdict(u), "file": os.path.relpath(u.file, path.parent)} for u in units]
    write_json(path, rows)


def read_units(path: Path) -> list[Unit]:
    """Reads a manifest.

    Raises:
        UserError: the file is damaged.
    """
    rows = read_json(path)
    with damaged_as(path):
        return [
            Unit(**{**row, "file": os.path.normpath(path.parent / row["file"])}) for row in rows
        ]


def read_documents(
    unit: Unit, text_column: str = "text", id_column: str = "id"
) -> Iterator[Document]:
    """Reads a unit's documents; none is dropped, whatever its text.

    A document without an id gets ``file name:row``. Other columns become metadata.

    Raises:
        UserError: the text column is missing or not text; the columns are named.
    """
    path = Path(unit.file)
    for row, record in zip(range(unit.start, unit.stop), _records(path, unit), strict=True):
        if text_column not in record:
            raise UserError(
                f"{path.name!r} has no column {text_column!r}; its columns: "
                f"{', '.join(map(str, record))}"
            )
        text = record.pop(text_column)
        if not isinstance(text, str):
            raise UserError(
                f"{path.name!r} row {row}: column {text_column!r} holds "
                f"{type(text).__name__}, not text"
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"{path.name!r} row {row}: character {error.start} is a lone surrogate, which no "
                "UTF-8 text can hold; repair or remove it"
            ) from error
        identity = record.pop(id_column, None)
        name = f"{unit.name or path.name}:{row}" if identity is None else str(identity)
        yield Document(name, text, _metadata(record))


def _metadata(record: dict[str, Any]) -> dict[str, Any]:
    """A record's other columns; what our own shards keep as JSON in ``metadata`` is unpacked."""
    packed = record.get("metadata")
    if len(record) == 1 and isinstance(packed, str):
        try:
            unpacked = json.loads(packed)
        except json.JSONDecodeError:
            return record
        return unpacked if isinstance(unpacked, dict) else record
    return record


def _open(path: Path):
    opener = gzip.open if path.name.endswith(".gz") else open
    return opener(path, "rt", encoding="utf-8", newline="\n")


def _records(path: Path, unit: Unit) -> Iterator[dict[str, Any]]:
    if path.name.endswith(".parquet"):
        with damaged_as(path):
            file, first = pq.ParquetFile(path), 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if first < unit.stop and first + rows > unit.start:
                    low, high = max(unit.start - first, 0), min(unit.stop - first, rows)
                    yield from file.read_row_group(group).slice(low, high - low).to_pylist()
                first += rows
        return
    with damaged_as(path), _open(path) as lines:
        for number, line in enumerate(islice(lines, unit.start, unit.stop), unit.start + 1):
            if path.name.endswith(".txt"):
                yield {"text": line.removesuffix("\n")}
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{path.name!r} line {number} is not JSON: {error.msg}") from error
            if not isinstance(record, dict):
                raise UserError(f"{path.name!r} line {number} is not a JSON object")
            yield record


def write_documents(path: Path, documents: Iterable[Document]) -> int:
    """Writes documents as one parquet file of id, text and metadata (JSON); returns how many."""
    rows = [
        (d.id, d.text, json.dumps(d.metadata, ensure_ascii=False, default=str)) for d in documents
    ]
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    table = pa.table(
        {
            name: pa.array(column, pa.string())
            for name, column in zip(("id", "text", "metadata"), columns, strict=True)
        }
    )
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=1024)
    return len(rows)


_ARRAYS = {
    "ids": pa.int32(),
    "starts": pa.int32(),
    "ends": pa.int32(),
    "whole": pa.bool_(),
    "logprobs": pa.float32(),
    "rows": pa.int32(),
    "candidate_ids": pa.int32(),
    "candidate_logprobs": pa.float32(),
}


def write_scores(path: Path, scored: Iterable[tuple[str, TokenScores | None]], k: int) -> None:
    """Writes the scores of documents, one row each; a failed document's row is null.

    Args:
        path: parquet file.
        scored: document id and scores.
        k: candidates a position, kept in the file's metadata.
    """
    columns: dict[str, list[Any]] = {"id": [], **{name: [] for name in _ARRAYS}}
    for identity, scores in scored:
        columns["id"].append(identity)
        for name in _ARRAYS:
            if scores is None:
                columns[name].append(None)
            else:
                owner = scores.tokens if name in ("ids", "starts", "ends", "whole") else scores
                columns[name].append(getattr(owner, name).reshape(-1))
    fields = [pa.field("id", pa.string()), *(pa.field(n, pa.list_(t)) for n, t in _ARRAYS.items())]
    schema = pa.schema(fields, metadata={"k": str(k)})
    table = pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_scores(path: Path) -> Iterator[tuple[str, TokenScores | None]]:
    """Reads what :func:`write_scores` wrote."""
    with damaged_as(path):
        table = pq.read_table(path)
        k = int(table.schema.metadata[b"k"])
        ids = table["id"].to_pylist()
    for i, identity in enumerate(ids):
        if not table["ids"][i].is_valid:
            yield identity, None
            continue
        array = {name: table[name][i].values.to_numpy(zero_copy_only=False) for name in _ARRAYS}
        tokens = Tokens(array["ids"], array["starts"], array["ends"], array["whole"].astype(bool))
        shape = (len(array["rows"]), k)
        yield (
            identity,
            TokenScores(
                tokens,
                array["logprobs"].astype(np.float32),
                array["rows"],
                array["candidate_ids"].reshape(shape),
                array["candidate_logprobs"].reshape(shape),
            ),
        )
