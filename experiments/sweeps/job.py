"""One job of a sweep, in whatever process a launcher runs it."""

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments import provenance
from experiments.compose import SweepJob
from experiments.fingerprint import Stage
from experiments.schema import Config
from experiments.sweeps.notes import (
    CACHED,
    DONE,
    FAILED,
    INTERRUPTED,
    LOG,
    NOTE,
    PLANNED,
    SUBMITTED,
    Note,
)
from experiments.sweeps.objective import objective_value
from toedit.corpora.files import write_json
from toedit.errors import Submitted, UserError, environment_problem


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
