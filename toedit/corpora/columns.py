"""Columns that pass through editing: one schema for a whole corpus, and rows written by it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.conversations import responses, with_responses
from toedit.corpora.documents import Reading, raw_records
from toedit.corpora.files import atomic_path, damaged_as
from toedit.corpora.units import Unit
from toedit.document import Document
from toedit.errors import UserError

CHUNK = 4096
"""Rows whose types are looked at together."""

AS_JSON = {b"toedit": b"json"}
"""Metadata of a column whose values have no common type and are written as JSON."""


def common_schema(units: Sequence[Unit], reading: Reading, all_have_ids: bool) -> pa.Schema:
    """The schema under which every record of a corpus can be written.

    Columns that some files lack are null there. In JSON lines, a column whose values have no common
    type becomes a column of JSON texts.

    Args:
        units: the corpus.
        reading: how records become documents.
        all_have_ids: every document has an id of its own.

    Raises:
        UserError: two parquet files give a column different types.
    """
    schema: pa.Schema | None = None
    first = ""
    for path in dict.fromkeys(unit.file for unit in units):
        for found in _schemas_of(Path(path), units, reading):
            try:
                schema = found if schema is None else _unified(schema, found, path)
            except pa.ArrowTypeError as error:
                raise UserError(
                    f"{path!r} has other columns than {first!r}: {error}; convert one of them"
                ) from error
        first = first or path
    schema = schema if schema is not None else pa.schema([])
    names = {"id": reading.id_column, "text": reading.messages_column or reading.text_column}
    for name in names.values():
        if schema.get_field_index(name) < 0:
            schema = schema.append(pa.field(name, pa.string()))
    fields = [pa.field(f.name, pa.string()) if pa.types.is_null(f.type) else f for f in schema]
    fields = [
        pa.field(f.name, pa.string(), metadata=AS_JSON) if _has_empty_struct(f.type) else f
        for f in fields
    ]
    # A document without an id of its own is given a text, so ids are texts where one may lack.
    place = [f.name for f in fields].index(reading.id_column)
    if fields[place].metadata or not all_have_ids:
        fields[place] = pa.field(reading.id_column, pa.string())
    return pa.schema(fields)


def _has_empty_struct(kind: pa.DataType) -> bool:
    """Whether a type holds a struct without fields, which parquet cannot."""
    if pa.types.is_struct(kind) and not kind.num_fields:
        return True
    nested = pa.types.is_struct(kind) or pa.types.is_list(kind)
    return nested and any(_has_empty_struct(kind.field(i).type) for i in range(kind.num_fields))


def _schemas_of(path: Path, units: Sequence[Unit], reading: Reading) -> Iterator[pa.Schema]:
    if path.name.endswith(".parquet"):
        with damaged_as(path):
            yield pq.read_schema(path).remove_metadata()
    elif not path.name.endswith(".txt"):
        rows = (
            row for unit in units if unit.file == str(path) for row in raw_records(unit, reading)
        )
        while chunk := list(islice(rows, CHUNK)):
            columns = dict.fromkeys(name for row in chunk for name in row)
            yield pa.schema([_field(name, [row.get(name) for row in chunk]) for name in columns])


def _field(name: str, values: list[Any]) -> pa.Field:
    values = [None if isinstance(value, bytes) else value for value in values]  # not valid UTF-8
    try:
        return pa.field(name, pa.array(values).type)
    except (pa.ArrowException, OverflowError):
        return pa.field(name, pa.string(), metadata=AS_JSON)


def _unified(schema: pa.Schema, found: pa.Schema, path: str) -> pa.Schema:
    try:
        return pa.unify_schemas([schema, found], promote_options="permissive")
    except pa.ArrowTypeError:
        if path.endswith(".parquet"):
            raise
    fields = []
    for name in dict.fromkeys([*schema.names, *found.names]):
        own = [pa.schema([s.field(name)]) for s in (schema, found) if name in s.names]
        try:
            fields.append(pa.unify_schemas(own, promote_options="permissive").field(0))
        except pa.ArrowTypeError:
            fields.append(pa.field(name, pa.string(), metadata=AS_JSON))
    return pa.schema(fields)


def row_of(
    document: Document, schema: pa.Schema, reading: Reading, encoded: bool = False
) -> dict[str, Any]:
    """A document as the record it came from, with its edited text in it.

    Args:
        document: the document.
        schema: the schema of its corpus.
        reading: how it was read.
        encoded: columns kept as JSON were read from our own shards, where they are JSON already.
    """
    row = dict(document.metadata)
    if row.get(reading.id_column) is None:
        row[reading.id_column] = document.id
    elif pa.types.is_string(schema.field(reading.id_column).type):
        row[reading.id_column] = str(row[reading.id_column])
    if reading.messages_column is not None:
        messages = row[reading.messages_column]
        row[reading.messages_column] = with_responses(messages, responses(document))
    elif reading.prompt_column is not None:
        (row[reading.text_column],) = responses(document)
    else:
        row[reading.text_column] = document.text
    for field in schema:
        if field.metadata == AS_JSON and row.get(field.name) is not None and not encoded:
            row[field.name] = json.dumps(row[field.name], ensure_ascii=False)
    return row


def write_rows(
    path: Path,
    documents: Iterable[Document],
    schema: pa.Schema,
    reading: Reading,
    encoded: bool = False,
) -> None:
    """Writes documents as parquet with the columns of their source, a group of rows at a time."""
    stream = iter(documents)
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        while chunk := list(islice(stream, CHUNK)):
            rows = [row_of(document, schema, reading, encoded) for document in chunk]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


CHANGE = pa.schema(
    [
        ("id", pa.string()),
        ("start", pa.int32()),
        ("old", pa.string()),
        ("new", pa.string()),
        ("probability", pa.float64()),
        ("candidates", pa.list_(pa.string())),
        ("probabilities", pa.list_(pa.float64())),
    ]
)
"""One changed token of a document: where it stood, what replaced it, what the prior thought."""


def write_changes(path: Path, changes: Iterable[tuple[str, Any]]) -> None:
    """Writes what was changed, a row a token: document id and :class:`toedit.editor.Change`."""
    rows = [{"id": identity, **asdict(change)} for identity, change in changes]
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=CHANGE), temporary, compression="zstd")


def write_schema(path: Path, schema: pa.Schema) -> None:
    """Writes a schema as an empty parquet file."""
    with atomic_path(path) as temporary:
        pq.write_table(schema.empty_table(), temporary)


def read_schema(path: Path) -> pa.Schema:
    """Reads what :func:`write_schema` wrote."""
    with damaged_as(path):
        return pq.read_schema(path)


def reshard(sources: Sequence[Path], folder: Path, size: int) -> list[Path]:
    """Joins shards, in order, into files of about ``size`` bytes, and names them as one set.

    Args:
        sources: parquet files of one schema.
        folder: where the files go; what stands there is replaced.
        size: bytes of compressed parquet after which a file ends.

    Returns:
        The files, ``train-00000-of-00002.parquet`` and so on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.parquet"):
        old.unlink()
    parts: list[list[Path]] = [[]]
    total = 0
    for source in sources:
        length = source.stat().st_size
        if parts[-1] and total + length > size:
            parts.append([])
            total = 0
        parts[-1].append(source)
        total += length
    made = []
    for number, part in enumerate(parts):
        path = folder / f"train-{number:05d}-of-{len(parts):05d}.parquet"
        with atomic_path(path) as temporary:
            _join(part, temporary)
        made.append(path)
    return made


def _join(sources: list[Path], path: Path) -> None:
    """Joins parquet files into one, in row groups of at least :data:`CHUNK` rows."""
    schema = pq.read_schema(sources[0])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        waiting: list[pa.Table] = []
        for source in sources:
            with damaged_as(source):
                waiting.append(pq.read_table(source))
            if sum(len(table) for table in waiting) >= CHUNK:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
