"""The command that begins a sweep: a launcher of Hydra gets its jobs, and it waits for them."""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.config import Config
from experiments.config.compose import explain
from experiments.stage import digest
from experiments.store.locks import locked
from experiments.sweeps.job import NOTE
from toedit.errors import UserError

ASIDE = ("hydra/launcher", "hydra.launcher", "hydra.sweep", "tracker", "store=", "-m", "--multirun")
"""Beginnings of arguments that make no other sweep of it."""

JOB_MEMORY_GB = 6.0
"""What a job at the embedded scale takes at most (docs/training.md), rounded up."""


def is_multirun(words: Sequence[str]) -> bool:
    """Whether a command line is for several runs."""
    named = any(word.startswith("+sweep=") for word in words)
    return named or bool({"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(words))


@contextmanager
def sweep_dir(words: Sequence[str]) -> Iterator[Path]:
    """The folder of a sweep's notes, for one process at a time; a dry sweep leaves none behind."""
    if {"dry_run=true", "dry_run=True"} & set(words):
        with TemporaryDirectory() as moment:
            yield Path(moment) / folder_of(words).name
        return
    folder = folder_of(words)
    with locked(folder / "lock", f"the sweep {folder.name}"):
        yield folder


def folder_of(words: Sequence[str]) -> Path:
    """Where the notes of a sweep are: the same for the same sweep, whatever runs its jobs."""
    given = dict(word.lstrip("+").partition("=")[::2] for word in words)
    own = digest([word for word in words if not word.startswith(ASIDE)])[:8]
    names = [given.get("exp", "").replace("/", "-").replace(",", "+"), given.get("sweep", "sweep")]
    return Path(given.get("store", Config.store), "sweeps", "-".join([*filter(None, names), own]))


def run_sweep(words: Sequence[str], folder: Path, launch: Callable[[list[str]], None]) -> bool:
    """Begins a sweep and waits for its end.

    Args:
        words: the command line.
        folder: of the sweep.
        launch: hands further arguments to Hydra, which runs the jobs.

    Returns:
        Whether the launcher came to its end, however single jobs ended.

    Raises:
        UserError: the launcher cannot begin any job.
        Exception: the configuration cannot be composed.
    """
    more = [f"hydra.sweep.dir='{folder}'"]
    if "hydra/launcher=joblib" in words and not any("launcher.n_jobs=" in word for word in words):
        more.append(f"hydra.launcher.n_jobs={workers()}")
    for path in folder.glob(f"*/{NOTE}"):
        shutil.rmtree(path.parent)
    logging.getLogger("hydra_plugins").setLevel(logging.CRITICAL)  # the summary tells it all
    try:
        launch(more)
    except Exception as error:
        line = " ".join(str(error).split())[:200]
        if not any(folder.glob(f"*/{NOTE}")):
            if explain(error) is not None:
                raise
            raise UserError(f"the launcher cannot begin: {line}") from error
        print(f"the sweep was cut short: {type(error).__name__}: {line}", file=sys.stderr)
        return False
    return True


def workers() -> int:
    """Jobs at a time that processors and free memory allow; says which it was."""
    import psutil

    cores, free = len(os.sched_getaffinity(0)), psutil.virtual_memory().available / 1e9
    number = max(1, min(cores, int(free / JOB_MEMORY_GB)))
    print(
        f"joblib: {number} jobs at a time ({cores} cores, {free:.0f} GB free, {JOB_MEMORY_GB:g} GB "
        "a job); hydra.launcher.n_jobs=N takes another number",
        file=sys.stderr,
    )
    return number
