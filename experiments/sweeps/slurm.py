"""Hydra's launcher for Slurm: a job of a sweep is the command of one run, as a task of an array.

The command that begins the sweep waits. A job's own status file and squeue say when it has ended,
so no accounting is needed. If the waiting command is ended, the array goes on, and the same command
waits for it again: files in the folder of the sweep name the arrays. Jobs that have nothing to
compute run in the process that waits.
"""

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from experiments.config.compose import job_config, quoted
from experiments.plans import plan
from experiments.rehearsal import rehearse
from experiments.store import Store
from experiments.sweeps.job import (
    ARRAYS,
    LOG_FILE,
    STATUS_FILE,
    State,
    at_work,
    read_status,
    write_status,
)
from experiments.sweeps.job import JobStatus as Status
from experiments.sweeps.slurm_script import PLUGIN, SlurmLauncherConfig, array_script
from toedit.corpora.files import read_json, remove, write_json
from toedit.engines.slurm import array_size, find, last_line, require_slurm, submit
from toedit.errors import UserError

NAMES = ("slurm", "submitit_slurm")
"""Names of the launcher; the second is that of the plugin whose options it takes."""

UNFINISHED = {State.RUNNING, State.INTERRUPTED, State.WAITING}
"""States of jobs that may run again: Slurm interrupts one before it queues it again."""

POLL = 5.0
"""Seconds between two looks at the queue."""

DRIVER_ONLY = ("hydra/launcher", "hydra.launcher", "hydra.sweep.", "hydra.mode")
"""Overrides that a single run does not take."""


class SlurmLauncher(Launcher):
    """Submits the jobs of a sweep as an array and waits for their end."""

    __module__ = PLUGIN

    def __init__(self, **params: Any) -> None:
        self.given = {name: _plain(value) for name, value in params.items()}

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        """Keep what Hydra hands to a launcher."""
        self.config, self.loader = config, hydra_context.config_loader
        self.here = BasicLauncher()
        self.here.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run jobs; each result has the value of the objective."""
        jobs = {_number(words, number): list(words)
                for number, words in enumerate(job_overrides, initial_job_idx)}  # fmt: skip
        folder = Path(str(self.config.hydra.sweep.dir)).resolve()
        arrays = _running_arrays(folder, jobs)
        running = {number for numbers in arrays.values() for number in numbers}
        done, queue = {}, []
        for number, overrides in jobs.items():
            if number not in running and self._needs_no_job(overrides):
                (done[number],) = self.here.launch([overrides], number)
            elif number not in running:
                queue.append(number)
        if queue:
            arrays |= self._submit(folder, {number: jobs[number] for number in queue})
        if arrays:
            _wait(folder, arrays, jobs)
        return [done.get(number) or _job_return(folder, number, jobs[number]) for number in jobs]

    def _needs_no_job(self, overrides: list[str]) -> bool:
        """Whether a job has nothing to compute; one that cannot begin says so here, too."""
        try:
            config = job_config(self.loader.load_sweep_config(self.config, overrides))
            config = rehearse(config) if config.rehearse else config
            if config.dry_run:
                return True
            store = Store(config.store)
            return all(store.record(stage) is not None for stage in plan(config))
        except Exception:
            return True

    def _submit(self, folder: Path, jobs: dict[int, list[str]]) -> dict[str, list[int]]:
        """Submit jobs as one array, or as several where it would be too large."""
        require_slurm("hydra/launcher=slurm", "hydra/launcher=joblib")
        given = get_args_parser().parse_args(sys.argv[1:])
        places = {"--config-path": given.config_path, "--config-name": given.config_name,
                  "--config-dir": given.config_dir}  # fmt: skip
        shared = [word for name, value in places.items() if value for word in (name, value)]
        hydra = [word for word in self.config.hydra.overrides.hydra
                 if not word.lstrip("+~").startswith(DRIVER_ONLY)]  # fmt: skip
        for number, overrides in jobs.items():
            own = folder / str(number)
            remove(own)
            own.mkdir(parents=True)
            single = ["hydra.mode=RUN", f"hydra.run.dir={quoted(str(own))}",
                      f"hydra.job.num={number}"]  # fmt: skip
            words = [*shared, *overrides, *hydra, *single]
            (own / "arguments").write_text("\0".join(words))
        arrays, numbers, size = {}, list(jobs), array_size()
        command = shlex.join([sys.executable, "-m", "experiments.run"])
        for start in range(0, len(numbers), size):
            part = numbers[start : start + size]
            script = folder / "slurm.sbatch"
            script.write_text(array_script(folder, part, self.given, command))
            array = submit(script)
            arrays[array] = part
            write_json(folder / ARRAYS.replace("*", array), {
                "id": array, "log": f"{folder}/*/{LOG_FILE}",
                "jobs": {str(number): jobs[number] for number in part},
            })  # fmt: skip
        return arrays


def _plain(value: Any) -> Any:
    """A list or mapping of OmegaConf as one of Python."""
    if hasattr(value, "items"):
        return dict(value.items())
    return value if value is None or isinstance(value, str | int | float) else list(value)


def _number(overrides: Sequence[str], number: int) -> int:
    """Number of a job, whose folder a sampler may name."""
    own = [word.partition("=")[2] for word in overrides if word.startswith("hydra.sweep.subdir=")]
    return int(own[0]) if own else number


def _running_arrays(folder: Path, jobs: dict[int, list[str]]) -> dict[str, list[int]]:
    """Numbers by array, of arrays that run some of these jobs."""
    return {
        array: [number for number, words in its.items() if jobs.get(number) == words]
        for array, its in at_work(folder).items()
        if any(jobs.get(number) == words for number, words in its.items())
    }


def _status(folder: Path, number: int) -> Status | None:
    path = folder / str(number) / STATUS_FILE
    return read_status(path) if path.exists() else None


def _has_ended(folder: Path, number: int) -> bool:
    status = _status(folder, number)
    return status is not None and status.state not in UNFINISHED


def _wait(folder: Path, arrays: dict[str, list[int]], jobs: dict[int, list[str]]) -> None:
    """Wait for jobs, and note how those ended that could not do so themselves.

    Raises:
        UserError: Slurm gives no answer, or jobs request what cannot be had.
    """
    said, left = "", dict(arrays)
    while left:
        left = {array: numbers for array, numbers in left.items()
                if not all(_has_ended(folder, number) for number in numbers)}  # fmt: skip
        found = [job for job in map(find, left) if job.unfinished]
        left = {job.number: left[job.number] for job in found}
        line = "; ".join(f"{job}, logs {folder}/*/{LOG_FILE}; {job.advice}" for job in found)
        if found and all(job.impossible for job in found):
            raise UserError(line)
        if line != said:
            print(line, file=sys.stderr, flush=True)
            said = line
        if left:
            time.sleep(POLL)
    for array, numbers in arrays.items():
        for task, number in enumerate(_numbers(folder, array)):
            if number in numbers and not _has_ended(folder, number):
                own = folder / str(number)
                log = own / LOG_FILE
                end = last_line([folder / f"slurm-{array}_{task}.out", log])
                reason = f"{find(f'{array}_{task}')}, ended without a result: {end}"
                status = Status(number, jobs[number], State.LOST, reason=reason, log=str(log))
                write_status(own, status)


def _numbers(folder: Path, array: str) -> list[int]:
    """Numbers of the jobs of an array, by task."""
    return [int(n) for n in read_json(folder / ARRAYS.replace("*", array), dict)["jobs"]]


def _job_return(folder: Path, number: int, overrides: list[str]) -> JobReturn:
    """The end of a job as Hydra's samplers take it; None is the value of one that failed."""
    status, result = _status(folder, number), JobReturn()
    result.overrides, result.status = overrides, JobStatus.COMPLETED
    result.return_value = status.value if status is not None else None
    return result


def register() -> None:
    """Make the launcher known to Hydra, after plugins that have one of its name."""
    Plugins.instance().register(SlurmLauncher)
    sys.modules.setdefault("hydra_plugins", ModuleType("hydra_plugins"))  # if there is no other
    sys.modules[PLUGIN] = sys.modules[__name__]
    for name in NAMES:
        ConfigStore.instance().store(
            group="hydra/launcher", name=name, node=SlurmLauncherConfig, provider="toedit"
        )
