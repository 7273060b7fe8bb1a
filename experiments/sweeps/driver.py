"""The command that begins a sweep: it gives the jobs to a launcher of Hydra and waits for them."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from experiments import CONF
from experiments.config import Config
from experiments.config.compose import quoted, values_of
from experiments.config.explain import explain
from experiments.stage import digest
from experiments.sweeps.job import ARRAYS, STATUS_FILE, SUMMARY, at_work
from toedit.corpora.files import atomic_path, remove
from toedit.corpora.paths import require_closed
from toedit.errors import UserError, short
from toedit.locks import locked
from toedit.redaction import published
from toedit.user_paths import local_path

SKIP = ("hydra/launcher", "hydra.launcher", "hydra.sweep", "tracker", "store=", "dry_run=", "-m",
        "--multirun")  # fmt: skip
"""Prefixes of arguments that do not identify a sweep."""

JOB_MEMORY_GB = 6.0
"""Peak memory of a job at the embedded scale (docs/training.md), rounded up."""


def is_multirun(words: Sequence[str]) -> bool:
    """Whether a command line is for several runs."""
    if "hydra.mode=RUN" in words:
        return False
    named = any(word.startswith(("+sweep=", "++sweep=")) for word in words)
    return named or bool({"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(words))


def is_search(words: Sequence[str]) -> bool:
    """Whether Optuna chooses the jobs, and several commands may share them."""
    values = values_of(words)
    path = CONF / "sweep" / f"{values.get('sweep')}.yaml"
    defaults = yaml.safe_load(path.read_text()).get("defaults", []) if path.is_file() else []
    return {"override /hydra/sweeper": "optuna"} in defaults or (
        values.get("hydra/sweeper") == "optuna"
    )


@contextmanager
def sweep_dir(words: Sequence[str]) -> Iterator[Path]:
    """Lock the folder of a sweep for one process, but for a search, whose trials have locks; give a
    dry run a temporary folder instead."""
    folder = folder_of(words)
    if str(values_of(words).get("dry_run")).lower() in ("true", "yes", "on", "y", "1"):
        with TemporaryDirectory() as temporary:
            yield Path(temporary, folder.name)
    elif is_search(words):
        require_closed(folder, folder.parents[1])
        yield folder
    else:
        require_closed(folder, folder.parents[1])
        with locked(folder / "lock", f"the sweep {folder.name}"):
            try:
                yield folder
            finally:
                _publish_plan(folder / "multirun.yaml")


def _publish_plan(plan: Path) -> None:
    """Remove secrets and homes from what Hydra notes: the command, and the folders it read."""
    if not plan.is_file():
        return
    try:
        with atomic_path(plan) as temporary:
            temporary.write_text(published(plan.read_text()))
    except OSError:  # as on a full disk; a run of the sweep writes it again
        plan.unlink()


def folder_of(words: Sequence[str]) -> Path:
    """Folder of a sweep, the same for every launcher and tracker."""
    values = values_of(words)
    fingerprint = digest([word for word in words if not word.startswith(SKIP)])[:8]
    experiment = str(values.get("exp", "")).replace("/", "-").replace(",", "+")
    parts = [experiment, str(values.get("sweep", "sweep")), fingerprint]
    store = local_path(str(values.get("store", Config.store)), "store=")
    return Path(store, "sweeps", "-".join(filter(None, parts)))


def run_sweep(words: Sequence[str], folder: Path, launch: Callable[[list[str]], None]) -> bool:
    """Run a sweep and wait for its end.

    Args:
        words: the command line.
        folder: of the sweep.
        launch: passes a command line to Hydra, which runs the jobs.

    Returns:
        Whether the launcher finished, even if single jobs failed.

    Raises:
        UserError: the launcher cannot begin any job.
        Exception: the configuration cannot be composed.
    """
    remove(folder / SUMMARY)  # of an earlier attempt
    more = [f"hydra.sweep.dir={quoted(str(folder))}"]
    if "hydra/launcher=joblib" in words and not any("launcher.n_jobs=" in word for word in words):
        more.append(f"hydra.launcher.n_jobs={workers()}")
    if is_search(words):
        if find_spec("hydra_plugins.hydra_optuna_sweeper") is not None:
            raise UserError(
                "hydra-optuna-sweeper takes the place of the sweeper of this project: "
                "pip uninstall hydra-optuna-sweeper"
            )
    elif not at_work(folder):
        for path in [*folder.glob(f"*/{STATUS_FILE}"), *folder.glob(ARRAYS)]:
            remove(path if path.parent == folder else path.parent)
    logging.getLogger("hydra_plugins").setLevel(logging.CRITICAL)  # the summary reports it
    try:
        launch([*words, *more])
    except Exception as error:
        line = short(error, 200)
        if isinstance(error, UserError):
            raise
        if not any(folder.glob(f"*/{STATUS_FILE}")):
            if explain(error) is not None:
                raise
            raise UserError(f"the launcher cannot begin: {line}") from error
        print(f"the sweep was cut short: {type(error).__name__}: {line}", file=sys.stderr)
        return False
    return True


def workers() -> int:
    """Number of parallel jobs that processors and free memory allow; prints the reason."""
    import psutil

    cores, free = len(os.sched_getaffinity(0)), psutil.virtual_memory().available / 1e9
    number = max(1, min(cores, int(free / JOB_MEMORY_GB)))
    print(
        f"joblib: {number} jobs at a time ({cores} cores, {free:.0f} GB free, {JOB_MEMORY_GB:g} GB "
        "a job); hydra.launcher.n_jobs=N takes another number",
        file=sys.stderr,
    )
    return number
