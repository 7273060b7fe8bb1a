"""A case: files to lay into a folder, and commands that run there."""

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

EDIT, RUN = "toedit.__main__", "experiments.run"
STORE, TABLES = "experiments.store.__main__", "experiments.tables"


@dataclass(frozen=True)
class Command:
    """One run of a command line.

    Attributes:
        arguments: what follows ``python -m MODULE``; ``{cwd}``, ``{outside}`` and ``{home}`` stand
            for folders of the sandbox.
        module: which command line.
        codes: allowed exit codes.
        kill_after: seconds after which it is killed, which is no failure; None for never.
        limit: seconds that it may take.
    """

    arguments: tuple[str, ...]
    module: str = EDIT
    codes: tuple[int, ...] = (0, 2)
    kill_after: float | None = None
    limit: float = 30.0


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True)
class Copy:
    """A copy of a file or a folder that the campaign prepared."""

    source: Path


class Folder:
    """An empty folder."""


class Fifo:
    """A named pipe that nobody writes into."""


class Zeros:
    """A device that never ends: a node of its own where the user may make one, so that a command
    that replaces it harms no machine, else a link."""


Entry = bytes | str | Link | Copy | Folder | Fifo | Zeros | Callable[[Path], None]
"""What lies at a path; a function changes what was laid there before."""


@dataclass(frozen=True)
class Case:
    """An odd input.

    Attributes:
        name: ``KIND-NUMBER``.
        summary: what is odd, for a report.
        commands: they run one after another; the first that misbehaves ends the case.
        files: what lies where, in order; paths are relative to the working folder, ``../outside/``
            leads to a folder that no command may change.
        writable: folders and files, relative to the working folder, that commands may write.
    """

    name: str
    summary: str
    commands: tuple[Command, ...]
    files: list[tuple[str, Entry]] = field(default_factory=list)
    writable: tuple[str, ...] = ("out", "out2")


Generator = Callable[[Random, int, Path], Case]
"""Makes a case of a kind from a random number generator, its number, and the prepared folder."""


def removed(path: Path) -> None:
    """An entry: nothing lies at the path."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def lay(cwd: Path, files: list[tuple[str, Entry]]) -> None:
    """Write the files of a case."""
    for name, entry in files:
        path = cwd / name
        with suppress(FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, str | bytes):
            path.write_bytes(entry.encode() if isinstance(entry, str) else entry)
        elif isinstance(entry, Link):
            path.symlink_to(entry.target)
        elif isinstance(entry, Copy) and entry.source.is_dir():
            shutil.copytree(entry.source, path, symlinks=True, dirs_exist_ok=True)
        elif isinstance(entry, Copy):
            shutil.copy2(entry.source, path)
        elif isinstance(entry, Folder):
            path.mkdir(exist_ok=True)
        elif isinstance(entry, Fifo):
            os.mkfifo(path)
        elif isinstance(entry, Zeros):
            try:
                os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
            except OSError:
                path.symlink_to("/dev/zero")
        else:
            entry(path)
