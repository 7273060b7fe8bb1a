"""Tokenized text on disk: the tokens of a shard one after another, and an index of its documents.

A shard is a memory-mapped numpy file and a parquet file of the same name with one row per document:
its id, its number of tokens, and further columns that identify it.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from toedit.corpora.files import (
    damaged_as,
    load_array,
    load_table,
    parquet_files,
    save_array,
    save_table,
)
from toedit.errors import UserError, damaged

SMALL = 1 << 16
"""Largest vocabulary whose token ids fit into 16 bits."""

OPEN = 512
"""Number of shards that are mapped at a time; each keeps a file open."""


def token_dtype(vocabulary: int) -> np.dtype:
    """The smallest unsigned integer type that holds every token id of a vocabulary."""
    return np.dtype(np.uint16 if vocabulary <= SMALL else np.uint32)


def write_tokens(
    folder: Path,
    name: str,
    documents: Iterable[tuple[Mapping[str, str], Sequence[int]]],
    columns: Sequence[str],
    vocabulary: int,
) -> None:
    """Write a shard as ``{name}.npy`` and ``{name}.parquet``.

    Args:
        documents: columns of each document and its token ids.
        columns: names of the columns, ``id`` among them.
        vocabulary: size of the tokenizer, which decides the dtype.
    """
    dtype = token_dtype(vocabulary)
    rows: dict[str, list[str]] = {column: [] for column in columns}
    parts: list[np.ndarray] = []
    for values, ids in documents:
        for column in columns:
            rows[column].append(values[column])
        parts.append(np.asarray(ids, dtype))
    lengths = np.array([len(part) for part in parts], np.int64)
    save_array(folder / f"{name}.npy", np.concatenate([np.zeros(0, dtype), *parts]))
    # Large strings, because the ids of all shards together may take more than 2 GiB.
    arrays = {column: pa.array(texts, pa.large_string()) for column, texts in rows.items()}
    table = pa.table({**arrays, "tokens": lengths})
    save_table(folder / f"{name}.parquet", table, compression="zstd")


def read_index(folders: Sequence[Path]) -> tuple[pa.Table, list[Path]]:
    """List the documents of all shards in some folders.

    Returns:
        A row per document with the columns that were written, ``shard`` (index into the shards) and
        ``start`` (index of its first token there), and the paths of the shards.

    Raises:
        UserError: a file is damaged, or there is none.
    """
    tables: list[pa.Table] = []
    shards: list[Path] = []
    for path in (path for folder in folders for path in parquet_files(folder)):
        table = load_table(path)
        lengths = table["tokens"].to_numpy()
        tokens = path.with_suffix(".npy")
        if _stored_tokens(tokens) != lengths.sum():
            raise damaged(tokens, f"it does not hold the {lengths.sum()} tokens of its index")
        starts = np.cumsum(lengths) - lengths
        shard = np.full(len(lengths), len(shards), np.int32)
        tables.append(table.append_column("shard", [shard]).append_column("start", [starts]))
        shards.append(tokens)
    if not tables:
        raise UserError(f"there is no tokenized text in {', '.join(map(str, folders))}")
    return pa.concat_tables(tables), shards


def _stored_tokens(path: Path) -> int:
    """Number of tokens in a shard, by its header; -1 if the file's size differs from it."""
    with damaged_as(path), path.open("rb") as handle:
        np.lib.format.read_magic(handle)
        (size,), _, dtype = np.lib.format.read_array_header_1_0(handle)
        data_bytes = path.stat().st_size - handle.tell()
    return size if data_bytes == size * dtype.itemsize else -1


@lru_cache(maxsize=OPEN)
def _mapped(path: Path) -> np.ndarray:
    return load_array(path, mapped=True)


def tokens_at(path: Path, start: int, number: int) -> np.ndarray:
    """Memory-mapped tokens ``start`` to ``start + number`` of a shard."""
    return _mapped(path)[start : start + number]
