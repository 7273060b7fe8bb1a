"""Training as a Slurm job: submit it; the same command later reads its result.

The batch script runs torchrun on every node. At its time limit, after preemption and after the loss
of a node Slurm requeues the job, and it continues from its last checkpoint.
"""

import logging
import os
import shlex
from pathlib import Path
from typing import NoReturn

from experiments.config.launch import LaunchConfig
from experiments.training import LOG, SCRIPT
from experiments.training.messages import Messages
from experiments.training.training_job import Job, freeze, worker_command
from toedit.corpora import SUBMITTED
from toedit.corpora.files import write_json
from toedit.engines.slurm import job_of, option_text, queued, submit
from toedit.errors import Submitted

WARNING = 120
"""Seconds before the time limit at which the job is requeued."""

log = logging.getLogger(__name__)


def train_by_slurm(job: Job, launch: LaunchConfig) -> NoReturn:
    """Submit a training that is neither done nor running (:func:`slurm_job_finished`).

    Raises:
        Submitted: always, unless Slurm refuses.
        UserError: Slurm refuses.
    """
    path, script = freeze(job), Path(job.folder, SCRIPT)
    script.write_text(batch_script(path, launch))
    number = submit(script)
    write_json(path.parent / SUBMITTED, {"id": number})
    raise Submitted(f"submitted the training {path.parent.name} as Slurm job {number} ({script})")


def slurm_job_finished(messages: Messages) -> bool:
    """Whether a training was submitted to Slurm and its job has left the queue.

    Raises:
        Submitted: it waits or runs.
        UserError: Slurm gives no answer.
    """
    folder = messages.path.parent
    if not (folder / SUBMITTED).exists():
        return False
    number = job_of(folder / SUBMITTED)
    if queued(number):
        steps = messages.steps()
        done = f" at step {max(steps)}" if steps else ""
        raise Submitted(f"the training {folder.name} is still queued or running{done} as Slurm job "
                        f"{number}")  # fmt: skip
    (folder / SUBMITTED).unlink()
    if messages.ended() is None:
        log.warning("warning: Slurm job %s ended without a result: %s (%s); it is started again "
                    "from its last checkpoint", number, _last_line(folder / LOG),
                    folder / LOG)  # fmt: skip
    return True


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").split("\n") if path.exists() else []
    return next((line.strip()[-160:] for line in reversed(lines) if line.strip()), "no log")


def batch_script(path: Path, launch: LaunchConfig) -> str:
    """Batch script that trains the job of a JSON file (:func:`freeze`)."""
    folder = path.parent
    options = {
        "job-name": f"toedit-{folder.name}",
        "dependency": "singleton",  # if it is ever submitted twice, one runs after the other
        "nodes": launch.nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": launch.cpus * launch.devices,
        "time": launch.time,
        "output": str(folder / LOG).replace("%", "%%"),
        "open-mode": "append",
        "signal": f"B:USR1@{WARNING}",
        **({"gpus-per-node": launch.devices} if launch.gpus else {}),
        **({"mem": f"{launch.memory_gb}G"} if launch.memory_gb else {}),
        **({"partition": launch.partition} if launch.partition else {}),
        **launch.options,
    }
    lines = [f"#SBATCH --{name}={option_text(value)}" for name, value in options.items()]
    nodes = f"--nnodes={launch.nodes}"
    command = worker_command(path, launch, nodes, "--rdzv-backend=c10d")
    endpoint = '"--rdzv-endpoint=$first:$port" "--rdzv-id=$SLURM_JOB_ID"'
    run = shlex.join(command).replace(nodes, f"{nodes} {endpoint}", 1)
    return f"""#!/bin/bash
{chr(10).join(lines)}
#SBATCH --requeue
cd {shlex.quote(os.getcwd())}
export OMP_NUM_THREADS="${{OMP_NUM_THREADS:-{launch.cpus}}}"
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
trap 'scontrol requeue "$SLURM_JOB_ID"; wait' USR1  # {WARNING} s before the limit
srun --kill-on-bad-exit=1 --cpus-per-task={launch.cpus * launch.devices} {run} &
wait $!
"""
