"""Files that are whole or absent, and errors that name the one which is neither."""

import errno
import json
import os
import re
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from toedit.errors import damaged, environment_problem


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside ``path`` and renames it when the block ends without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())  # else a power cut could leave the name without the content
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any, indent: int | None = 1) -> None:
    """Writes JSON atomically, on one line if ``indent`` is None."""
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
        )


@contextmanager
def damaged_as(path: Path) -> Iterator[None]:
    """Turns errors of reading and decoding a file in the block into one that names the file."""
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError, EOFError, ValueError, KeyError, TypeError, IndexError,
            zlib.error) as error:  # fmt: skip
        passing = {errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.ENOMEM}
        if isinstance(error, MemoryError) or getattr(error, "errno", None) in passing:
            raise  # says nothing about the file
        if environment_problem(error):
            raise
        raise damaged(path, error) from error


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
        UserError: the file is damaged.
    """
    with damaged_as(path):
        return json.loads(path.read_text())


def natural(path: Path) -> list[tuple[bool, int, str]]:
    """Key that sorts files as people count: ``part-9`` before ``part-10``."""
    parts = re.split(r"([0-9]+)", str(path))
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files of a folder, in their order."""
    return sorted(folder.glob("*.parquet"), key=natural)
