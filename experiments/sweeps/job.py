"""One job of a sweep and its status file, in any process that a launcher uses."""

import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from experiments import provenance
from experiments.config import Config
from experiments.config.compose import SweepJob
from experiments.stage import Stage
from experiments.sweeps.objective import main_metrics, objective_value
from toedit.corpora.files import damaged_as, read_json, write_json
from toedit.engines.slurm import find, job_of
from toedit.errors import Pruned, Submitted, UserError, environment_problem
from toedit.locks import is_locked
from toedit.redaction import published, without_secrets

STATUS_FILE, LOG_FILE, SUMMARY = "job.json", "job.log", "summary.md"
ARRAYS = "slurm-*.json"
"""Files in the folder of a sweep, each with the id of an array of Slurm and its jobs."""


class State(StrEnum):
    """State of a job, in the order in which the summary counts them."""

    DONE = "done"
    CACHED = "cached"
    PRUNED = "pruned"
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
        reason: why it failed or was pruned.
        log: file with its output or traceback; empty for none.
        report: folder of its report.
        experiment: its name.
        objective: metric that a search optimizes.
        maximise: whether the metric is to be large.
        value: of the metric.
        planned: of a dry run, estimated seconds of each stage that is to be computed, by label.
        metrics: what the summary shows where there is no objective, by name.
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
    planned: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tracker: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        """Values of the overrides by field."""
        return provenance.by_field(self.overrides)


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
        elif status.state == State.RUNNING and not is_locked(trial_lock(folder, status.number)):
            status.state = State.LOST
            status.reason = "its process was killed or lost, or the memory ran out"
            log = folder / str(status.number) / LOG_FILE
            status.log = str(log) if log.exists() else ""
    return sorted(statuses, key=lambda status: status.number)


def trial_lock(folder: Path, number: int) -> Path:
    """The lock that a command holds while it runs a trial of a search."""
    return folder / "trials" / str(number)


def read_status(path: Path) -> JobStatus:
    """Read a status file."""
    values = read_json(path, dict)
    with damaged_as(path):
        status = JobStatus(**values)
        texts = (*status.overrides, status.reason, status.log, status.report, status.experiment,
                 status.objective or "", State(status.state))  # fmt: skip
        numbers = (status.number, status.seconds, status.value or 0.0, *status.metrics.values(),
                   *status.planned.values())  # fmt: skip
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


@dataclass
class Planned:
    """A dry run: estimated seconds of each stage that is to be computed, by label."""

    seconds: dict[str, float]


class Trial(Protocol):
    """The trial of a search (:class:`experiments.sweeps.study.RunningTrial`)."""

    def tell(self, status: JobStatus) -> None:
        """Record how its job ended."""


def run_job(
    job: SweepJob, run: Callable[[], Finished | Planned], trial: Trial | None = None
) -> float | None:
    """Run one job and write its status; its errors are recorded, not raised.

    Args:
        job: the job.
        run: does the work, or plans it in a dry run.
        trial: receives the status.

    Returns:
        The value of the objective, for a sampler; None where there is none or the job failed.
    """
    log = job.folder / LOG_FILE
    status = JobStatus(job.number, job.overrides, maximise=job.maximise)
    started = time.monotonic()
    write_status(job.folder, status)
    try:
        with provenance.command_is(["run.py", *(job.words or job.overrides)]), _output(job):
            finished = run()
        if isinstance(finished, Planned):
            status.state, status.value = State.PLANNED, 0.0  # samplers need a number here, too
            status.planned = finished.seconds
        else:
            status.state = State.CACHED if finished.cached else State.DONE
            status.report, config = str(finished.report), finished.config
            status.experiment, status.tracker = config.name, asdict(config.tracker)
            if config.objective is not None:
                status.objective = config.objective
                status.value = objective_value(config.objective, finished.stages, finished.records)
            else:
                status.metrics = main_metrics(finished.stages, finished.records)
    except Pruned as pruned:
        status.state, status.reason = State.PRUNED, str(pruned)
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
    if trial is not None:
        with suppress(OSError):  # as on a full disk: the trial stays open, and its job is cached
            trial.tell(status)
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
