"""Tokenized text on disk: the tokens of a shard one after another, and an index of its documents.

A shard is a file of numpy, which is mapped and not read, and beside it a parquet file with a row a
document: its id, its number of tokens, and what else tells documents apart.
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
"""Tokenizers with at most so many tokens are kept in 16 bits."""

OPEN = 512
"""Shards that are mapped at a time; each keeps a file open."""


def token_dtype(vocabulary: int) -> np.dtype:
    """The smallest unsigned integers that hold every token of a tokenizer."""
    return np.dtype(np.uint16 if vocabulary <= SMALL else np.uint32)


def write_tokens(
    folder: Path,
    name: str,
    documents: Iterable[tuple[Mapping[str, str], Sequence[int]]],
    columns: Sequence[str],
    vocabulary: int,
) -> None:
    """Writes a shard.

    Args:
        folder: where.
        name: of the shard, without a suffix.
        documents: columns of each document and its tokens.
        columns: names of the columns, ``id`` among them.
        vocabulary: size of the tokenizer.
    """
    dtype = token_dtype(vocabulary)
    rows: dict[str, list[str]] = {column: [] for column in columns}
    parts: list[np.ndarray] = []
    for found, ids in documents:
        for column in columns:
            rows[column].append(found[column])
        parts.append(np.asarray(ids, dtype))
    lengths = np.array([len(part) for part in parts], np.int64)
    save_array(folder / f"{name}.npy", np.concatenate([np.zeros(0, dtype), *parts]))
    # Large strings, because the ids of all shards together may take more than 2 GiB.
    named = {column: pa.array(values, pa.large_string()) for column, values in rows.items()}
    table = pa.table({**named, "tokens": lengths})
    save_table(folder / f"{name}.parquet", table, compression="zstd")


def read_index(folders: Sequence[Path]) -> tuple[pa.Table, list[Path]]:
    """The documents of all shards in some folders.

    Returns:
        A row a document with the columns that were written, ``shard`` and ``start`` (where its
        tokens begin there), and the shards.

    Raises:
        UserError: a file is damaged, or there is none.
    """
    tables: list[pa.Table] = []
    shards: list[Path] = []
    for path in (path for folder in folders for path in parquet_files(folder)):
        table = load_table(path)
        lengths = table["tokens"].to_numpy()
        tokens = path.with_suffix(".npy")
        if _size(tokens) != lengths.sum():
            raise damaged(tokens, f"it does not hold the {lengths.sum()} tokens of its index")
        starts = np.cumsum(lengths) - lengths
        shard = np.full(len(lengths), len(shards), np.int32)
        tables.append(table.append_column("shard", [shard]).append_column("start", [starts]))
        shards.append(tokens)
    if not tables:
        raise UserError(f"there is no tokenized text in {', '.join(map(str, folders))}")
    return pa.concat_tables(tables), shards


def _size(path: Path) -> int:
    """Tokens that a shard says it holds, and has room for."""
    with damaged_as(path), path.open("rb") as handle:
        np.lib.format.read_magic(handle)
        (size,), _, dtype = np.lib.format.read_array_header_1_0(handle)
        there = path.stat().st_size - handle.tell()
    return size if there == size * dtype.itemsize else -1


@lru_cache(maxsize=OPEN)
def _mapped(path: Path) -> np.ndarray:
    return load_array(path, mapped=True)


def tokens_at(path: Path, start: int, number: int) -> np.ndarray:
    """Tokens of a shard, mapped."""
    return _mapped(path)[start : start + number]
