"""The schema of a corpus, under which every record comes back as it went in."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.column_types import (
    DEEP,
    NO_KEYS,
    NUMBERS,
    TYPES,
    in_doubt,
    is_deep,
    json_field,
    loss,
    reasons,
    shape_of,
    why_json,
    with_nullable_keys,
    with_reasons,
)
from toedit.corpora.files import atomic_path, damaged_as
from toedit.corpora.records import Reading, is_json, raw_records
from toedit.corpora.units import Unit, one_unit_per_file
from toedit.errors import UserError

log = logging.getLogger(__name__)

CHUNK = 4096
"""Rows whose types are inferred together."""

HUGGINGFACE = b"huggingface"
"""Key of a schema's metadata under which the library datasets keeps the features of columns."""


def common_schema(units: Sequence[Unit], reading: Reading, all_have_ids: bool) -> pa.Schema:
    """Infer the schema under which every record of a corpus comes back as it went in.

    Columns that some files lack are null there, and so are keys that dictionaries of a column lack.
    A column becomes one of JSON texts if its values have no common type, if dictionaries inside
    others have different keys, or outer ones too many, or if numbers in it would be rounded; the
    metadata says why (:func:`~toedit.corpora.column_types.reasons`). Ids are texts unless all
    records have one that is no dictionary, which the keys of others would make another id. Features
    that the library datasets keeps of the columns (class labels and so on) are kept.

    Raises:
        UserError: two parquet files give a column different types.
    """
    schema, parts = pa.schema([]), dict[str, list[pa.Schema]]()
    names = {u.file: u.file if u.file.endswith(u.source) else u.source for u in units}
    for path in names:
        parts[path] = []
        for part in _schemas_of(Path(path), units, reading):
            try:
                schema = pa.schema(_merged(schema, part, path.endswith(".parquet")))
            except pa.ArrowException as error:
                raise UserError(
                    f"{names[path]!r} has other columns than {names[next(iter(parts))]!r}: "
                    f"{error}; convert one of them"
                ) from error
            if part not in parts[path]:
                parts[path].append(part)
    lossy = _lossy_columns(schema, parts, units, reading)
    schema = pa.schema(
        [json_field(f.name, lossy[f.name]) if f.name in lossy else f for f in schema]
    )
    for name in (reading.id_column, reading.messages_column or reading.text_column):
        if schema.get_field_index(name) < 0:
            schema = schema.append(pa.field(name, pa.string()))
    everywhere = set(schema.names).intersection(
        *({name for part in schemas for name in part.names} for schemas in parts.values())
    )
    fields = [_storable(f if f.name in everywhere else f.with_nullable(True)) for f in schema]
    index = [field.name for field in fields].index(reading.id_column)
    if is_json(fields[index]) or not all_have_ids or _holds(fields[index].type, pa.types.is_struct):
        fields[index] = pa.field(reading.id_column, pa.string())
    schema = pa.schema(fields)
    _require_json_values(schema, parts, names)
    return with_reasons(_with_features(schema, parts, units, reading))


def _storable(field: pa.Field) -> pa.Field:
    """The field, with types replaced that parquet cannot hold: null, and structs without fields."""
    if pa.types.is_null(field.type):
        return pa.field(field.name, pa.string())
    return json_field(field.name, NO_KEYS) if _holds(field.type, _is_empty_struct) else field


def _is_empty_struct(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and not kind.num_fields


def _is_bytes(kind: pa.DataType) -> bool:
    return kind in (pa.binary(), pa.large_binary()) or pa.types.is_fixed_size_binary(kind)


def _holds(kind: pa.DataType, matches: Callable[[pa.DataType], bool]) -> bool:
    """Whether a type, or one inside it, matches."""
    children = range(kind.num_fields) if pa.types.is_nested(kind) else ()
    return matches(kind) or any(_holds(kind.field(i).type, matches) for i in children)


def _schemas_of(path: Path, units: Sequence[Unit], reading: Reading) -> Iterator[pa.Schema]:
    """Schema of a parquet file, or of each chunk of rows of a JSON file; none of a text file."""
    if path.name.endswith(".parquet"):
        schema = read_schema(path)
        known = reasons(schema)
        fields = [json_field(f.name, known[f.name]) if f.name in known else f for f in schema]
        yield pa.schema(fields, schema.metadata)
    elif not path.name.endswith(".txt"):
        own = (unit for unit in units if unit.file == str(path))
        rows = (row for unit in own for row in raw_records(unit, reading) if row is not None)
        while chunk := list(islice(rows, CHUNK)):
            columns = dict.fromkeys(name for row in chunk for name in row)
            yield pa.schema([_field(name, [row.get(name) for row in chunk]) for name in columns])


def _field(name: str, values: list[Any]) -> pa.Field:
    """Infer the type of a JSON column."""
    if any(is_deep(value) for value in values):
        return json_field(name, DEEP)
    try:
        kind = pa.array(values).type
    except OverflowError:
        return json_field(name, NUMBERS)
    except pa.ArrowException:
        return json_field(name, TYPES)
    shape = shape_of(kind)
    found = () if shape is kind else (loss(value, shape) for value in values)
    why = next(filter(None, found), "")
    return json_field(name, why) if why else pa.field(name, kind)


def _merged(schema: pa.Schema, part: pa.Schema, is_parquet: bool) -> Iterator[pa.Field]:
    """Merge two schemas; columns of JSON files without a common type become JSON texts."""
    for name in dict.fromkeys([*schema.names, *part.names]):
        columns = [s.field(name) for s in (schema, part) if name in s.names]
        if (known := next(filter(is_json, columns), None)) is not None:
            yield json_field(name, why_json(known))
            continue
        columns = _of_one_kind(columns)
        if columns[0].type != columns[-1].type:
            columns = [column.with_type(with_nullable_keys(column.type)) for column in columns]
        schemas = [pa.schema([column]) for column in columns]
        try:
            yield pa.unify_schemas(schemas, promote_options="permissive").field(0)
        except pa.ArrowException:
            if is_parquet:
                raise
            yield json_field(name, TYPES)


def _of_one_kind(columns: list[pa.Field]) -> list[pa.Field]:
    """Columns of two files, of which some hold dictionaries (pandas' and polars' categories).

    An index of 8 or 16 bits may be too small for the values of both.
    """
    found = [pa.types.is_dictionary(column.type) for column in columns]
    if len(columns) == 1 or not any(found):
        return columns
    change = _with_wide_index if all(found) else _without_index
    return [column.with_type(change(column.type)) for column in columns]


def _with_wide_index(kind: pa.DictionaryType) -> pa.DataType:
    if kind.index_type.bit_width >= 32:
        return kind
    return pa.dictionary(pa.int32(), kind.value_type, kind.ordered)


def _without_index(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _lossy_columns(
    schema: pa.Schema, parts: dict[str, list[pa.Schema]], units: Sequence[Unit], reading: Reading
) -> dict[str, str]:
    """Columns with a value that would change under the merged schema, and how; reads those in
    doubt."""
    lossy: dict[str, str] = {}
    for unit in one_unit_per_file(units):
        doubtful = {
            field.name: shape_of(field.type)
            for field in schema
            for part in parts[unit.file]
            if field.name in part.names
            and not is_json(field)
            and in_doubt(part.field(field.name).type, field.type)
        }
        if doubtful.keys() - lossy.keys():
            for record in filter(None, raw_records(unit, reading, list(doubtful))):
                for name in doubtful.keys() - lossy.keys():
                    if why := loss(record.get(name), doubtful[name]):
                        lossy[name] = why
    return lossy


def _require_json_values(
    schema: pa.Schema, parts: dict[str, list[pa.Schema]], names: dict[str, str]
) -> None:
    """Refuse columns of parquet that must become JSON texts, but hold bytes."""
    for path, name in ((path, field.name) for path in parts for field in schema if is_json(field)):
        for part in parts[path]:
            if name in part.names and _holds(part.field(name).type, _is_bytes):
                raise UserError(
                    f"{names[path]!r} has another column {name!r} than other files: no type holds "
                    "the values of all, and bytes cannot be written as JSON; convert one of them"
                )


def _with_features(
    schema: pa.Schema, parts: dict[str, list[pa.Schema]], units: Sequence[Unit], reading: Reading
) -> pa.Schema:
    """Add the features of parquet files (class labels, images, ...) whose column kept its type.

    Those on which files disagree, or that values of another file do not fit, are left out.
    """
    found: dict[str, list[Any]] = {}
    files_without: dict[str, list[str]] = {}
    for path, part in ((path, part) for path, schemas in parts.items() for part in schemas):
        features = _features(part)
        for field in (field for field in schema if field.name in part.names):
            feature = features.get(field.name)
            if feature is None or part.field(field.name).type != field.type:
                files_without.setdefault(field.name, []).append(path)
            elif feature not in found.setdefault(field.name, []):
                found[field.name].append(feature)
    kept = {}
    for name, (feature, *others) in found.items():
        at = [unit for unit in units if unit.file in files_without.get(name, ())]
        if others or not _fit(feature, schema.field(name), at, reading):
            log.warning(
                "warning: files disagree on the class names or other features of column %r, which "
                "are left out",
                name,
            )
        else:
            kept[name] = feature
    value = json.dumps({"info": {"features": kept}})
    return schema.with_metadata({HUGGINGFACE: value}) if kept else schema


def _features(schema: pa.Schema) -> dict[str, Any]:
    try:
        features = json.loads((schema.metadata or {})[HUGGINGFACE])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def _fit(feature: Any, field: pa.Field, units: list[Unit], reading: Reading) -> bool:
    """Whether the library datasets would read the column of some units under a feature."""
    if not units or "ClassLabel" not in json.dumps(feature):  # others restrict no value
        return True
    from datasets import Features
    from datasets.table import cast_array_to_feature

    records = (r for unit in units for r in raw_records(unit, reading, [field.name]) if r)
    try:
        values = pa.array([record.get(field.name) for record in records], field.type)
        cast_array_to_feature(values, Features.from_dict({field.name: feature})[field.name])
    except (TypeError, ValueError, pa.ArrowException):
        return False
    return True


def write_schema(path: Path, schema: pa.Schema) -> None:
    """Write a schema as an empty parquet file."""
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema):
        pass


def read_schema(path: Path) -> pa.Schema:
    """Read the schema of a parquet file; a damaged file is a :class:`UserError`."""
    with damaged_as(path):
        return pq.read_schema(path)
