"""Identify files, models and plugins by what they hold: a change counts, a move does not."""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toedit.corpora.remote import is_remote
from toedit.corpora.units import corpus_files
from toedit.plugins import is_plugin, load_plugin
from toedit.redaction import without_credentials
from toedit.user_paths import user_path

MODEL_FILES = (".json", ".safetensors", ".model", ".jinja")

Hashes = dict[str, list[Any]]
"""Size, times of the last change of content and of any change, and SHA-256, by absolute path."""

_READ: Hashes = {}


def file_hash(path: Path, read: Hashes = _READ) -> str:
    """SHA-256 of a file, which is not read if its size and times are those in ``read``.

    So a change goes unnoticed only if it keeps the size and comes within one tick of the file
    system's clock: no program can set the second time.
    """
    state, key = path.stat(), os.path.abspath(path)
    stamp = [state.st_size, state.st_mtime_ns, state.st_ctime_ns]
    if key not in read or read[key][:3] != stamp:
        with path.open("rb") as handle:
            read[key] = [*stamp, hashlib.file_digest(handle, "sha256").hexdigest()]
    return str(read[key][3])


def named_hash(path: Path, read: Hashes = _READ) -> str:
    """A file by name and content, so that moving its folder changes nothing."""
    return f"{path.name}:{file_hash(path, read)[:16]}"


def folder_hash(folder: str | None, read: Hashes = _READ) -> list[str] | None:
    """Files of a folder and of those in it, by name and content; no hidden and no compiled ones."""
    if folder is None:
        return None
    top = Path(folder)
    paths = {path.relative_to(top): path for path in top.rglob("*") if path.is_file()}
    return [
        f"{name.as_posix()}:{file_hash(paths[name], read)[:16]}"
        for name in sorted(paths)
        if not any(part.startswith((".", "__pycache__")) for part in name.parts)
    ]


def content_hash(paths: list[str]) -> list[str]:
    """Files of a corpus by name and content, remote addresses as they are."""
    remote = [path for path in paths if is_remote(path)]
    local = [path for path in paths if path not in remote]
    files = [] if remote and not local else corpus_files(local)
    return [*map(named_hash, files), *map(without_credentials, remote)]


def model_hash(name: str | None, read: Hashes = _READ, weights: bool = True) -> Any:
    """A local folder by the content of its files; a hub id, ``embedded`` or None unchanged."""
    if name is None:
        return None
    folder = Path(user_path(name, "model "))
    if not folder.is_dir():
        return name
    # The vocabulary is read from texts only where there is no tokenizer.json.
    text = () if (folder / "tokenizer.json").is_file() else (".txt",)
    suffixes = {*MODEL_FILES, *text} - (set() if weights else {".safetensors"})
    files = sorted(p for p in folder.iterdir() if p.suffix in suffixes and p.is_file())
    return [named_hash(path, read) for path in files]


def plugin_hash(name: str, role: str, read: Hashes = _READ) -> str:
    """A plugin ``module:Class`` of a role by its name and its module's file; else the name.

    Raises:
        UserError: it cannot be imported, or is no class of this role.
    """
    if not is_plugin(name):
        return name
    load_plugin(name, role)
    file = getattr(sys.modules[name.partition(":")[0]], "__file__", None)
    return f"{name} {named_hash(Path(file), read)}" if file and Path(file).is_file() else name


def differences(before: Mapping[str, Any], after: Mapping[str, Any], absent: str) -> list[str]:
    """Describe the entries that differ: ``key: old -> new``; ``absent`` stands for none."""
    return [
        f"{key}: {before.get(key, absent)} -> {after.get(key, absent)}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]
