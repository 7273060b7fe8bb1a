"""Read documents from parquet, JSON lines and text files, and write them as parquet."""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.conversations import joined, message_parts
from toedit.corpora.files import damaged_as, save_table
from toedit.corpora.units import Unit, lines
from toedit.document import Document
from toedit.errors import UserError

log = logging.getLogger(__name__)

SHARD_DOCUMENTS = 4096
"""Default number of documents in a shard."""

EDITABLE = "toedit_editable"
"""Column of the spans that may change (JSON), in shards of documents that have some."""


@dataclass(frozen=True)
class Reading:
    """How records become documents.

    Attributes:
        text_column: column that holds the text.
        id_column: column that holds the id; where absent, ids are file name and row.
        messages_column: column of chat messages, instead of a text.
        prompt_column: column of prompts, with ``text_column`` as the response.
        invalid_utf8: ``error``, ``replace`` (by U+FFFD) or ``skip`` documents that are not valid.
        whole_files: a txt file is one document instead of one per line.
        unpack: restore the columns that shards of this package hold as JSON in ``metadata``.
    """

    text_column: str = "text"
    id_column: str = "id"
    messages_column: str | None = None
    prompt_column: str | None = None
    invalid_utf8: str = "error"
    whole_files: bool = False
    unpack: bool = True


def read_documents(unit: Unit, reading: Reading = Reading()) -> Iterator[Document]:
    """Read a unit's documents, with other columns as metadata.

    Only documents of invalid UTF-8 are dropped, and only if ``reading`` says so.

    Raises:
        UserError: a file is damaged, a row is no record, or its text is missing, no text, or not
            valid UTF-8; the message names file, row and columns.
    """
    name, records = Path(unit.file).name, raw_records(unit, reading)
    for row, record in zip(range(unit.start, unit.stop), records, strict=True):
        where = f"{name!r} row {row}"
        document = document_of(record, reading, where, document_id(None, unit, row))
        if document is None:
            log.warning("warning: %s is not valid UTF-8 and is skipped", where)
        else:
            yield document


def document_of(
    record: dict[str, Any], reading: Reading, where: str, default_id: str
) -> Document | None:
    """Convert a record to a document; None if it is not valid UTF-8 and is to be skipped.

    ``where`` names the record in errors. The record's dictionary is modified.

    Raises:
        UserError: its text is missing, no text, or not valid UTF-8.
    """
    parts = _parts(record, reading, where)
    if parts is None:
        return None
    if reading.unpack:
        identity = record.pop(reading.id_column, None)
    else:
        identity = record.get(reading.id_column)  # goes back as it came
    if reading.messages_column is None and reading.prompt_column is None:
        text, editable = parts[0][0], _pop_editable(record)
    else:
        text, editable = joined(parts)
    metadata = _unpacked(record) if reading.unpack else record
    return Document(default_id if identity is None else str(identity), text, metadata, editable)


def _pop_editable(record: dict[str, Any]) -> tuple[tuple[int, int], ...] | None:
    """Remove and return the editable spans of a record of :func:`write_documents`."""
    if set(record) != {"metadata", EDITABLE}:
        return None
    spans = record.pop(EDITABLE)
    return None if spans is None else tuple((start, end) for start, end in json.loads(spans))


def document_id(identity: Any, unit: Unit, row: int) -> str:
    """A record's id as a string, or its file and row if it has none."""
    return f"{unit.name or Path(unit.file).name}:{row}" if identity is None else str(identity)


def raw_ids(unit: Unit, reading: Reading) -> Iterable[Any]:
    """Values of the id column, None where absent; reads no texts where the format allows it."""
    path, rows = Path(unit.file), unit.stop - unit.start
    if path.name.endswith(".parquet"):
        with damaged_as(path):
            file = pq.ParquetFile(path)
            if reading.id_column in file.schema_arrow.names:
                ids = file.read(columns=[reading.id_column])[reading.id_column]
                return ids.slice(unit.start, rows).to_pylist()
    elif not path.name.endswith(".txt"):
        return (record.get(reading.id_column) for record in raw_records(unit, reading))
    return repeat(None, rows)


def _parts(record: dict[str, Any], reading: Reading, where: str) -> list[tuple[str, bool]] | None:
    """The texts of a record and which may change; None if one is invalid and to be skipped.

    Removes the text column from the record; messages and prompt stay, to be written back.
    """
    if reading.messages_column is not None:
        parts: list[tuple[Any, bool]] = message_parts(
            _column(record, reading.messages_column, where), where
        )
    else:
        parts = [(_column(record, reading.text_column, where), True)]
        del record[reading.text_column]
        if reading.prompt_column is not None:
            parts.insert(0, (_column(record, reading.prompt_column, where), False))
    valid = []
    for number, (raw, editable) in enumerate(parts):
        if not isinstance(raw, str | bytes):
            prompt = reading.prompt_column if number == 0 else None
            column = reading.messages_column or prompt or reading.text_column
            raise UserError(f"{where}: column {column!r} holds {type(raw).__name__}, not text")
        text = _valid_text(raw, where, reading.invalid_utf8)
        if text is None:
            return None
        valid.append((text, editable))
    return valid


def _column(record: dict[str, Any], name: str, where: str) -> Any:
    if name not in record:
        columns = ", ".join(map(str, record))
        raise UserError(f"{where} has no column {name!r}; its columns: {columns}")
    return record[name]


def _valid_text(raw: str | bytes, where: str, policy: str) -> str | None:
    """Decode and check a text; None if it is not valid UTF-8 and to be skipped."""
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
        position = error.start if isinstance(error, UnicodeDecodeError | UnicodeEncodeError) else 0
        what = "byte" if isinstance(raw, bytes) else "character"
        raise UserError(
            f"{where}: {what} {position} is not valid UTF-8 (a lone surrogate or a broken "
            "sequence); repair it, or read with invalid_utf8=replace or skip"
        ) from error


def _unpacked(record: dict[str, Any]) -> dict[str, Any]:
    """The columns that :func:`write_documents` packed into ``metadata``; else the record itself."""
    packed = record.get("metadata")
    if len(record) != 1 or not isinstance(packed, str):
        return record
    try:
        unpacked = json.loads(packed)
    except json.JSONDecodeError:
        return record
    return unpacked if isinstance(unpacked, dict) else record


def raw_records(unit: Unit, reading: Reading) -> Iterator[dict[str, Any]]:
    """Rows of a unit; texts of parquet and txt files are undecoded bytes."""
    path = Path(unit.file)
    is_text = path.name.endswith(".txt")
    if path.name.endswith(".parquet"):
        yield from _parquet_rows(path, unit, reading.text_column)
    elif is_text and reading.whole_files:
        yield {reading.text_column: path.read_bytes()}
    else:
        rows = islice(lines(path, unit.offset), unit.stop - unit.start)
        for number, line in enumerate(rows, unit.start + 1):
            if is_text:
                yield {reading.text_column: line.removesuffix(b"\n")}
            else:
                yield _json_record(line, f"{path.name!r} line {number}", reading)


def _json_record(line: bytes, where: str, reading: Reading) -> dict[str, Any]:
    skipped = {reading.text_column: b"\xff"}  # the caller finds it invalid and skips it
    valid = _valid_text(line.removeprefix(b"\xef\xbb\xbf"), where, reading.invalid_utf8)
    if valid is None:
        return skipped
    try:
        record = json.loads(valid)
        if "\\ud" in valid.lower():  # an escaped surrogate may be unpaired
            unescaped = json.dumps(record, ensure_ascii=False)
            valid = _valid_text(unescaped, where, reading.invalid_utf8)
            if valid is None:
                return skipped
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
    """Cast a text column to bytes, which may or may not be valid UTF-8."""
    index = table.schema.get_field_index(column)
    binary = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
    if index < 0 or table.schema.types[index] not in binary:
        return table
    cast = table[column].cast(binary[table.schema.types[index]])
    return table.set_column(index, column, cast)


def write_documents(path: Path, documents: Iterable[Document]) -> int:
    """Write documents as one parquet file of id, text, metadata (JSON) and, if any document has
    some, editable spans (JSON); return their number."""
    rows = [
        {
            "id": d.id,
            "text": d.text,
            "metadata": json.dumps(d.metadata, ensure_ascii=False, default=str),
            EDITABLE: None if d.editable is None else json.dumps(d.editable),
        }
        for d in documents
    ]
    table = pa.Table.from_pylist(
        rows, pa.schema([(name, pa.string()) for name in ("id", "text", "metadata", EDITABLE)])
    )
    if table[EDITABLE].null_count == len(rows):
        table = table.drop_columns(EDITABLE)
    save_table(path, table, compression="zstd", row_group_size=1024)
    return len(rows)


def write_shards(
    folder: Path, documents: Iterable[Document], prefix: str = "", size: int = SHARD_DOCUMENTS
) -> str:
    """Write documents as files of ``size`` documents; return the SHA-256 of their ids and texts.

    Documents are read once, and ``prefix`` begins the name of every file.
    """
    digest, stream, number = hashlib.sha256(), iter(documents), 0
    while part := list(islice(stream, size)):
        write_documents(folder / f"{prefix}{number:05d}.parquet", part)
        for document in part:
            digest.update(f"{document.id}\x1f{document.text}\x1e".encode("utf-8", "surrogatepass"))
        number += 1
    return digest.hexdigest()
