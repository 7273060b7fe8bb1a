"""Find, fetch and open files by address: local paths, ``hf://``, ``https://`` and so on."""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from toedit.errors import UserError, environment_problem, short
from toedit.redaction import without_credentials
from toedit.user_paths import LONGEST_NAME, user_path

TRIES = 3
SILENCE = 60
"""Seconds without a byte after which a download fails."""

LIST = "@"
"""Prefix of the address of a file that lists addresses, one per line."""


def is_remote(address: str) -> bool:
    """Whether an address is a URL and not a local path."""
    return "://" in address


def addresses(patterns: Iterable[str]) -> list[str]:
    """Expand patterns to the addresses of files, in the order of the patterns, without repeats.

    Args:
        patterns: paths and addresses, in which ``*`` matches anything; after :data:`LIST`, files
            that list addresses.

    Raises:
        UserError: a pattern matches no file, or a server or file cannot be read.
    """
    matches: dict[str, None] = {}
    for pattern in patterns:
        files = _listed(pattern[len(LIST) :]) if pattern.startswith(LIST) else _matching(pattern)
        if not files:
            raise UserError(f"no file is found under {pattern!r}")
        matches |= dict.fromkeys(files)
    return list(matches)


def _listed(address: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder, fetched(address, Path(folder)) as path:
        names = map(str.strip, path.read_text().splitlines())
    return [name if is_remote(name) else os.path.abspath(name) for name in names if name]


def _matching(pattern: str) -> list[str]:
    if not is_remote(pattern):
        path = os.path.abspath(os.path.expanduser(pattern))
        return [path] if os.path.isfile(path) else sorted(filter(os.path.isfile, glob(path)))
    if "*" not in pattern:
        return [pattern]
    with _read_errors(pattern):
        files, path = _file_system(pattern)
        return sorted(map(files.unstrip_protocol, files.glob(path)))


def _file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it."""
    import fsspec

    if not address.startswith(("http://", "https://")):
        return fsspec.core.url_to_fs(address)
    from aiohttp import ClientTimeout

    # No limit on the total time, since large files take long, but on the time without a byte. No
    # decompression in transit: readers decompress by the file's name.
    options = {
        "timeout": ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE),
        "headers": {"Accept-Encoding": "identity"},
        "trust_env": True,  # HTTPS_PROXY
    }
    return fsspec.core.url_to_fs(address, client_kwargs=options)


@contextmanager
def fetched(address: str, folder: Path) -> Iterator[Path]:
    """Copy a remote file into ``folder`` while the block runs; yield local files as they are.

    Raises:
        UserError: it does not exist, or cannot be read in :data:`TRIES` attempts.
    """
    if not is_remote(address):
        path = Path(user_path(address, "file "))
        if not path.is_file():
            raise UserError(f"file {address!r} does not exist")
        yield path
        return
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(urlsplit(address).path).name or "file"
    copy = folder / os.fsdecode(os.fsencode(name)[-LONGEST_NAME:])
    try:
        for attempt in range(1, TRIES + 1):
            try:
                with _read_errors(address):
                    files, source = _file_system(address)
                    files.get_file(source, str(copy))
                break
            except UserError:
                if attempt == TRIES:
                    raise
                time.sleep(attempt)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


@contextmanager
def opened(address: str) -> Iterator[Any]:
    """Open a remote file as a stream of bytes; downloads only the bytes that are read.

    Raises:
        UserError: it does not exist, or cannot be read.
    """
    with _read_errors(address):
        files, path = _file_system(address)
        with files.open(path) as stream:
            yield stream


@contextmanager
def _read_errors(address: str) -> Iterator[None]:
    """Turn any error except a full disk into a :class:`UserError` that names the address."""
    try:
        yield
    except Exception as error:
        if environment_problem(error):
            raise
        reason = short(error) or type(error).__name__
        raise UserError(f"cannot read {address!r}: {reason}") from error


def short_names(files: Sequence[str]) -> list[str]:
    """The addresses of files, relative to the deepest folder that holds all of them."""
    parts = [without_credentials(address).split("/") for address in files]
    folders = zip(*(part[:-1] for part in parts), strict=False)
    common = len(list(takewhile(lambda names: len(set(names)) == 1, folders)))
    return ["/".join(part[common:]) for part in parts]
