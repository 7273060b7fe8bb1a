"""Which values a type of Arrow holds, and why a column is written as JSON text instead."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from toedit.corpora.records import AS_JSON, is_json

LEVELS = 32
"""Levels of nesting of a type; parquet is read up to about 100, of which a list takes three."""

KEYS = 64
"""Keys of dictionaries that may lack some of them; more are keys of data, such as names or ids."""

TYPES = "types differ"
INNER_KEYS = "keys of inner dictionaries differ"
MANY_KEYS = f"more than {KEYS} keys that differ"
NO_KEYS = "dictionaries without keys"
NUMBERS = "numbers would be rounded"
TIMES = "times would change"
DEEP = f"nested deeper than {LEVELS} levels"
SOURCE = "as in the source"

REASONS = b"toedit"
"""Key of a schema's metadata: a JSON object of the columns of JSON texts and why they are."""

_WHY = b"why"


def json_field(name: str, why: str) -> pa.Field:
    """A column of JSON texts, which knows why until :func:`with_reasons` moves that."""
    return pa.field(name, pa.string(), metadata={**AS_JSON, _WHY: why})


def why_json(column: pa.Field) -> str:
    """Why a column of :func:`json_field` is one of JSON texts."""
    return (column.metadata or {}).get(_WHY, SOURCE.encode()).decode()


def with_reasons(schema: pa.Schema) -> pa.Schema:
    """Move the reasons of columns of JSON texts into the schema's metadata, in which they say why
    in every file of the output."""
    found = {field.name: why_json(field) for field in schema if is_json(field)}
    if not found:
        return schema
    fields = [field.with_metadata(AS_JSON) if is_json(field) else field for field in schema]
    value = json.dumps(found, ensure_ascii=False)
    return pa.schema(fields, {**(schema.metadata or {}), REASONS: value})


def reasons(schema: pa.Schema) -> dict[str, str]:
    """The columns of JSON texts of a schema of :func:`with_reasons`, and why each is one."""
    try:
        found = json.loads((schema.metadata or {})[REASONS])
    except (KeyError, ValueError):
        found = {}
    known: Mapping[str, Any] = found if isinstance(found, dict) else {}
    return {field.name: str(known.get(field.name, SOURCE)) for field in schema if is_json(field)}


def is_deep(value: Any, levels: int = LEVELS) -> bool:
    """Whether lists and dictionaries are nested deeper than some levels."""
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deep(item, levels - 1) for item in inner)


def with_nullable_keys(kind: pa.DataType) -> pa.DataType:
    """The type, in whose outermost dictionaries every key may be null."""
    if pa.types.is_struct(kind):
        return pa.struct([field.with_nullable(True) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(with_nullable_keys(kind.value_type)))
    if pa.types.is_fixed_size_list(kind):
        item = kind.value_field.with_type(with_nullable_keys(kind.value_type))
        return pa.list_(item, kind.list_size)
    return kind


def in_doubt(old: pa.DataType, new: pa.DataType, inside: bool = False) -> bool:
    """Whether values of a type may change under the type it was merged into (:func:`loss`)."""
    if pa.types.is_struct(old) and pa.types.is_struct(new):
        names = {field.name for field in old}
        if names != {field.name for field in new} and (inside or new.num_fields > KEYS):
            return True
        return any(in_doubt(old.field(n).type, new.field(n).type, inside=True) for n in names)
    if pa.types.is_nested(old) and pa.types.is_nested(new):
        pairs = zip(range(old.num_fields), range(new.num_fields), strict=True)
        return any(in_doubt(old.field(i).type, new.field(j).type, inside) for i, j in pairs)
    if pa.types.is_temporal(old):
        return bool(old != new)
    is_number = pa.types.is_integer(old) or pa.types.is_decimal(old)
    return is_number and old != new and (pa.types.is_floating(new) or old == pa.uint64())


def shape_of(kind: pa.DataType) -> Any:
    """A type as dictionaries of keys and lists of one item, which is fast to compare with."""
    if pa.types.is_struct(kind):
        return {field.name: shape_of(field.type) for field in kind}
    return [shape_of(kind.field(0).type)] if pa.types.is_nested(kind) else kind


def loss(value: Any, shape: Any, inside: bool = False) -> str:
    """What a value loses when it is written as a type: its numbers, or which keys it has.

    A key that a dictionary lacks becomes null. That is no loss in a column's outermost dictionaries
    (a record's, or those of a list, such as the messages of a chat) unless the keys are many.
    Inside others it is one: null arguments of a tool call, or a null image in a part of text, say
    something else to a chat template than absent ones.

    Args:
        value: of the column.
        shape: of the type (:func:`shape_of`).
        inside: the value is inside a dictionary.

    Returns:
        The reason to write the column as JSON text, empty if there is none.
    """
    if isinstance(value, dict):
        if not isinstance(shape, dict):
            return TYPES
        if len(value) < len(shape) and (inside or len(shape) > KEYS):
            return INNER_KEYS if inside else MANY_KEYS
        found = (loss(item, shape[name], inside=True) for name, item in value.items())
        return next(filter(None, found), "")
    if isinstance(value, list):
        items = value if isinstance(shape, list) else ()
        return next(filter(None, (loss(item, shape[0], inside) for item in items)), "")
    if isinstance(value, int) and shape == pa.int64():
        return "" if -(2**63) <= value < 2**63 else NUMBERS
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        try:
            return "" if pa.scalar(value, shape).as_py() == value else NUMBERS
        except (pa.ArrowException, OverflowError):
            return NUMBERS
    if isinstance(shape, pa.DataType) and pa.types.is_temporal(shape):
        try:
            pa.scalar(value, shape)
        except (pa.ArrowException, OverflowError):  # a date that the unit does not reach
            return TIMES
    return ""
