"""One job of a sweep and its status file, in any process that a launcher uses."""

import math
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments import provenance
from experiments.config import Config
from experiments.config.compose import SweepJob
from experiments.stage import Stage
from toedit.corpora.files import damaged_as, read_json, write_json
from toedit.engines.slurm import find, job_of
from toedit.errors import Submitted, UserError, environment_problem, suggest
from toedit.redaction import published, without_secrets

STATUS_FILE, LOG_FILE = "job.json", "job.log"
ARRAYS = "slurm-*.json"
"""Files in the folder of a sweep, each with the id of an array of Slurm and its jobs."""


class State(StrEnum):
    """State of a job, in the order in which the summary counts them."""

    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
    LOST = "lost"
    INTERRUPTED = "interrupted"
    SUBMITTED = "submitted"
    WAITING = "not begun"
    PLANNED = "planned"
    RUNNING = "running"


@dataclass
class JobStatus:
    """Status of a job, as :data:`STATUS_FILE` has it.

    Attributes:
        number: of the job, from 0.
        overrides: its command-line overrides.
        state: a :class:`State`.
        seconds: duration.
        reason: why it failed.
        log: file with its output or traceback; empty for none.
        report: folder of its report.
        experiment: its name.
        objective: metric that a search optimizes.
        maximise: whether the metric is to be large.
        value: of the metric.
        tracker: configuration of its tracker.
    """

    number: int
    overrides: list[str]
    state: str = State.RUNNING
    seconds: float = 0.0
    reason: str = ""
    log: str = ""
    report: str = ""
    experiment: str = ""
    objective: str | None = None
    maximise: bool = False
    value: float | None = None
    tracker: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        """Values of the overrides by field."""
        return dict(override.lstrip("+").partition("=")[::2] for override in self.overrides)


def at_work(folder: Path) -> dict[str, dict[int, list[str]]]:
    """Overrides by array and number of the jobs of a sweep's arrays that are queued or running.

    Raises:
        UserError: Slurm gives no answer.
    """
    found = {}
    for path in folder.glob(ARRAYS):
        mark = read_json(path, dict)
        if find(job_of(path)).unfinished:
            found[str(mark["id"])] = {int(n): words for n, words in mark["jobs"].items()}
    return found


def job_statuses(folder: Path, expected: Sequence[Sequence[str]] | None = None) -> list[JobStatus]:
    """Statuses of the jobs of a sweep that has ended, by number.

    Args:
        folder: of the sweep.
        expected: overrides of every job, where known, to include jobs that did not begin.
    """
    statuses = [read_status(path) for path in folder.glob(f"*/{STATUS_FILE}")]
    begun = {status.number for status in statuses}
    for number, overrides in enumerate(expected or ()):
        if number not in begun:
            statuses.append(JobStatus(number, list(overrides), State.WAITING))
    marks = [read_json(path, dict) for path in folder.glob(ARRAYS)]
    arrays = {int(number): mark["id"] for mark in marks for number in mark["jobs"]}
    for status in statuses:
        if status.state in (State.RUNNING, State.WAITING) and status.number in arrays:
            status.state, array = State.RUNNING, arrays[status.number]
            status.reason = (
                f"Slurm job {array}; the same command waits for it, scancel {array} ends it"
            )
        elif status.state == State.RUNNING:  # it wrote no end
            status.state = State.LOST
            status.reason = "its process was killed or lost, or the memory ran out"
            log = folder / str(status.number) / LOG_FILE
            status.log = str(log) if log.exists() else ""
    return sorted(statuses, key=lambda status: status.number)


def read_status(path: Path) -> JobStatus:
    """Read a status file."""
    values = read_json(path, dict)
    with damaged_as(path):
        status = JobStatus(**values)
        texts = (*status.overrides, status.reason, status.log, status.report, status.experiment,
                 status.objective or "", State(status.state))  # fmt: skip
        numbers = (status.number, status.seconds, status.value or 0.0)
        if not all(isinstance(text, str) for text in texts) or not isinstance(status.tracker, dict):
            raise TypeError("wrong types")
        if not all(isinstance(number, int | float) for number in numbers):
            raise TypeError("wrong types")
    return status


@dataclass
class Finished:
    """A completed run: its records by ``kind/name``, the folder of its report, and whether every
    stage already had a record."""

    config: Config
    stages: list[Stage]
    records: dict[str, dict[str, Any]]
    report: Path
    cached: bool


def run_job(job: SweepJob, run: Callable[[], Finished | None]) -> float | None:
    """Run one job and write its status; its errors are recorded, not raised.

    Args:
        job: the job.
        run: does the work; returns None for a dry run.

    Returns:
        The value of the objective, for a sampler; None where there is none or the job failed.
    """
    log = job.folder / LOG_FILE
    status = JobStatus(job.number, job.overrides, maximise=job.maximise)
    provenance.set_command(["run.py", *job.overrides])
    started = time.monotonic()
    write_status(job.folder, status)
    try:
        with _output(job):
            finished = run()
        if finished is None:
            status.state, status.value = State.PLANNED, 0.0  # samplers need a number here, too
        else:
            status.state = State.CACHED if finished.cached else State.DONE
            status.report, config = str(finished.report), finished.config
            status.experiment, status.tracker = config.name, asdict(config.tracker)
            if config.objective is not None:
                status.objective = config.objective
                status.value = objective_value(config.objective, finished.stages, finished.records)
    except Submitted as submitted:
        status.state, status.reason = State.SUBMITTED, str(submitted)
    except Exception as error:
        status.state = State.FAILED
        line = str(error) if isinstance(error, UserError) else environment_problem(error)
        status.reason = " ".join((line or f"{type(error).__name__}: {error}").split())
        if line is None:  # a bug, or a full memory
            with suppress(OSError), log.open("a") as file:
                file.write(published(traceback.format_exc()))
        print(f"error: job {job.number}: {status.reason}", file=sys.stderr)
    except BaseException:
        status.state = State.INTERRUPTED
        raise
    finally:
        status.seconds = round(time.monotonic() - started, 1)
        status.log = str(log) if log.exists() else ""
        write_status(job.folder, status)
    return status.value


def write_status(folder: Path, status: JobStatus) -> None:
    """Write the status file of the job in a folder."""
    with suppress(OSError):  # as on a full disk: the job's own error is the one to report
        write_json(folder / STATUS_FILE, published(asdict(status)))


@contextmanager
def _output(job: SweepJob) -> Iterator[None]:
    """Redirect the output of a job that runs next to others to its log file."""
    command = without_secrets(shlex.join(job.overrides))
    if job.alone:
        print(f"job {job.number}: {command}", file=sys.stderr)
        yield
        return
    print(f"job {job.number} begins: {command}", file=sys.stderr, flush=True)
    job.folder.mkdir(parents=True, exist_ok=True)
    path = job.folder / LOG_FILE
    with path.open("a", buffering=1) as log, redirect_stdout(log), redirect_stderr(log):
        yield
    print(f"job {job.number} has ended", file=sys.stderr, flush=True)


def require_objective(objective: str | None, stages: Sequence[Stage]) -> None:
    """Raise a UserError if the objective names a stage that the run lacks."""
    if objective is None:
        return
    stage = objective.partition(".")[0]
    names = {name for stage in stages for name in _names(stage)}
    if stage not in names:
        raise UserError(f"objective={objective}: no stage {stage!r} here; {suggest(stage, names)}")


def _names(stage: Stage) -> set[str]:
    """Names of a stage in an objective: with or without the seed."""
    seedless = stage.name.removesuffix(f"-seed{stage.seed}")
    return {f"{stage.kind}/{name}" for name in (stage.name, seedless)}


def objective_value(
    objective: str, stages: Sequence[Stage], records: dict[str, dict[str, Any]]
) -> float:
    """The metric that a search optimizes, as the mean over seeds.

    Args:
        objective: ``KIND/ARM.METRIC``, where further dots in METRIC go into nested metrics.
        stages: of a run.
        records: of the stages, by ``kind/name``.

    Raises:
        UserError: there is no such metric, or it is no finite number.
    """
    name, _, metric = objective.partition(".")
    values = []
    for stage in stages:
        if name not in _names(stage):
            continue
        value: Any = records[f"{stage.kind}/{stage.name}"]["metrics"]
        for part in metric.split("."):
            if not isinstance(value, dict) or part not in value:
                allowed = value if isinstance(value, dict) else []
                raise UserError(f"objective={objective}: no {part!r}; {suggest(part, allowed)}")
            value = value[part]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"objective={objective} is no number, but {str(value)[:60]!r}")
        if not math.isfinite(value):
            raise UserError(f"objective={objective} is {value} in this run")
        values.append(float(value))
    return fmean(values)
