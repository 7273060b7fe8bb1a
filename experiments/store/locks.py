"""Locks of the operating system (flock): a process that dies holds nothing.

A forked child shares its parent's lock and would keep it after the parent's death, so children give
up what they inherit. (datatrove forks a helper that outlives a killed driver.)
"""

import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

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


@contextmanager
def locked(path: Path, label: str) -> Iterator[None]:
    """Holds the lock of a file; says once who has it while waiting.

    Args:
        path: the lock file; made if absent, never removed.
        label: what is locked, for the message.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        waiting = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    owner = path.read_text().strip() or "another process"
                    print(f"waiting for {label}: {owner} works on it", file=sys.stderr, flush=True)
                    waiting = True
                time.sleep(PAUSE)
        handle.truncate(0)
        handle.write(process())
        handle.flush()
        with kept_from_children(handle):
            yield


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
