"""Paths as users write them: ``~`` is the home folder wherever a path is taken, and a name that no
file can have is refused."""

import errno
import os
import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable
from pathlib import Path

from toedit.errors import UserError

LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Bytes of a file name and of a path on Linux."""


ADDRESS = re.compile(r"(?:\w[\w+.-]*://|(?:s3a?|gs|gcs|hf|https?):/)")
"""How addresses begin; Path takes a slash away."""


def user_path(name: str | Path, field: str = "the path ") -> str:
    """A path, or the name of a model or data set, with the home folder for a leading ``~``.

    ``field`` begins the message of an error.

    Raises:
        UserError: it is empty, no text, too long, or leads through links that form a circle.
    """
    path = os.path.expanduser(str(name))
    problem = _problem(path)
    if problem:
        shown = repr(path if len(path) <= 60 else f"{path[:30]}...{path[-20:]}")
        raise UserError(f"{field}{shown} {problem}")
    return path


def local_path(name: str | Path, field: str = "the path ") -> str:
    """:func:`user_path` of what must be a folder or file of this machine.

    Raises:
        UserError: it is an address, also one with a slash too few, or no path.
    """
    if ADDRESS.match(str(name)):
        raise UserError(
            f"{field}{str(name)!r} is an address, which cannot be used here: name a path of this "
            "machine or of a shared file system"
        )
    return user_path(name, field)


def _problem(path: str) -> str | None:
    if not path:
        return "is empty; leave it out or name something"
    if "\0" in path:
        return "holds the character NUL, which no name may"
    try:
        parts = path.encode().split(b"/")
    except UnicodeEncodeError:
        return "is not valid UTF-8; rename it"
    if ADDRESS.match(path):
        return None
    if (longest := max(map(len, parts))) > LONGEST_NAME:
        return f"has a name of {longest} bytes; file systems hold at most {LONGEST_NAME}"
    if len(path.encode()) > LONGEST_PATH:
        return f"is longer than {LONGEST_PATH} bytes"
    try:
        os.stat(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "leads through links that form a circle"
        for part in (path, *map(str, Path(path).parents)):
            if error.errno == errno.ENOENT and os.path.islink(part) and not os.path.exists(part):
                return f"leads through a link to {os.readlink(part)!r}, which is not there"
    return None


def require_text(words: Iterable[str]) -> None:
    """Raise a :class:`UserError` if a word of a command line is not valid UTF-8, which no record
    could hold."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{word[:60]!r} is not valid UTF-8; rename it") from error


def path_option(text: str) -> Path:
    """:func:`local_path` as the type of an option, which argparse names in its error."""
    return Path(name_option(text, local_path))


def name_option(text: str, check: Callable[[str, str], str] = user_path) -> str:
    """The same for the name of a model or data set, an address, or a path."""
    try:
        return check(text, "")
    except UserError as error:
        raise ArgumentTypeError(str(error)) from error
