"""Documents in files: how records become documents, and how documents are written."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.files import atomic_path, damaged_as
from toedit.corpora.units import Unit, lines
from toedit.document import Document
from toedit.errors import UserError

log = logging.getLogger(__name__)

INVALID_UTF8 = ("error", "replace", "skip")


@dataclass(frozen=True)
class Reading:
    """How records become documents.

    Attributes:
        text_column: column that holds the text.
        id_column: column that holds the id; where absent, ids are file name and row.
        invalid_utf8: ``error``, ``replace`` (by U+FFFD) or ``skip`` documents that are not valid.
        whole_files: a txt file is one document instead of one a line.
    """

    text_column: str = "text"
    id_column: str = "id"
    invalid_utf8: str = "error"
    whole_files: bool = False


def read_documents(unit: Unit, reading: Reading = Reading()) -> Iterator[Document]:
    """Reads a unit's documents; none is dropped, but invalid ones where ``reading`` says so.

    Other columns become metadata.

    Raises:
        UserError: a file is damaged, a row is no record, or its text is missing, no text, or not
            valid UTF-8; file, row and columns are named.
    """
    path = Path(unit.file)
    records = _records(path, unit, reading)
    for row, record in zip(range(unit.start, unit.stop), records, strict=True):
        where = f"{path.name!r} row {row}"
        if reading.text_column not in record:
            raise UserError(
                f"{path.name!r} has no column {reading.text_column!r}; its columns: "
                f"{', '.join(map(str, record))}"
            )
        raw = record.pop(reading.text_column)
        if not isinstance(raw, str | bytes):
            raise UserError(
                f"{where}: column {reading.text_column!r} holds {type(raw).__name__}, not text"
            )
        text = _valid(raw, where, reading.invalid_utf8)
        if text is None:
            log.warning("warning: %s is not valid UTF-8 and is skipped", where)
            continue
        identity = record.pop(reading.id_column, None)
        name = f"{unit.name or path.name}:{row}" if identity is None else str(identity)
        yield Document(name, text, _metadata(record))


def _valid(raw: str | bytes, where: str, policy: str) -> str | None:
    """The text, None where it is not valid UTF-8 and to be skipped."""
    try:
        if isinstance(raw, bytes):
            return raw.decode()
        raw.encode()
        return raw
    except UnicodeError as error:
        if policy == "skip":
            return None
        if policy == "replace":
            if isinstance(raw, bytes):
                return raw.decode(errors="replace")
            return raw.encode("utf-16", "surrogatepass").decode("utf-16", errors="replace")
        place = error.start if isinstance(error, UnicodeDecodeError | UnicodeEncodeError) else 0
        what = "byte" if isinstance(raw, bytes) else "character"
        raise UserError(
            f"{where}: {what} {place} is not valid UTF-8 (a lone surrogate or a broken sequence); "
            "repair it, or read with invalid_utf8=replace or skip"
        ) from error


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


def _records(path: Path, unit: Unit, reading: Reading) -> Iterator[dict[str, Any]]:
    """Rows of a unit; the text of parquet and txt files comes as bytes, yet to be decoded."""
    if path.name.endswith(".parquet"):
        yield from _parquet_rows(path, unit, reading.text_column)
    elif path.name.endswith(".txt"):
        if reading.whole_files:
            yield {reading.text_column: path.read_bytes()}
        else:
            for line in islice(lines(path, unit.offset), unit.stop - unit.start):
                yield {reading.text_column: line.removesuffix(b"\n")}
    else:
        rows = islice(lines(path, unit.offset), unit.stop - unit.start)
        for number, line in enumerate(rows, unit.start + 1):
            yield _json_record(line, f"{path.name!r} line {number}", reading)


def _json_record(line: bytes, where: str, reading: Reading) -> dict[str, Any]:
    valid = _valid(line.removeprefix(b"\xef\xbb\xbf"), where, reading.invalid_utf8)
    if valid is None:
        return {reading.text_column: line}  # skipped by the caller, who decodes it again
    try:
        record = json.loads(valid)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where} is not JSON: {getattr(error, 'msg', error)}") from error
    if not isinstance(record, dict):
        raise UserError(f"{where} is not a JSON object")
    return record


def _parquet_rows(path: Path, unit: Unit, text_column: str) -> Iterator[dict[str, Any]]:
    with damaged_as(path):
        file, first = pq.ParquetFile(path), 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if first < unit.stop and first + rows > unit.start:
                low, high = max(unit.start - first, 0), min(unit.stop - first, rows)
                table = file.read_row_group(group).slice(low, high - low)
                yield from _undecoded(table, text_column).to_pylist()
            first += rows


def _undecoded(table: pa.Table, column: str) -> pa.Table:
    """The table with one column of text as bytes, which may or may not be valid UTF-8."""
    index = table.schema.get_field_index(column)
    binary = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
    if index < 0 or table.schema.types[index] not in binary:
        return table
    cast = table[column].cast(binary[table.schema.types[index]])
    return table.set_column(index, column, cast)


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
