"""Convert records of files to documents, and write documents as parquet."""

import hashlib
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.conversations import joined, message_parts
from toedit.corpora.files import damaged_as, save_table
from toedit.corpora.records import INVALID, MISSING, Reading, Skipped, raw_records, valid_text
from toedit.corpora.units import Unit, file_names
from toedit.document import Document
from toedit.errors import UserError, short

log = logging.getLogger(__name__)

SHARD_DOCUMENTS = 4096
"""Default number of documents in a shard."""

HEAD, FILES = 100, 20
"""Records of a file, and files, whose columns are checked before anything is made of them."""

EDITABLE = "toedit_editable"
"""Column of the spans that may change (JSON), in shards of documents that have some."""


def read_documents(
    unit: Unit,
    reading: Reading = Reading(),  # noqa: B008
    skipped: Counter[str] | None = None,
) -> Iterator[Document]:
    """Read a unit's documents, with other columns as metadata.

    Only documents of invalid UTF-8 and without text are dropped, and only if ``reading`` says so.
    ``skipped`` counts them by reason.

    Raises:
        UserError: a file is damaged, a row is no record, or its text is missing, no text, or not
            valid UTF-8; the message names file, row and columns.
    """
    ids = (document_id(None, unit, row) for row in range(unit.start, unit.stop))
    records = zip(_places(unit), ids, raw_records(unit, reading), strict=True)
    yield from documents_of(records, reading, skipped)


def _places(unit: Unit) -> Iterator[str]:
    """How errors name the rows of a unit."""
    return (f"{unit.source!r} row {row}" for row in range(unit.start, unit.stop))


def documents_of(
    records: Iterable[tuple[str, str, dict[str, Any] | None]],
    reading: Reading,
    skipped: Counter[str] | None = None,
) -> Iterator[Document]:
    """Convert records to documents.

    Args:
        records: how errors name a record, its id unless it has one, and the record, which is
            modified; None if it is not valid UTF-8 and is to be skipped.
        reading: how records become documents.
        skipped: counts the records that are left out, by reason.

    Raises:
        UserError: a text is missing, no text, or not valid UTF-8.
    """
    for where, default_id, record in records:
        try:
            document = _document(record, reading, where, default_id)
        except Skipped as reason:
            if str(reason) == INVALID:
                log.warning("warning: %s is not valid UTF-8 and is skipped", where)
            if skipped is not None:
                skipped[str(reason)] += 1
        else:
            yield document


def _document(
    record: dict[str, Any] | None, reading: Reading, where: str, default_id: str
) -> Document:
    parts = _parts(record, reading, where)
    assert record is not None
    if parts is None:
        record.update({name: record.get(name) for name in reading.text_columns})
    elif reading.messages_column is None:
        del record[reading.text_column]  # messages and prompts stay, to be written back
    if reading.unpack:
        identity = record.pop(reading.id_column, None)
    else:
        identity = record.get(reading.id_column)  # goes back as it came
    editable: tuple[tuple[int, int], ...] | None
    text, editable = joined(parts or [])
    if reading.messages_column is None and reading.prompt_column is None:
        editable = _pop_editable(record) if reading.unpack and parts is not None else None
    metadata = _unpacked(record) if reading.unpack else record
    return Document(default_id if identity is None else str(identity), text, metadata, editable)


def _pop_editable(record: dict[str, Any]) -> tuple[tuple[int, int], ...] | None:
    """Remove and return the editable spans of a record of :func:`write_documents`."""
    if set(record) != {"metadata", EDITABLE}:
        return None
    spans = record.pop(EDITABLE)
    try:
        return None if spans is None else tuple((int(i), int(j)) for i, j in json.loads(spans))
    except (TypeError, ValueError):  # a column of that name that is not ours
        record[EDITABLE] = spans
        return None


def document_id(identity: Any, unit: Unit, row: int) -> str:
    """A record's id as a string, or its file and row if it has none."""
    return f"{unit.source}:{row}" if identity is None else str(identity)


def checked_ids(unit: Unit, reading: Reading) -> Iterator[Any]:
    """Values of the id column, None where absent, after a check of each record's text; the default
    id of a row that is no valid UTF-8 and to be skipped.

    Raises:
        UserError: :func:`read_documents` would refuse a record.
    """
    if Path(unit.file).name.endswith(".txt"):
        yield from repeat(None, unit.stop - unit.start)
        return
    records = raw_records(unit, reading, (reading.id_column, *reading.text_columns))
    rows = range(unit.start, unit.stop)
    for row, where, record in zip(rows, _places(unit), records, strict=True):
        with suppress(Skipped):
            _parts(record, reading, where)
        yield document_id(None, unit, row) if record is None else record.get(reading.id_column)


def check_first_records(files: Sequence[Path], reading: Reading) -> set[str]:
    """Check the columns of the first records of local files, before anything is made of them.

    Returns:
        The names of their columns; txt files have none.

    Raises:
        UserError: a text is missing or none, or no record has its column.
    """
    units = [Unit(str(f), 0, sys.maxsize, n) for f, n in zip(files, file_names(files), strict=True)]
    units = [unit for unit in units if not unit.file.endswith(".txt")]
    columns: set[str] = set()
    for unit in units[:FILES]:
        if unit.file.endswith(".parquet"):  # the least that can be read of it is a row group
            with damaged_as(Path(unit.file)):
                columns.update(names := pq.read_schema(unit.file).names)
            absent = next((n for n in reading.text_columns if n not in names), None)
            if absent is not None and reading.missing_text == "error":
                _require_kept(dict.fromkeys(names), absent, reading, f"{unit.source!r} row 0")
            continue
        records = islice(raw_records(unit, reading), HEAD)
        for where, record in zip(_places(unit), records, strict=False):
            columns.update(record or ())
            with suppress(Skipped):
                _parts(record, reading, where)
    if reading.missing_text != "error":
        require_text_columns(units, reading)
    return columns


def require_text_columns(units: Sequence[Unit], reading: Reading) -> None:
    """Check that some record has each column of the text, though others may lack it.

    Raises:
        UserError: no record has the column, so that it is probably misspelt.
    """
    names = set() if reading.missing_text == "error" else set(reading.text_columns)
    columns: dict[str, None] = {}
    for unit in units:
        path = Path(unit.file)
        if path.name.endswith(".parquet"):
            with damaged_as(path):
                columns |= dict.fromkeys(pq.read_schema(path).names)
        elif names - columns.keys():
            for record in raw_records(unit, reading):
                columns |= dict.fromkeys(record or ())
                if names <= columns.keys():
                    break
    if units and (missing := names - columns.keys()):
        raise UserError(
            f"no record has a column {min(missing)!r}; their columns: "
            f"{short(', '.join(map(str, columns)), 400)}"
        )


def _parts(
    record: dict[str, Any] | None, reading: Reading, where: str
) -> list[tuple[str, bool]] | None:
    """The texts of a record and which may change; None if one is missing and it is to be kept.

    Raises:
        Skipped: it is to be left out.
        UserError: a text is missing, no text, or not valid UTF-8.
    """
    if record is None:
        raise Skipped(INVALID)
    values: list[Any] = [record.get(name) for name in reading.text_columns]
    parts: list[tuple[Any, bool]] | None = None
    null = next((n for n, v in zip(reading.text_columns, values, strict=True) if v is None), None)
    if null is None and reading.messages_column is not None:
        parts = message_parts(values[0], where, reading.role_names)
        null = reading.messages_column if parts is None else None
    elif null is None:
        parts = [*((prompt, False) for prompt in values[:-1]), (values[-1], True)]
    if parts is None:
        _require_kept(record, str(null), reading, where)
        return None
    for name, (raw, _) in zip(reading.text_columns, parts, strict=False):
        if not isinstance(raw, str | bytes):
            raise UserError(f"{where}: column {name!r} holds {type(raw).__name__}, not text")
    return [(valid_text(raw, where, reading.invalid_utf8), editable) for raw, editable in parts]


def _require_kept(record: dict[str, Any], name: str, reading: Reading, where: str) -> None:
    """Raise unless a record without text in column ``name`` is to be kept."""
    if reading.missing_text == "skip":
        raise Skipped(MISSING)
    if reading.missing_text == "error":
        what, other = f"holds a null in column {name!r}", "; "
        if name not in record:
            what = f"has no column {name!r}; its columns: {short(', '.join(map(str, record)), 400)}"
            field = next(field for field, value in vars(reading).items() if value == name)
            option = f"--{field.replace('_', '-')} (corpus.{field})"
            other = f"; name it with {option}, or for such records "
        raise UserError(
            f"{where} {what}{other}--missing-text (corpus.missing_text) keep passes them through, "
            "skip drops them"
        )


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
