"""Find, fetch and open files by address: local paths, ``hf://``, ``https://`` and so on.

``zip://MEMBER::ADDRESS`` is a file in an archive. Addresses of the hub are read at one commit.
"""

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

from toedit.corpora.files import natural, read_json, write_json
from toedit.corpora.paths import inside
from toedit.corpora.stores import is_object_store, limit_attempts, store_options, store_problem
from toedit.corpora.units import JSON_LINES, SUFFIXES
from toedit.errors import UserError, damaged, environment_problem, short
from toedit.hub import ADDRESS, DATASET, MODEL, hub_problem, pinned_address
from toedit.redaction import REMOVED, without_credentials
from toedit.user_paths import LONGEST_NAME, user_path

TRIES = 3
"""Of addresses other than ``hf://`` and object stores, whose clients try again by themselves."""

SILENCE = 60
"""Seconds without a byte after which a download by HTTP fails."""

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


def pinned_addresses(patterns: Iterable[str]) -> list[str]:
    """:func:`addresses`, those of the hub with the commit that they are read at."""
    return list(map(pinned_address, addresses(map(pinned_address, patterns))))


def fixed_addresses(patterns: Sequence[str], path: Path) -> list[str]:
    """:func:`pinned_addresses`, as an interrupted attempt may have fixed them in the file ``path``.

    The list on disk holds no credentials: they are those of the patterns.
    """
    if not path.exists():
        write_json(path, [without_credentials(file) for file in pinned_addresses(patterns)])
    files: list[str] = read_json(path, list)
    if not all(isinstance(file, str) for file in files):
        raise damaged(path, "names of files are not texts")
    if not any(REMOVED in file for file in files):
        return files
    signed = {without_credentials(file): file for file in pinned_addresses(patterns)}
    return [signed.get(file, file) for file in files]


def _listed(address: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder, fetched(address, Path(folder)) as path:
        names = map(str.strip, path.read_text().splitlines())
    return [name if is_remote(name) else os.path.abspath(name) for name in names if name]


def _matching(pattern: str) -> list[str]:
    if not is_remote(pattern):
        path = os.path.abspath(os.path.expanduser(pattern))
        return [path] if os.path.isfile(path) else sorted(filter(os.path.isfile, glob(path)))
    if "*" not in pattern:
        return _in_folder(pattern)
    _, chain, archive = pattern.partition("::")
    with address_errors(pattern):
        files, path = file_system(pattern)
        found = (files.unstrip_protocol(file) for file in files.glob(path))
        return sorted(file + chain + archive for file in found)


def _in_folder(address: str) -> list[str]:
    """The address of a file itself; of a folder of a store, those of the files that are read of a
    folder on this machine, in their order."""
    named = address.endswith((*SUFFIXES, *JSON_LINES))
    if named or "::" in address or address.startswith(("http://", "https://", "hf://")):
        return [address]
    with address_errors(address):
        files, folder = file_system(address.rstrip("/"))
        if not files.isdir(folder):
            return [address] if files.exists(folder) else []
        below = {file: file[len(folder) :].strip("/") for file in files.find(folder)}
        found = [file for file, name in below.items() if name.endswith(SUFFIXES)
                 and not any(part.startswith(".") for part in name.split("/"))]  # fmt: skip
        found.sort(key=lambda file: natural(Path(below[file])))
        return [files.unstrip_protocol(file) for file in found]


def file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it."""
    import fsspec

    if not address.startswith(("http://", "https://")):
        if is_object_store(address):
            limit_attempts(address)
        return fsspec.core.url_to_fs(address, **store_options(address))
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
    name = Path(address_path(address)).name or "file"
    copy = folder / os.fsdecode(os.fsencode(name)[-LONGEST_NAME:])
    try:
        for attempt in range(1, TRIES + 1):
            try:
                with address_errors(address):
                    files, source = file_system(address)
                    files.get_file(source, str(copy))
                break
            except UserError:
                if attempt == TRIES or ADDRESS.search(address) or is_object_store(address):
                    raise
                time.sleep(attempt)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


@contextmanager
def copied(address: str) -> Iterator[str]:
    """Copy a folder of a store to this machine while the block runs; yield anything else as it is.

    Raises:
        UserError: a file cannot be read, or its name leads out of the folder.
    """
    files = _in_folder(address) if is_remote(address) and "*" not in address else [address]
    if files in ([address], []):
        yield address
        return
    with tempfile.TemporaryDirectory() as folder:
        for file, name in zip(files, short_names(files), strict=True):
            with fetched(file, Path(folder)) as copy:
                target = inside(Path(folder), name)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(copy, target)
        yield folder


@contextmanager
def opened(address: str) -> Iterator[Any]:
    """Open a remote file as a stream of bytes; downloads only the bytes that are read.

    Raises:
        UserError: it does not exist, or cannot be read.
    """
    with address_errors(address):
        files, path = file_system(address)
        with files.open(path) as stream:
            yield stream


def address_path(address: str) -> str:
    """The path of an address: without query, and of a file in an archive below the archive."""
    if is_object_store(address):  # where "?" and "#" are letters
        return _plain(address).partition("://")[2].strip("/")
    parts = urlsplit(_plain(address))
    return f"{parts.netloc}{parts.path}".strip("/")


def _plain(address: str) -> str:
    """An address without credentials, commit of the hub, and chain of archives."""
    address = without_credentials(address)
    if not is_remote(address):
        return address
    *members, outside = ADDRESS.sub(r"hf://\1\2", address).split("::")
    return "/".join([outside, *(member.partition("://")[2] for member in reversed(members))])


@contextmanager
def address_errors(address: str, doing: str = "read") -> Iterator[None]:
    """Turn any error except a full disk into a :class:`UserError` that names the address."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if environment_problem(error):
            raise
        if found := ADDRESS.search(address):
            kind, file = DATASET if found[1] else MODEL, address[found.end() + 1 :]
            if line := hub_problem(error, kind, found[2], found[3], file):
                raise UserError(line) from error
        reason = store_problem(error, address, doing) or short(error) or type(error).__name__
        raise UserError(f"cannot {doing} {address!r}: {reason}") from error


def short_names(files: Sequence[str]) -> list[str]:
    """The addresses of files, relative to the deepest folder that holds all of them."""
    parts = [_plain(address).split("/") for address in files]
    folders = zip(*(part[:-1] for part in parts), strict=False)
    common = len(list(takewhile(lambda names: len(set(names)) == 1, folders)))
    return ["/".join(part[common:]) for part in parts]
