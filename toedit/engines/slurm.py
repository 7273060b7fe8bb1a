"""What is asked of Slurm: whether it is here, whether a job still waits or runs, to take a job."""

import shutil
import subprocess
from pathlib import Path

from toedit.corpora import SLURM_JOB
from toedit.errors import UserError


def require_sbatch(setting: str, instead: str) -> None:
    """Raises a UserError for a setting that needs Slurm where sbatch is missing."""
    if shutil.which("sbatch") is None:
        raise UserError(f"{setting} needs the command sbatch on this machine; use {instead}")


def queued(job: str) -> bool:
    """Whether a job waits or runs.

    Raises:
        UserError: Slurm does not say.
    """
    try:
        done = subprocess.run(
            ["squeue", "-h", "-j", job], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError as error:
        raise UserError(
            f"whether Slurm job {job} still runs is not known here, without the command squeue: "
            f"give this command where it is, or delete the {SLURM_JOB} that names the job if it is "
            "gone"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"squeue does not answer about job {job}; try again later") from error
    if done.returncode and "invalid job id" not in done.stderr.lower():
        raise UserError(f"squeue cannot say whether job {job} still runs: {done.stderr[:100]}")
    return bool(done.stdout.strip())


def submit(script: Path) -> str:
    """Submits a batch script and returns the job's number.

    Raises:
        UserError: Slurm refused it.
    """
    done = subprocess.run(
        ["sbatch", "--parsable", str(script)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = " ".join(done.stderr.split())[:200]
        raise UserError(f"sbatch refused the job {script}: {reason}")
    return done.stdout.strip().partition(";")[0]
