"""Rows that results hold as files, and many results in one file: what ``results/`` is made of.

Answers of different models to an item differ in a few numbers. Side by side, item by item, all else
takes hardly any room: ``rows/KIND/NAME.parquet`` holds the file ``NAME`` of every result of a kind,
with a hash of the rows of each.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.store.contents import altered
from toedit.corpora.files import atomic_path, damaged_as, parse_json
from toedit.errors import UserError, short

FOLDER = "rows"
RESULT, PLACE = "_result", "_row"
LISTED = b"results"
"""Metadata of a file: of every result the hash of its rows, its columns, since one may have others
than the next, and those of its columns that not every row has."""

Rows = list[dict[str, Any]]


def read(root: Path, label: str, name: str, files: Mapping[str, Any]) -> Rows:
    """The rows of a file of a result, from the file itself or from one of many results.

    Args:
        root: the store.
        label: folder of the result in it.
        name: of the file in that folder, ``.parquet`` or ``.jsonl``.
        files: sizes and hashes in the record of the result.

    Raises:
        UserError: it is gone, or not as it was recorded.
    """
    if name not in files:
        raise UserError(f"{label}: its record lists no {name}")
    path = place(root, label, name)
    if path.is_relative_to(root / FOLDER):
        return _Pack.of(path).rows(label)
    if problems := altered(root / label, {name: files[name]}):
        raise UserError(f"{label}: {problems[0]}", path)
    return read_file(path)


def read_file(path: Path) -> Rows:
    """The rows of a file: Parquet, or a line of JSON a row.

    Raises:
        UserError: it is damaged.
    """
    with damaged_as(path):
        if path.suffix == ".jsonl":
            return [parse_json(line.decode(), dict) for line in path.read_bytes().splitlines()]
        import pyarrow.parquet as pq

        # read_table would import pandas, which takes seconds
        return pq.ParquetFile(path).read().to_pylist()


def pack(root: Path, added: Mapping[tuple[str, str], Rows]) -> list[Path]:
    """Adds rows of results to the files of many results; a file is replaced as a whole.

    Args:
        root: the store.
        added: rows by label of the result and name of its file; they replace rows that are there.

    Returns:
        The files that were written.

    Raises:
        UserError: rows that are there are damaged, or others than the added ones can join.
    """
    by_file: dict[Path, dict[str, Rows]] = {}
    for (label, name), rows in added.items():
        by_file.setdefault(_packed(root, label, name), {})[label] = rows
    for path, own in by_file.items():
        there = _Pack.of(path) if path.exists() else None
        kept = [] if there is None else [label for label in there.listed if label not in own]
        known = {label: there.rows(label) for label in kept} if there else {}
        try:
            _write(path, {**known, **own})
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise UserError(
                f"rows of {', '.join(own)} do not fit into {str(path)!r}: {short(error)}"
            ) from error
    return list(by_file)


def place(root: Path, label: str, name: str) -> Path:
    """Where the rows of a file of a result are: the file itself, or one of many results."""
    path, packed = root / label / name, _packed(root, label, name)
    return packed if packed.exists() and not path.exists() else path


def _packed(root: Path, label: str, name: str) -> Path:
    return root / FOLDER / label.partition("/")[0] / f"{Path(name).stem}.parquet"


def _write(path: Path, results: dict[str, Rows]) -> None:
    labelled = [
        (number, label, row) for label, rows in results.items() for number, row in enumerate(rows)
    ]
    labelled.sort(key=lambda own: own[:2])  # one item of all results side by side
    listed = {label: _listed(rows) for label, rows in results.items()}
    names = dict.fromkeys(name for own in listed.values() for name in own["columns"])
    if {PLACE, RESULT} & set(names):
        raise ValueError(f"a column is named {PLACE} or {RESULT}")
    table = pa.table(
        {PLACE: [number for number, _, _ in labelled], RESULT: [label for _, label, _ in labelled]}
        | {name: [row.get(name) for _, _, row in labelled] for name in names}
    )
    for number, field in enumerate(table.schema):
        narrow = _narrowed(table[field.name])
        if narrow is not None:
            table = table.set_column(number, field.name, narrow)
    kept = {LISTED: json.dumps(listed, sort_keys=True).encode()}
    with atomic_path(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata(kept), temporary, compression="zstd",
            compression_level=19,
        )  # fmt: skip


def _listed(rows: Rows) -> dict[str, Any]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    some = [name for name in columns if any(name not in row for row in rows)]
    return {"columns": columns, "some": some, "sha256": _hash(rows)}


def _hash(rows: Rows) -> str:
    content = json.dumps(rows, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def _narrowed(column: "pa.ChunkedArray") -> "pa.ChunkedArray | None":
    """A column of 64 bits in 32, if that loses nothing, as of what was computed in 32."""
    nested = pa.types.is_list(column.type)
    if (column.type.value_type if nested else column.type) != pa.float64():
        return None
    narrow = column.cast(pa.list_(pa.float32()) if nested else pa.float32())
    return narrow if narrow.cast(column.type).equals(column) else None


def _is_listed(value: Any) -> bool:
    return isinstance(value, dict) and [type(value.get(key)) for key in ("columns", "some")] == [
        list, list
    ]  # fmt: skip


class _Pack:
    """A file of many results, read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with damaged_as(path):
            self.table = pq.ParquetFile(path).read()
            metadata = self.table.schema.metadata or {}
            self.listed = parse_json(metadata[LISTED].decode(), dict)
            if not all(map(_is_listed, self.listed.values())):
                raise ValueError("its list of results is of other types")
            labels = self.table[RESULT].combine_chunks().dictionary_encode()
            codes = labels.indices.to_numpy()
            order = np.argsort(codes, kind="stable")  # rows of a result stay in their order
            ends = np.searchsorted(codes[order], range(len(labels.dictionary) + 1))
            self.places = {
                label: order[ends[n] : ends[n + 1]]
                for n, label in enumerate(labels.dictionary.to_pylist())
            }

    @staticmethod
    def of(path: Path) -> "_Pack":
        state = path.stat()
        return _read_pack(path, state.st_size, state.st_mtime_ns)

    def rows(self, label: str) -> Rows:
        """The rows of a result.

        Raises:
            UserError: the file holds none of it, or others than were written.
        """
        own = self.listed.get(label)
        if own is None:
            raise UserError(f"{label}: its rows are gone", self.path)
        places = self.places.get(label, ())
        with damaged_as(self.path):
            if own["columns"]:
                found = self.table.select(own["columns"]).take(places).to_pylist()
            else:
                found = [{} for _ in places]
            for name in own["some"]:
                for row in found:
                    if row[name] is None:
                        del row[name]
            same = _hash(found) == own["sha256"]
        if not same:
            raise UserError(f"{label}: its rows are other than when they were written", self.path)
        return found


@lru_cache(maxsize=64)
def _read_pack(path: Path, size: int, modified: int) -> _Pack:
    return _Pack(path)
