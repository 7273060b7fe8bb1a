"""Slurm commands: check that it is available, test if a job is queued or running, submit a job."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from toedit.corpora import SLURM_JOB
from toedit.corpora.files import read_json
from toedit.errors import UserError, short


def require_sbatch(setting: str, instead: str) -> None:
    """Raise a UserError if sbatch is missing; ``instead`` is a setting that needs no Slurm."""
    if shutil.which("sbatch") is None:
        raise UserError(f"{setting} needs the command sbatch on this machine; use {instead}")


def option_text(value: object) -> str:
    """Quote an option for an ``#SBATCH`` line, unless it comes in quotes."""
    text = str(value)
    return text if text[:1] in ("'", '"') else shlex.quote(text)


def queued(job: str) -> bool:
    """Whether a job is queued or running.

    Raises:
        UserError: squeue is missing, does not answer, or fails.
    """
    command = ["squeue", "-h", "-j", job]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        raise UserError(
            f"whether Slurm job {job} still runs is not known here, without the command squeue: "
            f"give this command where it is, or delete the {SLURM_JOB} that names the job if it is "
            "gone"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"squeue does not answer about job {job}; try again later") from error
    if result.returncode and "invalid job id" not in result.stderr.lower():
        raise UserError(f"squeue cannot say whether job {job} still runs: {result.stderr[:100]}")
    return bool(result.stdout.strip())


def job_of(mark: Path) -> str:
    """The id of the job that a file names.

    Raises:
        UserError: it names none.
    """
    job = str(read_json(mark, dict).get("id"))
    if not re.fullmatch(r"\w[\w.+-]*", job):
        raise UserError(
            f"{str(mark)!r} names no Slurm job; delete it if none is at work here", mark
        )
    return job


def require_idle(marks: Iterable[Path], label: str) -> None:
    """Raise a UserError while a job is queued or running that one of the files ``marks`` names."""
    for mark in marks:
        job = job_of(mark)
        if queued(job):
            raise UserError(
                f"{label} waits or runs as Slurm job {job}: end it (scancel {job}) first, or wait"
            )


def submit(script: Path) -> str:
    """Submit a batch script and return the job id.

    Raises:
        UserError: Slurm refused it.
    """
    command = ["sbatch", "--parsable", str(script)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UserError(f"sbatch refused the job {script}: {short(result.stderr, 200)}")
    return result.stdout.strip().partition(";")[0]
