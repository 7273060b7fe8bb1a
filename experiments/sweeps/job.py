"""One job of a sweep, in whatever process a launcher runs it."""

import math
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments import provenance
from experiments.config import Config
from experiments.config.compose import SweepJob
from experiments.stage import Stage
from toedit.corpora.files import read_json, write_json
from toedit.errors import Submitted, UserError, environment_problem, suggest

NOTE, LOG = "job.json", "job.log"
DONE, CACHED, PLANNED = "done", "cached", "planned"
FAILED, SUBMITTED, INTERRUPTED = "failed", "submitted", "interrupted"
RUNNING, LOST, WAITING = "running", "lost", "not begun"


@dataclass
class Note:
    """What became of a job; see :data:`NOTE`.

    Attributes:
        number: of the job, from 0.
        overrides: all that was given to it.
        state: one of the states above.
        seconds: it took.
        reason: why it failed.
        log: file with the rest of what is to be said about that.
        report: folder of its report.
        experiment: its name.
        objective: metric that a search goes by, and whether it is to be large.
        value: of the metric.
        tracker: where it was logged.
    """

    number: int
    overrides: list[str]
    state: str = RUNNING
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
        """Values by field."""
        return dict(override.lstrip("+").partition("=")[::2] for override in self.overrides)


def notes(folder: Path, expected: Sequence[Sequence[str]] | None = None) -> list[Note]:
    """What became of the jobs of a sweep that has ended, by number.

    Args:
        folder: of the sweep.
        expected: overrides of every job, where they are known, to name those that did not begin.
    """
    found = [Note(**read_json(path)) for path in folder.glob(f"*/{NOTE}")]
    for note in found:
        if note.state == RUNNING:  # it would have said more
            note.state = LOST
            note.reason = "its process was killed or lost, or the memory ran out"
            log = folder / str(note.number) / LOG
            note.log = str(log) if log.exists() else ""
    begun = {note.number for note in found}
    for number, overrides in enumerate(expected or ()):
        if number not in begun:
            found.append(Note(number, list(overrides), WAITING))
    return sorted(found, key=lambda note: note.number)


@dataclass
class Finished:
    """A run that came to its end.

    Attributes:
        config: of the run.
        stages: of the run.
        records: of the stages, by ``kind/name``.
        report: folder of its report.
        cached: every stage had its record before.
    """

    config: Config
    stages: list[Stage]
    records: dict[str, dict[str, Any]]
    report: Path
    cached: bool


def run_job(job: SweepJob, work: Callable[[], Finished | None]) -> float | None:
    """Runs one job and notes what became of it; what goes wrong in it is noted, not raised.

    Args:
        job: which one.
        work: the run; None from it is a dry one.

    Returns:
        The value of the objective, for a sampler; None where there is none or the job failed.
    """
    note = Note(job.number, job.overrides, maximise=job.maximise)
    provenance.set_command(["run.py", *job.overrides])
    started = time.monotonic()
    _write(job, note)
    try:
        with _output(job):
            finished = work()
        if finished is None:
            note.state, note.value = PLANNED, 0.0  # samplers want a number of dry runs, too
        else:
            note.state = CACHED if finished.cached else DONE
            note.report, config = str(finished.report), finished.config
            note.experiment, note.tracker = config.name, asdict(config.tracker)
            if config.objective is not None:
                note.objective = config.objective
                note.value = objective_value(config.objective, finished.stages, finished.records)
    except Submitted as where:
        note.state, note.reason = SUBMITTED, str(where)
    except Exception as error:
        note.state = FAILED
        line = str(error) if isinstance(error, UserError) else environment_problem(error)
        note.reason = " ".join((line or f"{type(error).__name__}: {error}").split())
        if line is None:  # a defect of ours, or a full memory
            with suppress(OSError), (job.folder / LOG).open("a") as log:
                log.write(traceback.format_exc())
        print(f"error: job {job.number}: {note.reason}", file=sys.stderr)
    except BaseException:
        note.state = INTERRUPTED
        raise
    finally:
        note.seconds = round(time.monotonic() - started, 1)
        note.log = str(job.folder / LOG) if (job.folder / LOG).exists() else ""
        _write(job, note)
    return note.value


def _write(job: SweepJob, note: Note) -> None:
    with suppress(OSError):  # as on a full disk: the job's own error is what matters
        write_json(job.folder / NOTE, asdict(note))


@contextmanager
def _output(job: SweepJob) -> Iterator[None]:
    """Jobs that run side by side write what they say into files of their own."""
    if job.alone:
        print(f"job {job.number}: {' '.join(job.overrides)}", file=sys.stderr)
        yield
        return
    print(f"job {job.number} begins: {' '.join(job.overrides)}", file=sys.stderr, flush=True)
    job.folder.mkdir(parents=True, exist_ok=True)
    with (
        (job.folder / LOG).open("a", buffering=1) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        yield
    print(f"job {job.number} has ended", file=sys.stderr, flush=True)


def require_objective(objective: str | None, stages: Sequence[Stage]) -> None:
    """Raises a UserError if the objective names a stage that the run lacks."""
    names = {name for stage in stages for name in _names(stage)}
    if objective is not None and objective.partition(".")[0] not in names:
        stage = objective.partition(".")[0]
        raise UserError(f"objective={objective}: no stage {stage!r} here; {suggest(stage, names)}")


def _names(stage: Stage) -> set[str]:
    """What an objective may call a stage: by its name, with or without the seed."""
    seedless = stage.name.removesuffix(f"-seed{stage.seed}")
    return {f"{stage.kind}/{name}" for name in (stage.name, seedless)}


def objective_value(
    objective: str, stages: Sequence[Stage], records: dict[str, dict[str, Any]]
) -> float:
    """The metric a search goes by, the mean over seeds.

    Args:
        objective: ``KIND/ARM.METRIC``, where METRIC may go into a metric by further dots.
        stages: of a run.
        records: of the stages, by ``kind/name``.

    Raises:
        UserError: there is no such metric.
    """
    wanted, _, metric = objective.partition(".")
    found = []
    for stage in stages:
        if wanted not in _names(stage):
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
        found.append(float(value))
    return fmean(found)
