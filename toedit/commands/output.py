"""The output folder of a command: held by one process, and continued only as what it began."""

import argparse
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from toedit import terminal
from toedit.commands.common import shown_output
from toedit.commands.settings import INPUT, settings_of
from toedit.commands.upload import Upload
from toedit.corpora import SUBMITTED, WORK
from toedit.corpora.files import read_json, remove, write_json
from toedit.corpora.paths import require_closed
from toedit.corpora.prepare import is_hub_id
from toedit.corpora.remote import is_remote
from toedit.corpora.units import corpus_files, manifest_path
from toedit.engines.slurm import require_idle
from toedit.errors import UserError, printable, short, writing_to
from toedit.hub import kept_commits
from toedit.identity import Hashes, differences, file_hash
from toedit.locks import locked

SETTINGS = f"{WORK}/settings.json"
"""What an unfinished output was begun with, and hashes of files that need not be read again."""

COMMITS = f"{WORK}/commits.json"
"""Commits of hub names, at which an unfinished output goes on."""

FORMAT = 2
"""Version of the settings; the first had no hashes."""

LOCK = f"{WORK}/lock"
LOG = f"{WORK}/run.log"
"""What libraries print, until the output is finished."""

SHOWN = 3
"""Differences that an error names."""

TEMPORARY = r"\.[^/]+-\d+\.tmp"
LOCKED = rf"{re.escape(WORK)}/(lock|commits\.json|{TEMPORARY})"
"""Paths in a folder that a process has only locked, and where it looked up commits."""

AT_WORK = rf"{re.escape(WORK)}/(settings\.json|run\.log|\.work|scores|generation-\d+)|{TEMPORARY}"
"""Further paths in an unfinished output."""

FINISHED = f"*/{WORK}/completions/*"
"""Markers of finished units: without any, an output may be begun again with other settings."""

SHARDS = rf"(/(train-\d{{5,}}-of-\d{{5,}}\.parquet|{TEMPORARY}))?"
"""How paths in a folder of results end."""


@contextmanager
def opened_output(
    arguments: argparse.Namespace,
    results: Sequence[str],
    rule: dict[str, Any],
    search: Callable[[], dict[str, Any]] | None = None,
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Hold the output folder for a new or a resumed run; after a good end its work folder goes.

    Args:
        arguments: the options of the command; names of hub models get their commits.
        results: files and folders that the command writes into it; the statistics are last.
        rule: the editing rule that the options amount to, if any.
        search: finds the threshold of the rule, unless the output was begun with one.

    Yields:
        The settings for the statistics, and the identity of the result.

    Raises:
        UserError: another process works on it, it holds a finished output or one with finished
            units of something else (both without --force), or other files, or the output and an
            input lie inside each other.
    """
    output: Path = arguments.output
    label = f"the output {arguments.address or str(output)!r}"
    _require_apart(arguments.inputs, output, arguments.address)
    upload = Upload(arguments.address, results) if arguments.address else None
    if upload:
        upload.check(arguments.force)
        terminal.show(
            f"work files are in {printable(str(output))} until {shown_output(arguments)} has all"
        )
    _require_ours(output, results, _replaceable(arguments))  # before a lock is written into it
    with writing_to(output), locked(output / LOCK, label, wait=False):
        with kept_commits(output / COMMITS, fresh=arguments.force):
            try:
                _require_ours(output, results, _replaceable(arguments))
                settings, read, identity = _begin(arguments, results, rule, search, label)
                if upload:
                    upload.begin(_digest(identity), arguments.force)
            finally:
                if not (output / SETTINGS).exists():
                    shutil.rmtree(output / WORK, ignore_errors=True)
            with terminal.captured(output / LOG):
                yield settings, identity
        for source in settings["inputs"]:
            path = Path(source["file"])
            if "sha256" in source and path.exists() and file_hash(path, read) != source["sha256"]:
                what = f"{str(path)!r} changed while it was read: the output may hold parts of both"
                terminal.note(f"warning: {what}", logging.WARNING)
        if upload:
            upload.send(output, _digest(identity))
            for name in reversed(results):
                remove(output / name)
        shutil.rmtree(output / WORK, ignore_errors=True)
    with suppress(OSError):  # NFS removes the lock, which was open, only now
        (output / WORK).rmdir()
    if upload:
        with suppress(OSError):
            output.rmdir()


def _replaceable(arguments: argparse.Namespace) -> bool:
    """Whether a finished output may be replaced, such as one that was not uploaded in full."""
    begun = arguments.address is not None and (arguments.output / SETTINGS).exists()
    return arguments.force or begun


def _begin(
    arguments: argparse.Namespace,
    results: Sequence[str],
    rule: dict[str, Any],
    search: Callable[[], dict[str, Any]] | None,
    label: str,
) -> tuple[dict[str, Any], Hashes, dict[str, Any]]:
    """Compare with what the output was begun with, or discard it, and note what it is begun with.

    Returns:
        The settings for the statistics, the hashes of files, and the identity.
    """
    output: Path = arguments.output
    known = _known(output / SETTINGS, arguments.force)
    read: Hashes = known["hashes"]
    begun = known["identity"]
    if search is not None and isinstance(begun.get("--threshold"), float):
        rule = {**rule, "threshold": begun["--threshold"]}
    settings, identity = settings_of(arguments, rule, read)
    changed = _changes(begun, identity)
    if changed or arguments.force or arguments.engine != "slurm":
        require_idle((output / WORK).glob(f"*/{SUBMITTED}"), label)
    if changed and not arguments.force and any((output / WORK).glob(FINISHED)):
        more = f"; and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        listed = "; ".join(short(change, 300) for change in changed[:SHOWN])
        what = f"with something else ({listed}{more})"
        if known.get("format") != FORMAT:
            what = "by another version of toedit, which noted no content of inputs and models"
        raise UserError(
            f"{arguments.address or str(output)!r} was begun {what}: go back to that, choose "
            "another folder, or start over with --force"
        )
    if changed and search is not None:
        settings, identity = settings_of(arguments, search(), read)
    if changed or arguments.force:
        _discard(output, results)
    write_json(output / SETTINGS, {"format": FORMAT, "identity": identity, "hashes": read})
    return settings, read, identity


def _digest(identity: dict[str, Any]) -> str:
    return sha256(json.dumps(identity, default=str).encode()).hexdigest()[:16]


def _known(path: Path, force: bool) -> dict[str, Any]:
    """What an output was begun with; nothing if there are no settings.

    Raises:
        UserError: the settings are damaged, unless ``force`` does without them.
    """
    known = {} if force or not path.exists() else read_json(path, dict)
    identity, hashes = known.get("identity", {}), known.get("hashes", {})
    dicts = isinstance(identity, dict) and isinstance(hashes, dict)
    if not dicts or not all(map(_is_hash, hashes.values())):
        raise UserError(f"{str(path)!r} is damaged: start over with --force")
    return {**known, "identity": identity, "hashes": hashes}


def _is_hash(value: Any) -> bool:
    """Whether a value is the size, times and hash of a file."""
    types = [type(item) for item in value] if isinstance(value, list) else []
    return types == [int, int, int, str]


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Describe differences of identities."""
    changed = differences(before, after, "none")
    if not changed and _inputs(before) != _inputs(after):
        changed = ["the order of the inputs"]
    return changed


def _inputs(identity: dict[str, Any]) -> list[str]:
    return [key for key in identity if key.startswith(INPUT)]


def _require_apart(inputs: Sequence[str], output: Path, address: str | None) -> None:
    """Raise a UserError if the output and an input lie inside each other."""
    for name in inputs if address else ():
        top, own = name.partition("**")[0].rstrip("/"), f"{address}/"
        if own.startswith(f"{top}/"):
            raise UserError(f"the output {address!r} lies inside the input {name!r}")
        if top.startswith(own):
            raise UserError(f"input {name!r} lies inside the output {address!r}")
    local = [name for name in inputs if not is_hub_id(name) and not is_remote(name)]
    for name in local:
        if Path(name).resolve() in output.resolve().parents:
            raise UserError(f"the output {str(output)!r} lies inside the input {name!r}")
    for path in corpus_files(local) if local else ():
        if output.resolve() in path.resolve().parents:
            raise UserError(f"input {str(path)!r} lies inside the output {str(output)!r}")


def _require_ours(output: Path, results: Sequence[str], force: bool) -> None:
    """Raise a UserError if the folder holds a finished output or other files.

    An unfinished output is known by what its settings hold, a finished one by what its statistics
    hold; names alone do not count. With ``force`` no other file may lie in it. Links that lead out
    of what is written to are never followed.
    """
    for name in (WORK, *results):
        require_closed(output / name, output)
    inside = [path for path in output.glob("*") if path.name != WORK or not path.is_dir()]
    paths = [p.relative_to(output).as_posix() for p in (*inside, *output.glob("*/*"))]
    # After the list: another process may be at work, and ends by removing the settings.
    begun, finished = _lists_inputs(output / SETTINGS), _lists_inputs(output / results[-1])
    if finished and not force:
        raise UserError(f"{str(output)!r} holds a finished output; --force replaces it")
    if begun and not force:
        return
    names = rf"{LOCKED}|{AT_WORK}|({'|'.join(map(re.escape, results))}){SHARDS}"
    known = re.compile(names if begun or finished else LOCKED)
    foreign = next((path for path in sorted(paths) if not known.fullmatch(path)), None)
    if foreign is not None and (begun or finished):
        raise UserError(
            f"{str(output)!r} holds {foreign!r}, which is not of this command, so nothing is "
            "replaced; move it or choose another folder"
        )
    if foreign is not None:
        raise UserError(
            f"{str(output)!r} is not empty and no output of this command (it holds {foreign!r}); "
            "choose another folder"
        )


def _lists_inputs(path: Path) -> bool:
    """Whether a file is JSON of this package: settings or statistics that list the inputs."""
    try:
        value = read_json(path)
    except (FileNotFoundError, NotADirectoryError, UserError):
        return False
    inner = value.get("settings", value) if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        return False
    return isinstance(inner.get("inputs"), list) or isinstance(inner.get("identity"), dict)


def _discard(output: Path, results: Sequence[str]) -> None:
    """Remove what this command wrote, except lock and settings.

    The manifest goes first: without it nothing is begun, whatever a kill may leave here.
    """
    _require_ours(output, results, force=True)
    manifest_path(output / WORK).unlink(missing_ok=True)
    if not (output / SETTINGS).exists():
        write_json(output / SETTINGS, {"format": FORMAT, "identity": {}})
    for name in reversed(results):
        remove(output / name)
    for path in (output / WORK).iterdir():
        if str(path.relative_to(output)) not in (LOCK, SETTINGS, COMMITS):
            remove(path)
