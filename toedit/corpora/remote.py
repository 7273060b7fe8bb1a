"""Files by their addresses: on a hub (``hf://``), on the web (``https://``), or here."""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from toedit.errors import UserError, environment_problem

TRIES = 3
SILENCE = 60
"""Seconds without a byte after which a server is given up."""

LIST = "@"
"""Before an address: the file there lists addresses, one a line."""


def is_remote(address: str) -> bool:
    """Whether an address is not a path of this machine."""
    return "://" in address


def addresses(patterns: Iterable[str]) -> list[str]:
    """The files that patterns stand for, in the order of the patterns, each once.

    Args:
        patterns: paths and addresses, in which ``*`` stands for anything; after :data:`LIST`, files
            that list them.

    Raises:
        UserError: a pattern stands for no file, or its place cannot be reached.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        own = _listed(pattern[len(LIST) :]) if pattern.startswith(LIST) else _matching(pattern)
        if not own:
            raise UserError(f"no file is found under {pattern!r}")
        found.update(dict.fromkeys(own))
    return list(found)


def _listed(address: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder, fetched(address, Path(folder)) as path:
        lines = path.read_text().splitlines()
    found = (line.strip() for line in lines)
    return [name if is_remote(name) else os.path.abspath(name) for name in found if name]


def _matching(pattern: str) -> list[str]:
    if not is_remote(pattern):
        found = glob(os.path.abspath(os.path.expanduser(pattern)))
        return sorted(filter(os.path.isfile, found))
    if "*" not in pattern:
        return [pattern]
    with _reached(pattern):
        files, inside = _file_system(pattern)
        return sorted(files.unstrip_protocol(path) for path in files.glob(inside))


def _file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path there."""
    import fsspec

    if not address.startswith(("http://", "https://")):
        return fsspec.core.url_to_fs(address)
    from aiohttp import ClientTimeout

    # Large files take long; a server that falls silent is given up. Nothing is decompressed on the
    # way, since names say what a file is.
    options = {
        "timeout": ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE),
        "headers": {"Accept-Encoding": "identity"},
    }
    return fsspec.core.url_to_fs(address, client_kwargs=options)


@contextmanager
def fetched(address: str, folder: Path) -> Iterator[Path]:
    """A local copy of a file while the block runs; a file that is here already is not copied.

    Args:
        address: of the file.
        folder: where the copy lies.

    Raises:
        UserError: it is not there, or cannot be reached.
    """
    if not is_remote(address):
        path = Path(address).expanduser()
        if not path.is_file():
            raise UserError(f"file {address!r} does not exist")
        yield path
        return
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / (Path(urlsplit(address).path).name or "file")
    try:
        for attempt in range(1, TRIES + 1):
            try:
                with _reached(address):
                    files, inside = _file_system(address)
                    files.get_file(inside, str(copy))
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
    """A file elsewhere as a stream of bytes, of which only what is read comes here.

    Raises:
        UserError: it is not there, or cannot be read.
    """
    with _reached(address):
        files, inside = _file_system(address)
        with files.open(inside) as stream:
            yield stream


@contextmanager
def _reached(address: str) -> Iterator[None]:
    """Whatever a file system raises becomes one line; a full disk stays what it is."""
    try:
        yield
    except Exception as error:
        if environment_problem(error):
            raise
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"cannot read {address!r}: {reason}") from error


def short_names(found: Sequence[str]) -> list[str]:
    """What files go by: their addresses below the folder that all of them share."""
    parts = [address.split("/") for address in found]
    same = 0
    for folders in zip(*(part[:-1] for part in parts), strict=False):
        if len(set(folders)) > 1:
            break
        same += 1
    return ["/".join(part[same:]) for part in parts]
