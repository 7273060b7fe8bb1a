"""Names and links in a folder that may come from somebody else: none may lead out of it."""

import os
from pathlib import Path
from typing import Any

from toedit.errors import UserError

LONGEST_PART, LONGEST = 255, 1024
"""Bytes of a file name, and of a relative path."""


def is_relative(name: Any) -> bool:
    """Whether a value is a path below a folder, without empty parts, ``.`` and ``..``."""
    if not isinstance(name, str) or "\0" in name:
        return False
    try:
        parts = name.encode().split(b"/")
    except UnicodeEncodeError:
        return False
    short = sum(map(len, parts)) < LONGEST and all(len(part) <= LONGEST_PART for part in parts)
    return short and not {b"", b".", b".."} & set(parts)


def inside(folder: Path, name: str) -> Path:
    """The path of ``name`` in a folder, which may itself be reached through links.

    Raises:
        UserError: the name, or a link, leads out of the folder.
    """
    if not is_relative(name):
        raise UserError(f"{str(name)[:80]!r} is no path inside {str(folder)!r}", folder)
    path = folder / name
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise _leads_out(path, folder)
    return path


def removable(folder: Path, name: str) -> Path:
    """The path of ``name`` in a folder, for what is going to be removed: behind no link at all.

    Raises:
        UserError: the name, or a link, leads out of the folder or elsewhere in it.
    """
    path = inside(folder, name)
    above = os.path.join(os.path.realpath(folder), os.path.dirname(name)).rstrip("/")
    if os.path.realpath(path.parent) != above:
        raise _leads_out(path, path.parent)
    return path


def require_closed(folder: Path, of: Path | None = None) -> None:
    """Raise a UserError if a folder, or anything in it, is a link that leads out.

    Args:
        folder: searched; it need not exist.
        of: what links may not lead out of; ``folder`` by default.
    """
    of = folder if of is None else of
    top = os.path.realpath(of)
    links = [folder] if of != folder else []
    for parent, folders, files in os.walk(folder):
        links += [p for n in (*folders, *files) if (p := Path(parent, n)).is_symlink()]
    for link in links:
        if not Path(os.path.realpath(link)).is_relative_to(top):
            raise _leads_out(link, of)


def _leads_out(path: Path, folder: Path) -> UserError:
    return UserError(
        f"{str(path)!r} is or lies behind a link that leads out of {str(folder)!r}, which is not "
        "followed: remove the link, or put what it names in its place",
        path,
    )
