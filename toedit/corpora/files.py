"""Read and write files: writes are atomic, and errors of reading name the damaged file."""

import errno
import io
import json
import math
import os
import re
import shutil
import socket
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toedit.errors import UserError, damaged, environment_problem

TRANSIENT = {errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.ENOMEM}
"""Error numbers that do not mean that a file is damaged."""

MAX_RATIO, MIN_UNPACKED = 100, 1 << 26
"""A compressed file may unpack to so many times its size, which no text exceeds, and at least to so
many bytes."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; rename it if the block ends without error.

    Raises:
        UserError: a device or a pipe has this name.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(f"{str(path)!r} is no file, so it is not written; choose another path")
    path = path.absolute()  # pyarrow takes "a:b" for an address and "~" for the home folder
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())  # else a power cut could leave the name without the content
        os.replace(temporary, path)
    except OSError as error:
        if error.errno:  # that of a full disk names no file
            error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any, indent: int | None = 1) -> None:
    """Write JSON atomically, on one line if ``indent`` is None."""
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
        )


@contextmanager
def damaged_as(path: Path) -> Iterator[None]:
    """Turn errors of reading and decoding a file into a :class:`UserError` that names the file."""
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError, EOFError, ValueError, KeyError, TypeError, IndexError,
            OverflowError, RecursionError, zlib.error) as error:  # fmt: skip
        transient = isinstance(error, MemoryError) or getattr(error, "errno", None) in TRANSIENT
        if transient or environment_problem(error):
            raise
        raise damaged(path, error) from error


class _Bounded(io.RawIOBase):
    """The bytes of a compressed file; too many of them are a :class:`UserError`."""

    def __init__(self, stream: pa.NativeFile, path: Path) -> None:
        self._stream, self._path, self._number = stream, path, 0
        self._most = max(MAX_RATIO * path.stat().st_size, MIN_UNPACKED)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        number: int = self._stream.readinto(buffer)
        self._number += number
        if self._number > self._most:
            raise UserError(
                f"{str(self._path)!r} unpacks to more than {MAX_RATIO} times its size (over "
                f"{self._most >> 20} MB), as no text does; if it is right, unpack it first (gunzip "
                "or zstd -d) and give the unpacked file"
            )
        return number


@contextmanager
def text_stream(path: Path, offset: int = 0) -> Iterator[BinaryIO]:
    """Open a (compressed) text file at a byte offset of its text.

    Raises:
        UserError: it is damaged, or unpacks to more than :data:`MAX_RATIO` times its size.
    """
    with damaged_as(path), pa.input_stream(path.absolute()) as stream:
        if stream.seekable():
            stream.seek(offset)
            yield io.BufferedReader(stream, 1 << 20)
            return
        reader = io.BufferedReader(_Bounded(stream, path), 1 << 20)
        while offset > 0 and (skipped := reader.read(min(offset, 1 << 20))):
            offset -= len(skipped)
        yield reader


def read_zstd_by_pyarrow() -> None:
    """Let fsspec, and datasets through it, read zstd, for which they lack a package."""
    from fsspec.compression import compr, register_compression

    def opened(stream: Any, **_: Any) -> io.BufferedReader:
        return io.BufferedReader(pa.CompressedInputStream(stream, "zstd"))

    if "zstd" not in compr:
        register_compression("zstd", opened, "zst")


def remove(path: Path) -> None:
    """Remove a file, a link or a folder; do nothing where none is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


DEEPEST = 100
"""Levels of nesting in JSON that :func:`parse_json` accepts; ours has ten."""


def parse_json(text: str, kind: type = object) -> Any:
    """Parse JSON as this package writes it.

    Args:
        text: a document.
        kind: type of the value.

    Raises:
        ValueError: it is no JSON, of another type, nested too deep, or holds a number that is not
            finite or a text that is no Unicode.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, kind):
        raise ValueError(f"holds a {type(value).__name__} in place of a {kind.__name__}")
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise ValueError("nested too deep")
        for own in level:
            if isinstance(own, int | float) and not abs(own) < math.inf:
                raise ValueError(f"holds the number {own}")
            if isinstance(own, int) and own.bit_length() > 1000:
                raise ValueError("holds a number of more than 300 digits")
        level = [
            item
            for own in level
            if isinstance(own, dict | list)
            for item in (own.values() if isinstance(own, dict) else own)
        ]
        depth += 1
    if "\\ud" in text.lower():  # half of a surrogate pair can be neither printed nor written
        json.dumps(value, ensure_ascii=False).encode()
    return value


def read_json(path: Path, kind: type = object) -> Any:
    """Read JSON with a value of a type; a damaged file is a :class:`UserError`."""
    with damaged_as(path):
        return parse_json(path.read_text(encoding="utf-8"), kind)


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, array, allow_pickle=False)


def load_array(path: Path, mapped: bool = False) -> np.ndarray:
    """Read an array, or map it into memory; a damaged file is a :class:`UserError`."""
    with damaged_as(path):
        return np.load(path, "r" if mapped else None, allow_pickle=False)


def save_table(path: Path, table: pa.Table | Sequence[dict[str, Any]], **options: Any) -> None:
    """Write a table or rows as parquet, atomically; ``options`` go to pyarrow."""
    if not isinstance(table, pa.Table):
        table = pa.Table.from_pylist(table)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, **options)


def load_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file, or some columns of it; a damaged file is a :class:`UserError`."""
    with damaged_as(path):
        return pq.read_table(path, columns=columns)


def natural(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key that orders numbers in names by value: ``part-9`` before ``part-10``."""
    parts = re.split(r"([0-9]+)", str(path))
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files of a folder in natural order."""
    return sorted(folder.glob("*.parquet"), key=natural)
