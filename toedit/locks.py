"""Locks of the operating system (flock): a process that dies holds nothing.

A forked child shares its parent's lock and would keep it after the parent's death, so children give
up what they inherit. (datatrove forks a helper that outlives a killed driver.)
"""

import errno
import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from toedit.errors import UserError
from toedit.terminal import note

NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP}
"""Error numbers of a file system that has no locks."""

TRIES = 1000
"""To make a folder while others remove it."""

PAUSE = 0.2
"""Seconds between two tries."""


_held: set[IO[str]] = set()


def _give_up_inherited() -> None:
    for handle in _held:
        handle.close()
    _held.clear()


os.register_at_fork(after_in_child=_give_up_inherited)


@contextmanager
def kept_from_children(handle: IO[str]) -> Iterator[None]:
    """While the block runs, a forked child closes its copy of an open lock file."""
    _held.add(handle)
    try:
        yield
    finally:
        _held.discard(handle)


def process() -> str:
    """This process, for people who wait for it."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


@contextmanager
def locked(path: Path, label: str, wait: bool = True) -> Iterator[None]:
    """Holds the lock of a file; says once who has it while waiting.

    Args:
        path: the lock file; made if absent. Only its holder may remove it.
        label: what is locked, for the message.
        wait: until its holder is done; False refuses at once.

    Raises:
        UserError: another process holds the lock, and ``wait`` is False.
    """
    waiting, tries = False, 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = open(path, "a+", opener=_open_no_link)  # noqa: SIM115
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise UserError(
                    f"the lock {str(path)!r} is a link, which is not followed: delete it"
                ) from error
            if not isinstance(error, FileExistsError | FileNotFoundError):
                raise
            tries += 1  # a holder is just removing its folder
            if os.path.lexists(path.parent) and not path.parent.is_dir():
                raise
            if tries == TRIES:  # or nobody can make one here, as in /proc
                raise UserError(
                    f"cannot make the folder {str(path.parent)!r}; choose another path"
                ) from error
            continue
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                owner = handle.read().strip() or "another process"
                if not wait:
                    raise UserError(
                        f"{owner} works on {label}: wait until it is done, or end it"
                    ) from None
                if not waiting:
                    note(f"waiting for {label}: {owner} works on it", logging.WARNING)
                    waiting = True
                time.sleep(PAUSE)
                continue
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                note(
                    f"no locks at {str(path)!r}: let no other process work on {label}",
                    logging.WARNING,
                )
            if not _is_file(handle, path):
                continue
            handle.truncate(0)
            handle.write(process())
            handle.flush()
            with kept_from_children(handle):
                yield
            return


def _is_file(handle: IO[str], path: Path) -> bool:
    """Whether an open file is still the one of this name: a holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock of a file."""
    try:
        handle = path.open("r")
    except FileNotFoundError:
        return False
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
