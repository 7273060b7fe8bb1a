"""The schema of a corpus, under which every record comes back as it went in."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.files import atomic_path, damaged_as
from toedit.corpora.records import AS_JSON, Reading, is_json, raw_records
from toedit.corpora.units import Unit, one_unit_per_file
from toedit.errors import UserError

log = logging.getLogger(__name__)

CHUNK = 4096
"""Rows whose types are inferred together."""

LEVELS = 32
"""Levels of nesting of a type; parquet is read up to about 100, of which a list takes three."""

HUGGINGFACE = b"huggingface"
"""Key of a schema's metadata under which the library datasets keeps the features of columns."""


def common_schema(units: Sequence[Unit], reading: Reading, all_have_ids: bool) -> pa.Schema:
    """Infer the schema under which every record of a corpus comes back as it went in.

    Columns that some files lack are null there. A column becomes one of JSON texts if its values
    have no common type, if dictionaries in it have different keys, which a struct would add to all
    of them, or if numbers in it would be rounded. Unless all records have an id, ids are texts.
    Features that the library datasets keeps of the columns (class labels and so on) are kept.

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
    schema = pa.schema([_json_field(f.name) if f.name in lossy else f for f in schema])
    for name in (reading.id_column, reading.messages_column or reading.text_column):
        if schema.get_field_index(name) < 0:
            schema = schema.append(pa.field(name, pa.string()))
    everywhere = set(schema.names).intersection(
        *({name for part in schemas for name in part.names} for schemas in parts.values())
    )
    fields = [_storable(f if f.name in everywhere else f.with_nullable(True)) for f in schema]
    index = [field.name for field in fields].index(reading.id_column)
    if is_json(fields[index]) or not all_have_ids:
        fields[index] = pa.field(reading.id_column, pa.string())
    schema = pa.schema(fields)
    _require_json_values(schema, parts, names)
    return _with_features(schema, parts, units, reading)


def _json_field(name: str) -> pa.Field:
    return pa.field(name, pa.string(), metadata=AS_JSON)


def _storable(field: pa.Field) -> pa.Field:
    """The field, with types replaced that parquet cannot hold: null, and structs without fields."""
    if pa.types.is_null(field.type):
        return pa.field(field.name, pa.string())
    return _json_field(field.name) if _holds(field.type, _is_empty_struct) else field


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
        yield read_schema(path)
    elif not path.name.endswith(".txt"):
        own = (unit for unit in units if unit.file == str(path))
        rows = (row for unit in own for row in raw_records(unit, reading) if row is not None)
        while chunk := list(islice(rows, CHUNK)):
            columns = dict.fromkeys(name for row in chunk for name in row)
            yield pa.schema([_field(name, [row.get(name) for row in chunk]) for name in columns])


def _field(name: str, values: list[Any]) -> pa.Field:
    """Infer the type of a JSON column."""
    if any(_is_deep(value) for value in values):
        return _json_field(name)
    try:
        kind = pa.array(values).type
    except (pa.ArrowException, OverflowError):
        return _json_field(name)
    shape = _shape(kind)
    exact = shape is kind or all(_comes_back(value, shape) for value in values)
    return pa.field(name, kind) if exact else _json_field(name)


def _is_deep(value: Any, levels: int = LEVELS) -> bool:
    """Whether lists and dictionaries are nested deeper than some levels."""
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deep(item, levels - 1) for item in inner)


def _merged(schema: pa.Schema, part: pa.Schema, is_parquet: bool) -> Iterator[pa.Field]:
    """Merge two schemas; columns of JSON files without a common type become JSON texts."""
    for name in dict.fromkeys([*schema.names, *part.names]):
        columns = [s.field(name) for s in (schema, part) if name in s.names]
        if any(map(is_json, columns)):
            yield _json_field(name)
            continue
        schemas = [pa.schema([column]) for column in _of_one_kind(columns)]
        try:
            yield pa.unify_schemas(schemas, promote_options="permissive").field(0)
        except pa.ArrowException:
            if is_parquet:
                raise
            yield _json_field(name)


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
) -> set[str]:
    """Columns with a value that would change under the merged schema; reads those in doubt."""
    lossy: set[str] = set()
    for unit in one_unit_per_file(units):
        doubtful = {
            field.name: _shape(field.type)
            for field in schema
            for part in parts[unit.file]
            if field.name in part.names
            and not is_json(field)
            and _in_doubt(part.field(field.name).type, field.type)
        }
        if doubtful.keys() - lossy:
            for record in raw_records(unit, reading, list(doubtful)):
                lossy |= {
                    name
                    for name, shape in doubtful.items()
                    if record is not None and not _comes_back(record.get(name), shape)
                }
    return lossy


def _in_doubt(old: pa.DataType, new: pa.DataType) -> bool:
    """Whether values of a type may change under the type it was merged into."""
    if pa.types.is_struct(old) and pa.types.is_struct(new):
        names = {field.name for field in old}
        return names != {field.name for field in new} or any(
            _in_doubt(old.field(name).type, new.field(name).type) for name in names
        )
    if pa.types.is_nested(old) and pa.types.is_nested(new):
        pairs = zip(range(old.num_fields), range(new.num_fields), strict=True)
        return any(_in_doubt(old.field(i).type, new.field(j).type) for i, j in pairs)
    if pa.types.is_temporal(old):
        return bool(old != new)
    is_number = pa.types.is_integer(old) or pa.types.is_decimal(old)
    return is_number and old != new and (pa.types.is_floating(new) or old == pa.uint64())


def _shape(kind: pa.DataType) -> Any:
    """A type as dictionaries of keys and lists of one item, which is fast to compare with."""
    if pa.types.is_struct(kind):
        return {field.name: _shape(field.type) for field in kind}
    return [_shape(kind.field(0).type)] if pa.types.is_nested(kind) else kind


def _comes_back(value: Any, shape: Any) -> bool:
    """Whether a value has neither more keys nor other numbers after writing it as a type."""
    if isinstance(value, dict):
        return (
            isinstance(shape, dict)
            and value.keys() == shape.keys()
            and all(_comes_back(item, shape[name]) for name, item in value.items())
        )
    if isinstance(value, list):
        return not isinstance(shape, list) or all(_comes_back(item, shape[0]) for item in value)
    if isinstance(value, int) and shape == pa.int64():
        return -(2**63) <= value < 2**63
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        try:
            return bool(pa.scalar(value, shape).as_py() == value)
        except (pa.ArrowException, OverflowError):
            return False
    if isinstance(shape, pa.DataType) and pa.types.is_temporal(shape):
        try:
            pa.scalar(value, shape)
        except (pa.ArrowException, OverflowError):  # a date that the unit does not reach
            return False
    return True


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
