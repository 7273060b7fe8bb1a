"""Use a cached folder only as it was made: nobody else can have written it, and its hashes fit.

Sizes, times and hashes are recorded in the folder when it is made. A file is read again only if its
size or times differ from the recorded ones. A folder that an earlier version made without hashes is
recorded when it is first used.
"""

import grp
import hashlib
import json
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from toedit.errors import UserError

HASHES = ".hashes.json"

Stamp = tuple[int, int, int]
"""Size, and times of the last change of content and of any change; no program sets the latter."""


def seal(folder: Path) -> None:
    """Record the files of a folder that was just made, and let only its owner change them."""
    for path in (folder, *folder.rglob("*")):
        with suppress(OSError):  # some file systems have no permissions
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o022)
    stamps = {name: stamp for name, state in _walk(folder) if (stamp := _stamp(state))}
    _record(folder, stamps, {name: _hash(folder / name) for name in stamps})


def require_intact(folder: Path, way_out: str) -> None:
    """Check owner, permissions and files of a folder in a cache.

    Args:
        folder: what :func:`seal` was called for, or what an earlier version made.
        way_out: what the user may do instead of deleting it.

    Raises:
        UserError: another user may have written it, or it does not hold what was recorded.
    """
    above = Path(os.path.realpath(folder.parent))
    _require_private(above, above.stat(), way_out, sticky=True)
    _require_private(folder, folder.lstat(), f"delete it, or {way_out}")
    way_out = f"delete {str(folder)!r} to make it anew, or {way_out}"
    stamps: dict[str, Stamp] = {}
    for name, state in _walk(folder):
        _require_private(f"{folder}/{name}", state, way_out)
        if name != HASHES and (stamp := _stamp(state)):
            stamps[name] = stamp
    if not (folder / HASHES).exists():
        return _record(folder, stamps, {name: _hash(folder / name) for name in stamps})
    try:
        known = json.loads((folder / HASHES).read_bytes())
        recorded = {name: (tuple(stamp), digest) for name, (*stamp, digest) in known.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{str(folder / HASHES)!r} is damaged: {way_out}", folder) from error
    added = [name for name in stamps if name not in recorded and Path(name).name[0] != "."]
    gone = [name for name in recorded if name not in stamps]
    changed = [name for name, (stamp, _) in recorded.items() if stamps.get(name, stamp) != stamp]
    other = [name for name in changed if _hash(folder / name) != recorded[name][1]]
    for names, what in ((gone, "is gone"), (added, "was added"), (other, "was changed")):
        if names:
            name = str(folder / names[0])
            raise UserError(f"{name!r} {what} since it was made: {way_out}", folder)
    if changed:  # it was copied
        _record(folder, stamps, {name: digest for name, (_, digest) in recorded.items()})
    return None


def _walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Files and folders below a folder with their state, links as such."""
    remaining, above = [str(folder)], len(str(folder)) + 1
    while remaining:
        with os.scandir(remaining.pop()) as entries:
            for entry in entries:
                yield entry.path[above:], entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    remaining.append(entry.path)


def _stamp(state: os.stat_result) -> Stamp | None:
    """The stamp of a file; None for a folder."""
    if stat.S_ISDIR(state.st_mode):
        return None
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _hash(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _record(folder: Path, stamps: dict[str, Stamp], hashes: dict[str, str]) -> None:
    """Write the hashes; not where the cache cannot be written, which then is read every time."""
    from toedit.corpora.files import write_json

    known = {name: [*stamps[name], hashes[name]] for name in sorted(hashes)}
    with suppress(OSError):
        write_json(folder / HASHES, known, indent=None)
        (folder / HASHES).chmod(0o644)


def _require_private(
    path: str | Path, state: os.stat_result, way_out: str, sticky: bool = False
) -> None:
    """Raise a :class:`UserError` if a user besides this one and root can write something.

    A ``sticky`` folder such as /tmp may be open: nobody can replace what another user has in it.
    """
    problem, mode = None, state.st_mode
    if stat.S_ISLNK(mode) or not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        problem = "is a link" if stat.S_ISLNK(mode) else "is no file"
    elif state.st_uid not in (os.geteuid(), 0):
        problem = f"belongs to {_user(state.st_uid)}, not to you"
    elif sticky and mode & stat.S_ISVTX:
        problem = None
    elif mode & stat.S_IWOTH:
        problem = "can be written by every user (chmod -R go-w)"
    elif mode & stat.S_IWGRP and not _own_group(state.st_gid):
        problem = "can be written by a group (chmod -R g-w)"
    if problem:
        raise UserError(f"{str(path)!r} {problem}, so what it holds is not used: {way_out}", path)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _own_group(gid: int) -> bool:
    """Whether a group is that of root, or of this user alone, as many systems make one each."""
    if gid == 0:
        return True
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
