"""Read the records of parquet, JSON lines and text files as dictionaries."""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.conversations import ROLE_NAMES, unique_keys
from toedit.corpora.files import damaged_as
from toedit.corpora.units import Unit, rows_of
from toedit.errors import UserError, short

# Python converts integers of up to 4,300 digits, and nests JSON as deep as its stack.
sys.set_int_max_str_digits(max(100_000, sys.get_int_max_str_digits()))
sys.setrecursionlimit(max(4_000, sys.getrecursionlimit()))

AS_JSON = {b"toedit": b"json"}
"""Metadata of a parquet column of JSON texts, which stand for values that no Arrow type holds."""

NOT_CHECKED = re.compile(r"duration|time32|time64|\[ns|bool8")
"""Types of which Python has other values without an error: a time of another day, pandas' NaT, and
true for an integer."""

NO_COLUMN = ""
"""Name of a column that no record has."""

INVALID, MISSING = "invalid_utf8", "missing_text"
"""Why a record is skipped."""


@dataclass(frozen=True)
class Reading:
    """How records become documents.

    Attributes:
        text_column: column that holds the text.
        id_column: column that holds the id; where absent, ids are file name and row.
        messages_column: column of chat messages, instead of a text.
        prompt_column: column of prompts, with ``text_column`` as the response.
        invalid_utf8: ``error``, ``replace`` (by U+FFFD) or ``skip`` documents that are not valid.
        missing_text: ``error``, ``keep`` (untouched, as an empty text) or ``skip`` records whose
            text, prompt or messages are null or missing.
        role_names: the role of :data:`~toedit.corpora.conversations.ROLES` that each name of a role
            in messages means.
        whole_files: a txt file is one document instead of one per line.
        unpack: restore the columns that shards of this package hold as JSON in ``metadata``.
    """

    text_column: str = "text"
    id_column: str = "id"
    messages_column: str | None = None
    prompt_column: str | None = None
    invalid_utf8: str = "error"
    missing_text: str = "error"
    role_names: dict[str, str] = field(default_factory=lambda: ROLE_NAMES)
    whole_files: bool = False
    unpack: bool = True

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns that a record's text comes from."""
        if self.messages_column is not None:
            return (self.messages_column,)
        return (*([] if self.prompt_column is None else [self.prompt_column]), self.text_column)


class Skipped(Exception):
    """Raised for a record that is to be left out, with the reason."""


def raw_records(
    unit: Unit, reading: Reading, columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any] | None]:
    """Rows of a unit, None if they are not valid UTF-8 and to be skipped.

    Texts of parquet and txt files are undecoded bytes. Of parquet only ``columns`` are read, unless
    the file lacks one that holds the text.
    """
    path = Path(unit.file)
    is_text = path.name.endswith(".txt")
    if path.name.endswith(".parquet"):
        yield from _parquet_rows(path, unit, reading, columns)
    elif is_text and reading.whole_files:
        yield {reading.text_column: path.read_bytes()}
    else:
        rows = islice(rows_of(path, unit.offset, unit.line), unit.stop - unit.start)
        for number, _, line in rows:
            if is_text:
                yield {reading.text_column: line.removesuffix(b"\n")}
                continue
            try:
                yield _json_record(line, f"{unit.source!r} line {number + 1}", reading)
            except Skipped:
                yield None


def _json_record(line: bytes, where: str, reading: Reading) -> dict[str, Any]:
    valid = valid_text(line.removeprefix(b"\xef\xbb\xbf"), where, reading.invalid_utf8)
    try:
        record = json.loads(valid, object_pairs_hook=unique_keys)
        if "\\ud" in valid.lower():  # an escaped surrogate may be unpaired
            unescaped = json.dumps(record, ensure_ascii=False)
            record = json.loads(valid_text(unescaped, where, reading.invalid_utf8))
    except json.JSONDecodeError as error:
        raise UserError(f"{where} is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # a number or nesting beyond Python's limits
        raise UserError(f"{where} cannot be read: {short(error)}") from error
    if not isinstance(record, dict):
        raise UserError(f"{where} is not a JSON object")
    nulls = [name for name in reading.text_columns if record.get(name) != record.get(name)]  # NaN
    return {**record, **dict.fromkeys(nulls)} if nulls else record


def is_json(column: pa.Field) -> bool:
    """Whether a column holds JSON texts of :data:`AS_JSON`."""
    return AS_JSON.items() <= (column.metadata or {}).items()


def decoded(value: Any, kind: pa.DataType) -> Any:
    """A value of an Arrow type with the JSON texts in it, of the type arrow.json, as objects."""
    return _mapped(value, kind, partial(json.loads, object_pairs_hook=unique_keys))


def encoded(value: Any, kind: pa.DataType) -> Any:
    """The inverse of :func:`decoded`."""
    return _mapped(value, kind, to_json)


def to_json(value: Any) -> str:
    """A value as JSON text; dates, which JSON lacks, as texts."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _mapped(value: Any, kind: pa.DataType, change: Callable[[Any], Any]) -> Any:
    if value is None or not pa.types.is_nested(kind):
        is_leaf = getattr(kind, "extension_name", "") == "arrow.json"
        return change(value) if is_leaf and value is not None else value
    if isinstance(value, dict):
        return {name: _mapped(item, kind.field(name).type, change) for name, item in value.items()}
    return [_mapped(item, kind.field(0).type, change) for item in value]


def _parquet_rows(
    path: Path, unit: Unit, reading: Reading, columns: Sequence[str] | None
) -> Iterator[dict[str, Any]]:
    with damaged_as(path):
        file, first = pq.ParquetFile(path), 0
        names = file.schema_arrow.names
        if (twice := _twice(list(file.schema_arrow))) is not None:
            raise UserError(f"{unit.source!r} has the column or field {twice!r} twice; rename one")
        if columns is not None:
            complete = set(names).issuperset(reading.text_columns)
            columns = [name for name in columns if name in names] if complete else None
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if first < unit.stop and first + rows > unit.start:
                low, high = max(unit.start - first, 0), min(unit.stop - first, rows)
                table = file.read_row_group(group, columns).slice(low, high - low)
                texts = [column.name for column in table.schema if is_json(column)]
                if reading.text_column in reading.text_columns:
                    table = _undecoded(table, reading.text_column)
                for row in _pylist(table, f"{unit.source!r} rows {first + low} to {first + high}"):
                    for name in texts:
                        row[name] = None if row[name] is None else json.loads(row[name])
                    if (name := reading.messages_column) in row:
                        row[name] = decoded(row[name], table.schema.field(name).type)
                    yield row
            first += rows


def _twice(fields: Sequence[pa.Field]) -> str | None:
    """A name that several columns have, or several fields inside one."""
    names = Counter(field.name for field in fields)
    inner = [kind for field in fields if pa.types.is_nested(kind := field.type)]
    found = (_twice([kind.field(i) for i in range(kind.num_fields)]) for kind in inner)
    repeated = (name for name, number in names.items() if number > 1)
    return next(repeated, next((name for name in found if name is not None), None))


def _pylist(table: pa.Table, where: str) -> list[dict[str, Any]]:
    """Rows of a table; dates, times and durations of a column are whole numbers, as Arrow stores
    them, if Python has no such date or time zone.

    Raises:
        UserError: a column has other values that Python lacks.
    """
    for index, column in enumerate(table.schema):
        if not _comes_back(table[index]):
            with suppress(pa.ArrowException):
                values = table[index].cast(_without_times(column.type))
                table = table.set_column(index, column.name, values)
    try:
        return table.to_pylist()
    except (ValueError, OverflowError, LookupError, RecursionError) as error:
        raise UserError(f"{where} cannot be read: {short(error)}") from error


def _comes_back(column: pa.ChunkedArray) -> bool:
    """Whether Python has the values of a column, all of which Arrow takes back."""
    kind = str(column.type)
    if not any(name in kind for name in ("date", "time", "duration", "bool8")):
        return True
    try:
        values = column.to_pylist()
        if NOT_CHECKED.search(kind):
            return column.equals(pa.chunked_array([pa.array(values, column.type)]))
    except (ValueError, OverflowError, LookupError, TypeError):  # some are pyarrow's
        return False
    return True


def _without_times(kind: pa.DataType) -> pa.DataType:
    """The type with whole numbers in place of dates, times and durations, as stored."""
    if isinstance(kind, pa.BaseExtensionType):
        return _without_times(kind.storage_type)
    if pa.types.is_temporal(kind):
        return pa.int32() if kind.bit_width == 32 else pa.int64()
    if pa.types.is_struct(kind):
        return pa.struct([f.with_type(_without_times(f.type)) for f in kind])
    if pa.types.is_map(kind):
        return pa.map_(_without_times(kind.key_type), _without_times(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_without_times(kind.value_type)))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_without_times(kind.value_type)), kind.list_size)
    return kind


def _undecoded(table: pa.Table, column: str) -> pa.Table:
    """Cast a text column to bytes, which may or may not be valid UTF-8."""
    index = table.schema.get_field_index(column)
    binary = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
    if index < 0 or table.schema.types[index] not in binary:
        return table
    cast = table[column].cast(binary[table.schema.types[index]])
    return table.set_column(index, column, cast)


def valid_text(raw: str | bytes, where: str, policy: str) -> str:
    """Decode and check a text; :class:`Skipped` if it is not valid UTF-8 and to be left out."""
    try:
        if isinstance(raw, bytes):
            return raw.decode()
        raw.encode()
        return raw
    except UnicodeError as error:
        if policy == "skip":
            raise Skipped(INVALID) from error
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
