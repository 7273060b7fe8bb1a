"""Start a training in this process, by torchrun on this machine, or as a Slurm job."""

import codecs
import logging
import os
import shlex
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from experiments.config import TrainConfig
from experiments.config.launch import SINGLE, SLURM, LaunchConfig
from experiments.training import LOG, slurm_job
from experiments.training.messages import ERROR, RESULT, STEP, Messages
from experiments.training.training_job import Job, LogStep, freeze, worker_command
from toedit.engines.slurm import require_slurm
from toedit.errors import UserError

POLL = 0.2
"""Seconds between two reads of the processes' messages."""

GRACE = 5
"""Seconds to wait for the last output of processes."""

log = logging.getLogger(__name__)


def run_training(job: Job, launch: LaunchConfig, log_step: LogStep) -> dict[str, Any]:
    """Train with the configured launcher, or return the result of a training whose driver died.

    Returns:
        The metrics of :func:`experiments.training.worker.train`.

    Raises:
        Submitted: the training was submitted to Slurm, or is still queued or running there.
        UserError: the training cannot start, a user error ended it, or a process was lost.
    """
    messages = Messages(job.folder)
    work = slurm_job.submission(job, launch)
    submitted = work.last_end
    end = messages.ended()
    for step, values in messages.steps().items():
        log_step(values, step)
    if end is not None and end[0] == RESULT:
        return end[1]  # the file stays until the record of the stage is written
    messages.clear()
    if end is not None and submitted:
        work.mark.unlink()
        raise UserError(end[1])  # not yet reported; any other error occurs again, or is fixed
    require_launch(job.train, launch)
    if submitted and launch.kind != SLURM:
        work.mark.unlink()
        log.warning("warning: %s; it continues here from its last checkpoint", submitted)
    if launch.kind == SINGLE:
        from experiments.training import worker

        return worker.train(job, log_step)
    if launch.kind == SLURM:
        slurm_job.train_by_slurm(job, launch, work)
    return train_together(job, launch, log_step)


def require_launch(train: TrainConfig, launch: LaunchConfig) -> None:
    """Raise a UserError if GPUs are too few, FSDP has none, or Slurm is missing."""
    if launch.kind == SLURM:
        require_slurm("launch=slurm", "launch=single or launch=torchrun")
        return
    import torch

    gpus = torch.cuda.device_count()
    if gpus and gpus < launch.devices:
        raise UserError(
            f"launch.devices={launch.devices}, but this machine has {gpus} GPUs: set "
            f"launch.devices={gpus}"
        )
    if train.fsdp and not gpus:
        raise UserError("train.fsdp needs GPUs, which this machine lacks: set train.fsdp=false")


def train_together(job: Job, launch: LaunchConfig, log_step: LogStep) -> dict[str, Any]:
    """Train in processes of this machine that torchrun starts, restarts and ends together.

    With several nodes this machine is the first; the command for the others is logged.

    Raises:
        UserError: a user error, or processes ended more often than they may be restarted.
    """
    path = freeze(job)
    messages, end = Messages(job.folder), dict[str, Any]()
    command = worker_command(path, launch)
    if launch.nodes > 1:
        log.info("run on each other node, in %s, at every start: %s", Path.cwd(),
                 shlex.join(command))  # fmt: skip
    threads = max(1, (os.cpu_count() or 1) // launch.devices)
    process = subprocess.Popen(
        [*command, "--with-driver"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={"OMP_NUM_THREADS": str(threads), **os.environ},
        start_new_session=True,  # Ctrl-C reaches the driver alone, which ends the processes
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    output = Path(job.folder, LOG)
    copier = threading.Thread(target=_copy, args=(process.stdout, output), daemon=True)
    copier.start()
    try:
        exited = False
        while not exited and ERROR not in end:  # torchrun would restart after a user error
            time.sleep(POLL)
            exited = process.poll() is not None
            for kind, value in messages.read_new():
                if kind == STEP:
                    log_step(*value)
                else:
                    end[kind] = value
    finally:
        process.kill()
        process.stdin.close()  # the workers then exit
        process.wait()
        copier.join(GRACE)  # workers that are still exiting hold the pipe for a moment
    if ERROR in end:
        raise UserError(end[ERROR])
    if RESULT not in end:
        raise UserError(
            f"a process of the training on {launch.processes} devices ended, also after "
            f"launch.restarts={launch.restarts} restarts (exit code {process.returncode}); its "
            f"message stands in {output}; if memory ran out, lower train.micro_batch; the same "
            "command continues"
        )
    return end[RESULT]


def _copy(source: IO[bytes], path: Path) -> None:
    """Copy the output of the processes to stderr and to a file.

    Continues when either cannot be written: processes block while nobody reads their output.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while chunk := os.read(source.fileno(), 65536):
        with suppress(OSError):
            sys.stderr.write(decoder.decode(chunk))
            sys.stderr.flush()
        with suppress(OSError), path.open("ab") as file:
            file.write(chunk)
