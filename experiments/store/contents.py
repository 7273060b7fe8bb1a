"""What a result consists of: every file of a stage with its size and hash."""

import hashlib
import os
from pathlib import Path
from typing import Any

from experiments.store.records import RECORD
from toedit.corpora.paths import inside
from toedit.errors import UserError


def inventory(folder: Path, scratch: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file of a stage, which is also forced to the disk.

    Args:
        folder: the stage's folder.
        scratch: names in it that only an unfinished stage needs; left out, as are the record and
            files whose name begins with a dot.

    Returns:
        ``{path in the folder: {"bytes": size, "sha256": hash}}``.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = path.name.startswith(".") or name == Path(RECORD)
        if path.is_file() and not hidden and not any(name.is_relative_to(s) for s in scratch):
            with path.open("rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
                os.fsync(handle.fileno())
            found[str(name)] = {"bytes": path.stat().st_size, "sha256": digest}
    return found


def incomplete(folder: Path, files: dict[str, dict[str, Any]]) -> str | None:
    """The first file of an inventory that is gone or has another size, in words.

    Raises:
        UserError: a link leads out of the folder.
    """
    for name, entry in files.items():
        path = inside(folder, name)
        if not path.is_file():
            return f"{name} is gone"
        if path.stat().st_size != entry["bytes"]:
            return f"{name} has {path.stat().st_size} bytes instead of {entry['bytes']}"
    return None


def altered(folder: Path, files: dict[str, dict[str, Any]]) -> list[str]:
    """Every file of an inventory that is no longer what it was, in words."""
    problems = []
    for name, entry in files.items():
        try:
            problem = incomplete(folder, {name: entry})
        except UserError as error:
            problem = str(error)
        if problem is None:
            with (folder / name).open("rb") as handle:
                if hashlib.file_digest(handle, "sha256").hexdigest() != entry["sha256"]:
                    problem = f"{name} has other content than when it was recorded"
        if problem:
            problems.append(problem)
    return problems
