"""Documents in files: how records become documents, and how documents are written."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.conversations import joined, message_parts
from toedit.corpora.files import atomic_path, damaged_as
from toedit.corpora.units import Unit, lines
from toedit.document import Document
from toedit.errors import UserError

log = logging.getLogger(__name__)

SHARD_DOCUMENTS = 4096
"""Documents in a shard, where nothing else is said."""

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
        whole_files: a txt file is one document instead of one a line.
        unpack: columns that our own shards keep as JSON in ``metadata`` come apart again.
    """

    text_column: str = "text"
    id_column: str = "id"
    messages_column: str | None = None
    prompt_column: str | None = None
    invalid_utf8: str = "error"
    whole_files: bool = False
    unpack: bool = True


def read_documents(unit: Unit, reading: Reading = Reading()) -> Iterator[Document]:
    """Reads a unit's documents; none is dropped, but invalid ones where ``reading`` says so.

    Other columns become metadata.

    Raises:
        UserError: a file is damaged, a row is no record, or its text is missing, no text, or not
            valid UTF-8; file, row and columns are named.
    """
    path = Path(unit.file)
    records = raw_records(unit, reading)
    for row, record in zip(range(unit.start, unit.stop), records, strict=True):
        where = f"{path.name!r} row {row}"
        document = document_of(record, reading, where, partial(document_id, unit=unit, row=row))
        if document is None:
            log.warning("warning: %s is not valid UTF-8 and is skipped", where)
            continue
        yield document


def document_of(
    record: dict[str, Any], reading: Reading, where: str, name: Callable[[Any], str]
) -> Document | None:
    """A record as a document; None where it is not valid UTF-8 and to be skipped.

    Args:
        record: its columns, of which the text leaves it.
        reading: how records become documents.
        where: names it in errors.
        name: makes what the document goes by of what stands in the id column.

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
        text, editable = parts[0][0], _own_spans(record)
    else:
        text, editable = joined(parts)
    metadata = _metadata(record) if reading.unpack else record
    return Document(name(identity), text, metadata, editable)


def _own_spans(record: dict[str, Any]) -> tuple[tuple[int, int], ...] | None:
    """Spans that may change, which leave the record, in a shard of :func:`write_documents`."""
    if set(record) != {"metadata", EDITABLE}:
        return None
    spans = record.pop(EDITABLE)
    return None if spans is None else tuple((start, end) for start, end in json.loads(spans))


def document_id(identity: Any, unit: Unit, row: int) -> str:
    """What a document goes by: its id, or file and row where it has none."""
    return f"{unit.name or Path(unit.file).name}:{row}" if identity is None else str(identity)


def raw_ids(unit: Unit, reading: Reading) -> Iterable[Any]:
    """What stands in the id column, None where nothing does; texts are not read where possible."""
    path = Path(unit.file)
    if path.name.endswith(".txt"):
        return (None for _ in range(unit.start, unit.stop))
    if path.name.endswith(".parquet"):
        with damaged_as(path):
            file = pq.ParquetFile(path)
            names = [reading.id_column] if reading.id_column in file.schema_arrow.names else []
            column = file.read(columns=names).slice(unit.start, unit.stop - unit.start)
            empty = [None] * (unit.stop - unit.start)
            return column[reading.id_column].to_pylist() if names else empty
    return (record.get(reading.id_column) for record in raw_records(unit, reading))


def _parts(record: dict[str, Any], reading: Reading, where: str) -> list[tuple[str, bool]] | None:
    """The texts of a record and which may change; None where one is invalid and to be skipped.

    The text column leaves the record; messages and prompt stay in it, to be written back.
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
        text = _valid(raw, where, reading.invalid_utf8)
        if text is None:
            return None
        valid.append((text, editable))
    return valid


def _column(record: dict[str, Any], name: str, where: str) -> Any:
    if name not in record:
        raise UserError(
            f"{where} has no column {name!r}; its columns: {', '.join(map(str, record))}"
        )
    return record[name]


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


def raw_records(unit: Unit, reading: Reading) -> Iterator[dict[str, Any]]:
    """Rows of a unit; the text of parquet and txt files comes as bytes, yet to be decoded."""
    path = Path(unit.file)
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
    skipped = {reading.text_column: b"\xff"}  # the caller finds it invalid and skips it
    if valid is None:
        return skipped
    try:
        record = json.loads(valid)
        if "\\ud" in valid.lower():  # escapes may stand for half of a character
            whole = _valid(json.dumps(record, ensure_ascii=False), where, reading.invalid_utf8)
            if whole is None:
                return skipped
            record = json.loads(whole)
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
    """Writes documents as one parquet file of id, text, metadata (JSON) and, where some have any,
    spans that may change; returns how many."""
    rows = [
        (
            d.id,
            d.text,
            json.dumps(d.metadata, ensure_ascii=False, default=str),
            None if d.editable is None else json.dumps(d.editable),
        )
        for d in documents
    ]
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    named = dict(zip(("id", "text", "metadata", EDITABLE), columns, strict=True))
    if not any(spans is not None for spans in named[EDITABLE]):
        del named[EDITABLE]
    table = pa.table({name: pa.array(column, pa.string()) for name, column in named.items()})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=1024)
    return len(rows)


def write_shards(
    folder: Path, documents: Iterable[Document], prefix: str = "", size: int = SHARD_DOCUMENTS
) -> str:
    """Writes any number of documents as files of a limited size.

    Args:
        folder: where.
        documents: read once.
        prefix: before the number of a file in its name.
        size: documents in a file.

    Returns:
        A hash of their ids and texts.
    """
    digest, stream, number = hashlib.sha256(), iter(documents), 0
    while part := list(islice(stream, size)):
        write_documents(folder / f"{prefix}{number:05d}.parquet", part)
        for document in part:
            digest.update(f"{document.id}\x1f{document.text}\x1e".encode("utf-8", "surrogatepass"))
        number += 1
    return digest.hexdigest()
