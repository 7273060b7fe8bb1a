"""Write edited documents as parquet with the columns of their source, under one schema."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.conversations import responses, with_responses
from toedit.corpora.files import atomic_path, load_table, save_table
from toedit.corpora.records import Reading, encoded, is_json, to_json
from toedit.corpora.schema import read_schema
from toedit.document import Document

CHUNK = 4096
"""Rows that are written together."""


def row_of(document: Document, schema: pa.Schema, reading: Reading) -> dict[str, Any]:
    """Convert a document back to a record of its source, with the edited text."""
    row = dict(document.metadata)
    if row.get(reading.id_column) is None:
        row[reading.id_column] = document.id
    elif pa.types.is_string(schema.field(reading.id_column).type):
        row[reading.id_column] = str(row[reading.id_column])
    if (name := reading.messages_column) is not None:
        messages = with_responses(row[name], responses(document), reading.role_names)
        row[name] = encoded(messages, schema.field(name).type)
    elif reading.text_column not in row:  # else a record without a text, which is kept as it is
        is_pair = reading.prompt_column is not None
        row[reading.text_column] = responses(document)[0] if is_pair else document.text
    for field in schema:
        if is_json(field) and row.get(field.name) is not None:
            row[field.name] = to_json(row[field.name])
    return row


def write_rows(
    path: Path, documents: Iterable[Document], schema: pa.Schema, reading: Reading
) -> None:
    """Write documents as parquet with the columns of their source, :data:`CHUNK` rows at a time."""
    stream = iter(documents)
    # pyarrow makes no arrays of extension types inside other types, but it casts to them.
    storage = pa.schema([field.with_type(_storage(field.type)) for field in schema])
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        while chunk := list(islice(stream, CHUNK)):
            rows = [row_of(document, schema, reading) for document in chunk]
            table = pa.Table.from_pylist(rows, schema=storage)
            writer.write_table(table if storage.equals(schema) else table.cast(schema))


def _storage(kind: pa.DataType, inside: bool = False) -> pa.DataType:
    """A type without extension types inside."""
    if inside and isinstance(kind, pa.BaseExtensionType):
        return kind.storage_type
    if pa.types.is_struct(kind):
        return pa.struct([f.with_type(_storage(f.type, True)) for f in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_storage(kind.value_type, True)))
    return kind


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


def reshard(sources: Sequence[Path], folder: Path, size: int, rows: int = CHUNK) -> None:
    """Join parquet files of one schema, in order, into files of about ``size`` compressed bytes.

    The files are named ``train-00000-of-00002.parquet`` and so on and replace all parquet files
    in ``folder``. Their row groups have at least ``rows`` rows; with 0, each is a source.
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
            _join(part, temporary, rows)


def _join(sources: list[Path], path: Path, rows: int) -> None:
    """Join parquet files into one, in row groups of at least ``rows`` rows."""
    with pq.ParquetWriter(path, read_schema(sources[0]), compression="zstd") as writer:
        tables: list[pa.Table] = []
        for source in sources:
            tables.append(load_table(source))
            if sum(map(len, tables)) >= rows:
                writer.write_table(pa.concat_tables(tables))
                tables = []
        if tables:
            writer.write_table(pa.concat_tables(tables))
