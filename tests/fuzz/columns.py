"""Parquet tables with odd columns: types, names, values, metadata."""

from datetime import timedelta
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from .odd import KEYS, PLAIN, TEXTS

ROWS = 4


def _column(kind: pa.DataType, values: list[Any]) -> pa.Array:
    return pa.array((values * ROWS)[:ROWS], kind)


def _int64(kind: pa.DataType, *values: int) -> pa.Array:
    """Times by their number, which Python's types may not hold."""
    return pa.array((list(values) * ROWS)[:ROWS], pa.int64()).cast(kind)


LIMITS = (-(2**63), 2**63 - 1, 0)

COLUMNS: dict[str, Any] = {
    "far dates": lambda: pa.array([-(2**31), 2**31 - 1, 0, 2932897], pa.int32()).cast(pa.date32()),
    "far days in ms": lambda: _int64(pa.timestamp("ms"), *LIMITS),
    "far times": lambda: _int64(pa.timestamp("us"), *LIMITS),
    "far nanoseconds": lambda: _int64(pa.timestamp("ns"), *LIMITS),
    "times of a zone": lambda: _int64(pa.timestamp("us", "Pacific/Chatham"), 1, 253402300800000000),
    "times of no zone": lambda: _int64(pa.timestamp("us", "No/Where"), 1),
    "durations": lambda: _int64(pa.duration("us"), *LIMITS),
    "nanosecond durations": lambda: _int64(pa.duration("ns"), 1, 999),
    "times of day": lambda: _int64(pa.time64("ns"), 1, 86399999999999),
    "usual durations": lambda: _column(pa.duration("s"), [timedelta(1), None]),
    "decimals": lambda: pa.array([1, -1, None, 9]).cast(pa.decimal256(70, 30)),
    "unsigned": lambda: _column(pa.uint64(), [2**64 - 1, 0]),
    "half floats": lambda: pa.array(np.array([1.5, np.nan, np.inf, -0.0], np.float16)),
    "floats": lambda: _column(pa.float64(), [float("nan"), float("inf"), -0.0, 1e308]),
    "bytes": lambda: _column(pa.binary(), [b"\xff\x00", b"", None]),
    "fixed bytes": lambda: _column(pa.binary(3), [b"\xff\x00a", None]),
    "large strings": lambda: _column(pa.large_string(), ["a", None]),
    "string views": lambda: _column(pa.string_view(), ["a", None]),
    "nulls": lambda: pa.nulls(ROWS),
    "dictionary": lambda: pa.array(["a", None, "b", "a"]).dictionary_encode(),
    "dictionary of numbers": lambda: pa.array([1, 2, None, 1]).dictionary_encode(),
    "struct": lambda: _column(pa.struct([("a", pa.int8()), ("", pa.string())]), [{"a": 1}, None]),
    "list": lambda: _column(pa.list_(pa.list_(pa.int8())), [[[1], []], [], None]),
    "fixed list": lambda: _column(pa.list_(pa.int8(), 2), [[1, 2], None]),
    "large list": lambda: _column(pa.large_list(pa.string()), [["a"], None]),
    "map": lambda: _column(pa.map_(pa.string(), pa.int8()), [[("a", 1), ("a", 2)], [], None]),
    "times in a list": lambda: pa.ListArray.from_arrays(
        [0, 1, 2, 3, 3], _int64(pa.timestamp("ns"), *LIMITS)
    ),
    "times in a struct": lambda: pa.StructArray.from_arrays(
        [_int64(pa.timestamp("us"), *LIMITS)], ["t"]
    ),
    "uuid": lambda: pa.ExtensionArray.from_storage(
        pa.uuid(), _column(pa.binary(16), [b"\xff" * 16])
    ),
    "json": lambda: pa.ExtensionArray.from_storage(
        pa.json_(), _column(pa.string(), ["{", "{}", None])
    ),
    "bool8": lambda: pa.ExtensionArray.from_storage(pa.bool8(), _column(pa.int8(), [2, 0, None])),
    "tensor": lambda: pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((ROWS, 2, 2))),
}
"""Columns of every type that a file may have."""

METADATA = (
    b"{", b"[]", b"null", b'{"info": 1}', b'{"info": {"features": 3}}', b"\xff\xfe",
    b'{"info": {"features": {"text": {"_type": "ClassLabel", "names": null}}}}',
    b'{"info": {"features": {"text": {"_type": "Nothing"}}}}',
    b'{"info": {"features": {"odd": {"_type": "Image"}, "text": {"_type": "Value"}}}}',
)  # fmt: skip


def odd_table(random: Random, number: int) -> tuple[str, pa.Table]:
    """A table with one odd thing, and what it is."""
    text = pa.array([PLAIN, random.choice(TEXTS), None if random.random() < 0.2 else "a", PLAIN])
    plain = {"id": pa.array([f"d{n}" for n in range(ROWS)]), "text": text}
    kinds = [*COLUMNS]
    what, turn = number % 4, number // 4
    if what < 2:  # beside the text, as id or as text
        kind = kinds[(turn * 2 + what) % len(kinds)]
        name = random.choice(("odd", "odd", "id", "text", random.choice(KEYS[:-1])))
        name = name.encode("utf-8", "replace").decode()
        return f"column {name[:20]!r} of {kind}", pa.table({**plain, name: COLUMNS[kind]()})
    if what == 2:
        makers = (
            lambda: pa.Table.from_arrays([*plain.values(), text], ["id", "text", "text"]),
            lambda: pa.Table.from_arrays([*plain.values(), text], ["id", "text", "id"]),
            lambda: pa.table(plain).slice(0, 0),
            lambda: pa.table({}),
            lambda: pa.table({**plain, **{f"c{n}": text for n in range(2000)}}),
            lambda: pa.table({**plain, **{k: text for k in KEYS[2:9] if k.isascii()}}),
            lambda: pa.table({"id": pa.array(TEXTS[:ROWS]), "text": text}),
            lambda: pa.table({"id": pa.array(["a", "a", "b", "c"]), "text": text}),
            lambda: pa.table({"id": pa.array([1, 2, None, 1]), "text": text}),
            lambda: pa.table({"id": pa.array([1.0, float("nan"), None, 2.0**60]), "text": text}),
            lambda: pa.table({"text": text}),
            lambda: pa.table({"id": text}),
        )
        return f"table {turn % len(makers)}", makers[turn % len(makers)]()
    metadata = METADATA[turn % len(METADATA)]
    key = (b"huggingface", b"pandas", b"toedit", b"ARROW:schema")[turn % 4]
    table = pa.table({**plain, "odd": pa.array([1, 2, 3, 4])})
    return f"metadata {key!r}: {metadata[:30]!r}", table.replace_schema_metadata({key: metadata})
