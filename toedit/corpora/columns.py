"""Write edited documents as parquet with the columns of their source, under one schema."""

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
from toedit.corpora.files import atomic_path, damaged_as, load_table, save_table
from toedit.corpora.units import Unit
from toedit.document import Document
from toedit.errors import UserError

CHUNK = 4096
"""Rows whose types are inferred, or that are written, together."""

AS_JSON = {b"toedit": b"json"}
"""Metadata of a column whose values have no common type and are written as JSON."""


def common_schema(units: Sequence[Unit], reading: Reading, all_have_ids: bool) -> pa.Schema:
    """Infer the schema under which every record of a corpus can be written.

    Columns that some files lack are null there. In JSON lines, a column whose values have no common
    type becomes a column of JSON texts. Unless all records have an id, ids are texts.

    Raises:
        UserError: two parquet files give a column different types.
    """
    schema, first = pa.schema([]), ""
    for path in dict.fromkeys(unit.file for unit in units):
        for part in _schemas_of(Path(path), units, reading):
            try:
                schema = _unified(schema, part, path) if len(schema) else part
            except pa.ArrowTypeError as error:
                raise UserError(
                    f"{path!r} has other columns than {first!r}: {error}; convert one of them"
                ) from error
        first = first or path
    for name in (reading.id_column, reading.messages_column or reading.text_column):
        if schema.get_field_index(name) < 0:
            schema = schema.append(pa.field(name, pa.string()))
    fields = [_storable(field) for field in schema]
    index = [field.name for field in fields].index(reading.id_column)
    if fields[index].metadata or not all_have_ids:
        fields[index] = pa.field(reading.id_column, pa.string())
    return pa.schema(fields)


def _json_field(name: str) -> pa.Field:
    return pa.field(name, pa.string(), metadata=AS_JSON)


def _storable(field: pa.Field) -> pa.Field:
    """The field, with types replaced that parquet cannot hold: null, and structs without fields."""
    if pa.types.is_null(field.type):
        return pa.field(field.name, pa.string())
    return _json_field(field.name) if _has_empty_struct(field.type) else field


def _has_empty_struct(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind) and not kind.num_fields:
        return True
    nested = pa.types.is_struct(kind) or pa.types.is_list(kind)
    return nested and any(_has_empty_struct(kind.field(i).type) for i in range(kind.num_fields))


def _schemas_of(path: Path, units: Sequence[Unit], reading: Reading) -> Iterator[pa.Schema]:
    """Schema of a parquet file, or of each chunk of rows of a JSON file; none of a text file."""
    if path.name.endswith(".parquet"):
        yield read_schema(path).remove_metadata()
    elif not path.name.endswith(".txt"):
        rows = (
            row for unit in units if unit.file == str(path) for row in raw_records(unit, reading)
        )
        while chunk := list(islice(rows, CHUNK)):
            columns = dict.fromkeys(name for row in chunk for name in row)
            yield pa.schema([_field(name, [row.get(name) for row in chunk]) for name in columns])


def _field(name: str, values: list[Any]) -> pa.Field:
    """Infer the type of a JSON column."""
    values = [None if isinstance(value, bytes) else value for value in values]  # not valid UTF-8
    try:
        return pa.field(name, pa.array(values).type)
    except (pa.ArrowException, OverflowError):
        return _json_field(name)


def _unified(schema: pa.Schema, other: pa.Schema, path: str) -> pa.Schema:
    """Merge two schemas; columns of JSON files without a common type become JSON texts."""
    try:
        return pa.unify_schemas([schema, other], promote_options="permissive")
    except pa.ArrowTypeError:
        if path.endswith(".parquet"):
            raise
    fields = []
    for name in dict.fromkeys([*schema.names, *other.names]):
        columns = [pa.schema([s.field(name)]) for s in (schema, other) if name in s.names]
        try:
            fields.append(pa.unify_schemas(columns, promote_options="permissive").field(0))
        except pa.ArrowTypeError:
            fields.append(_json_field(name))
    return pa.schema(fields)


def row_of(
    document: Document, schema: pa.Schema, reading: Reading, encoded: bool = False
) -> dict[str, Any]:
    """Convert a document back to a record of its source, with the edited text.

    ``encoded`` means that JSON columns hold JSON already, as in shards of this package.
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
    """Write documents as parquet with the columns of their source, :data:`CHUNK` rows at a time."""
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
        ("generation", pa.int32()),
    ]
)
"""Columns of a changed token: document, first character, texts, the prior's probabilities, and how
often the text that ``start`` refers to was edited before."""


def write_changes(path: Path, changes: Iterable[tuple[str, Any]], generation: int = 0) -> None:
    """Write pairs of document id and :class:`toedit.editor.Change`, a row per changed token."""
    rows = [
        {"id": identity, **asdict(change), "generation": generation} for identity, change in changes
    ]
    save_table(path, pa.Table.from_pylist(rows, schema=CHANGE), compression="zstd")


def write_schema(path: Path, schema: pa.Schema) -> None:
    """Write a schema as an empty parquet file."""
    save_table(path, schema.empty_table())


def read_schema(path: Path) -> pa.Schema:
    """Read the schema of a parquet file; a damaged file is a :class:`UserError`."""
    with damaged_as(path):
        return pq.read_schema(path)


def reshard(sources: Sequence[Path], folder: Path, size: int) -> None:
    """Join parquet files of one schema, in order, into files of about ``size`` compressed bytes.

    The files are named ``train-00000-of-00002.parquet`` and so on and replace all parquet files
    in ``folder``.
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
    for number, part in enumerate(parts):
        with atomic_path(folder / f"train-{number:05d}-of-{len(parts):05d}.parquet") as temporary:
            _join(part, temporary)


def _join(sources: list[Path], path: Path) -> None:
    """Join parquet files into one, in row groups of at least :data:`CHUNK` rows."""
    with pq.ParquetWriter(path, pq.read_schema(sources[0]), compression="zstd") as writer:
        tables: list[pa.Table] = []
        for source in sources:
            tables.append(load_table(source))
            if sum(map(len, tables)) >= CHUNK:
                writer.write_table(pa.concat_tables(tables))
                tables = []
        if tables:
            writer.write_table(pa.concat_tables(tables))
