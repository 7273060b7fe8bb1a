"""Rows that results hold as files, and many results in one file: what ``results/`` is made of.

Answers of different models to an item differ in a few numbers. Side by side, item by item, all else
takes hardly any room: ``rows/KIND/NAME.parquet`` holds the file ``NAME`` of every result of a kind,
and ``rows/files.json`` the size and hash of these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.store.contents import altered, inventory
from toedit.corpora.files import atomic_path, damaged_as, read_json, write_json
from toedit.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER, FILES = "rows", "files.json"
RESULT, PLACE = "_result", "_row"
COLUMNS = b"columns"
"""Metadata of a file: the columns of every result, since one may have others than the next."""

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
        return _Pack.of(root, path).rows(label)
    if problems := altered(root / label, {name: files[name]}):
        raise UserError(f"{label}: {problems[0]}", path)
    return read_file(path)


def read_file(path: Path) -> Rows:
    """The rows of a file: Parquet, or a line of JSON a row."""
    with damaged_as(path):
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
        import pyarrow.parquet as pq

        # read_table would import pandas, which takes seconds
        return pq.ParquetFile(path).read().to_pylist()


def pack(root: Path, added: Mapping[tuple[str, str], Rows]) -> list[Path]:
    """Adds rows of results to the files of many results; what is there already stays.

    Args:
        root: the store.
        added: rows by label of the result and name of its file.

    Returns:
        The files that were written.
    """
    by_file: dict[Path, dict[str, Rows]] = {}
    for (label, name), rows in added.items():
        by_file.setdefault(_packed(root, label, name), {})[label] = rows
    for path, own in by_file.items():
        there = _Pack.of(root, path) if path.exists() else None
        known = {} if there is None else {label: there.rows(label) for label in there.columns}
        _write(path, {**own, **known})
    if by_file:
        write_json(root / FOLDER / FILES, inventory(root / FOLDER, (FILES,)))
    return list(by_file)


def place(root: Path, label: str, name: str) -> Path:
    """Where the rows of a file of a result are: the file itself, or one of many results."""
    path, packed = root / label / name, _packed(root, label, name)
    return packed if packed.exists() and not path.exists() else path


def _packed(root: Path, label: str, name: str) -> Path:
    return root / FOLDER / label.partition("/")[0] / f"{Path(name).stem}.parquet"


def _write(path: Path, results: dict[str, Rows]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    labelled = [
        (number, label, row) for label, rows in results.items() for number, row in enumerate(rows)
    ]
    labelled.sort(key=lambda own: own[:2])  # one item of all results side by side
    columns = {label: list(rows[0]) if rows else [] for label, rows in results.items()}
    names = dict.fromkeys(name for own in columns.values() for name in own)
    table = pa.table(
        {PLACE: [number for number, _, _ in labelled], RESULT: [label for _, label, _ in labelled]}
        | {name: [row.get(name) for _, _, row in labelled] for name in names}
    )
    for number, field in enumerate(table.schema):
        narrow = _narrowed(table[field.name])
        if narrow is not None:
            table = table.set_column(number, field.name, narrow)
    kept = {COLUMNS: json.dumps(columns, sort_keys=True).encode()}
    with atomic_path(path) as temporary:
        pq.write_table(
            table.replace_schema_metadata(kept), temporary, compression="zstd",
            compression_level=19,
        )  # fmt: skip


def _narrowed(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """A column of 64 bits in 32, if that loses nothing, as of what was computed in 32."""
    import pyarrow as pa

    nested = pa.types.is_list(column.type)
    if (column.type.value_type if nested else column.type) != pa.float64():
        return None
    narrow = column.cast(pa.list_(pa.float32()) if nested else pa.float32())
    return narrow if narrow.cast(column.type).equals(column) else None


class _Pack:
    """A file of many results, compared with its hash and read once."""

    def __init__(self, root: Path, path: Path) -> None:
        import numpy as np
        import pyarrow.parquet as pq

        name = str(path.relative_to(root / FOLDER))
        files = read_json(root / FOLDER / FILES)
        if name not in files:
            raise UserError(f"{FOLDER}/{FILES} does not list it", path)
        if problems := altered(root / FOLDER, {name: files[name]}):
            raise UserError(f"{FOLDER}: {problems[0]}", path)
        with damaged_as(path):
            self.table = pq.ParquetFile(path).read()
            self.columns = json.loads(self.table.schema.metadata[COLUMNS])
            labels = self.table[RESULT].combine_chunks().dictionary_encode()
            codes = labels.indices.to_numpy()
            order = np.argsort(codes, kind="stable")  # rows of a result stay in their order
            ends = np.searchsorted(codes[order], range(len(labels.dictionary) + 1))
            self.places = {
                label: order[ends[n] : ends[n + 1]]
                for n, label in enumerate(labels.dictionary.to_pylist())
            }

    @staticmethod
    def of(root: Path, path: Path) -> _Pack:
        state = path.stat()
        return _read_pack(root, path, state.st_size, state.st_mtime_ns)

    def rows(self, label: str) -> Rows:
        """The rows of a result.

        Raises:
            UserError: the file holds none of it.
        """
        if label not in self.columns:
            raise UserError(f"{label}: its rows are gone")
        if label not in self.places:
            return []
        return self.table.select(self.columns[label]).take(self.places[label]).to_pylist()


@lru_cache(maxsize=64)
def _read_pack(root: Path, path: Path, size: int, modified: int) -> _Pack:
    return _Pack(root, path)
