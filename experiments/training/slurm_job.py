"""Training as a job of Slurm: submitted, left alone; the same command takes its result later.

The batch script runs torchrun on every node. At its time limit, after preemption and after the loss
of a node Slurm queues the job again, and it continues from its last checkpoint.
"""

import logging
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from experiments.config.launch import LaunchConfig
from experiments.training import LOG, SCRIPT
from experiments.training.messages import Messages
from experiments.training.processes import freeze, worker_command
from toedit.corpora import SUBMITTED
from toedit.corpora.files import read_json, write_json
from toedit.engines.slurm import queued, submit
from toedit.errors import Submitted

if TYPE_CHECKING:
    from experiments.training.worker import Job

WARNING = 120
"""Seconds before the limit at which the job is queued again."""

log = logging.getLogger(__name__)


def train_by_slurm(job: "Job", launch: LaunchConfig) -> NoReturn:
    """Submits a training that is neither done nor running (:func:`slurm_job_finished`).

    Raises:
        Submitted: always, unless Slurm refuses.
        UserError: Slurm refuses.
    """
    path, script = freeze(job), Path(job.folder, SCRIPT)
    script.write_text(batch_script(path, launch))
    number = submit(script)
    write_json(path.parent / SUBMITTED, {"id": number})
    raise Submitted(f"submitted the training {path.parent.name} as Slurm job {number} ({script})")


def slurm_job_finished(progress: Messages) -> bool:
    """Whether a training was given to Slurm and its job has left the queue.

    Args:
        progress: of the training, where then all stands that the job told.

    Raises:
        Submitted: it waits or runs.
        UserError: Slurm does not say.
    """
    folder = progress.path.parent
    if not (folder / SUBMITTED).exists():
        return False
    number = str(read_json(folder / SUBMITTED)["id"])
    if queued(number):
        steps = progress.steps()
        done = f" at step {max(steps)}" if steps else ""
        raise Submitted(f"the training {folder.name} is still queued or running{done} as Slurm job "
                        f"{number}")  # fmt: skip
    (folder / SUBMITTED).unlink()
    if progress.ended() is None:
        log.warning("warning: Slurm job %s ended without a result: %s (%s); it is started again "
                    "from its last checkpoint", number, _last_line(folder / LOG),
                    folder / LOG)  # fmt: skip
    return True


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").split("\n") if path.exists() else []
    return next((line.strip()[-160:] for line in reversed(lines) if line.strip()), "no log")


def batch_script(path: Path, launch: LaunchConfig) -> str:
    """The script of a job.

    Args:
        path: the frozen job.
        launch: nodes, processes and limits.
    """
    folder = path.parent
    options = {
        "job-name": f"toedit-{folder.name}",
        "dependency": "singleton",  # should it ever be submitted twice, one runs after the other
        "nodes": launch.nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": launch.cpus * launch.devices,
        "time": launch.time,
        "output": folder / LOG,
        "open-mode": "append",
        "signal": f"B:USR1@{WARNING}",
        **({"gpus-per-node": launch.devices} if launch.gpus else {}),
        **({"mem": f"{launch.memory_gb}G"} if launch.memory_gb else {}),
        **({"partition": launch.partition} if launch.partition else {}),
        **launch.options,
    }
    lines = [f"#SBATCH --{name}={value}" for name, value in options.items()]
    nodes = f"--nnodes={launch.nodes}"
    command = worker_command(path, launch, nodes, "--rdzv-backend=c10d")
    place = '"--rdzv-endpoint=$first:$port" "--rdzv-id=$SLURM_JOB_ID"'
    run = shlex.join(command).replace(nodes, f"{nodes} {place}", 1)
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
