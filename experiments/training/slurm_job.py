"""Training as a Slurm job: submit it; the same command later reads its result.

The batch script runs torchrun on every node. At its time limit, after preemption and after the loss
of a node Slurm requeues the job, and it continues from its last checkpoint.
"""

import logging
import os
import shlex
from pathlib import Path
from typing import Any, NoReturn

from experiments.config.launch import LaunchConfig
from experiments.training import CHECKPOINTS, LOG, SCRIPT
from experiments.training.messages import Messages
from experiments.training.training_job import Job, freeze, worker_command
from toedit.corpora import SUBMITTED
from toedit.engines.slurm import Submission, batch_script

WARNING = 120
"""Seconds before the time limit at which the job is requeued."""

log = logging.getLogger(__name__)


def submission(job: Job, launch: LaunchConfig) -> Submission:
    """The training as work of Slurm; a checkpoint is progress."""
    folder, steps = Path(job.folder).resolve(), Messages(job.folder).steps()
    done = f" at step {max(steps)}" if steps else ""
    saved = [path.name.rpartition("-")[2] for path in folder.glob(f"{CHECKPOINTS}/checkpoint-*")]
    progress = max((int(step) for step in saved if step.isdigit()), default=0)
    return Submission(
        folder / SUBMITTED, f"the training {folder.name}{done}", options(folder, launch),
        str(folder / LOG), progress,
    )  # fmt: skip


def train_by_slurm(job: Job, launch: LaunchConfig, work: Submission) -> NoReturn:
    """Submit a training whose last job, if any, has ended.

    Raises:
        Submitted: always, unless Slurm refuses.
        UserError: Slurm refuses, or jobs made no progress.
    """
    path, script = freeze(job), Path(job.folder, SCRIPT)
    script.write_text(training_script(path, launch))
    work.submit(script)


def options(folder: Path, launch: LaunchConfig) -> dict[str, Any]:
    """Options of sbatch for the training in a folder."""
    return {
        "job-name": f"toedit-{folder.name}",
        "dependency": "singleton",  # if it is ever submitted twice, one runs after the other
        "nodes": launch.nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": launch.cpus * launch.devices,
        "time": launch.time,
        "output": str(folder / LOG).replace("%", "%%"),
        "open-mode": "append",
        "signal": f"B:USR1@{WARNING}",
        "gpus-per-node": launch.devices if launch.gpus else None,
        "mem": f"{launch.memory_gb}G" if launch.memory_gb else None,
        "partition": launch.partition,
        "account": launch.account,
        "qos": launch.qos,
        "requeue": "",
        **launch.options,
    }


def training_script(path: Path, launch: LaunchConfig) -> str:
    """Batch script that trains the job of a JSON file (:func:`freeze`)."""
    nodes, cpus = f"--nnodes={launch.nodes}", launch.cpus * launch.devices
    command = worker_command(path, launch, nodes, "--rdzv-backend=c10d")
    endpoint = '"--rdzv-endpoint=$first:$port" "--rdzv-id=$SLURM_JOB_ID"'
    run = shlex.join(command).replace(nodes, f"{nodes} {endpoint}", 1)
    return batch_script(
        options(path.parent, launch),
        f"cd {shlex.quote(os.getcwd())}",
        f'export OMP_NUM_THREADS="${{OMP_NUM_THREADS:-{launch.cpus}}}"',
        'first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        "port=$((20000 + SLURM_JOB_ID % 20000))",
        f"trap 'scontrol requeue \"$SLURM_JOB_ID\"; wait' USR1  # {WARNING} s before the limit",
        f"srun --kill-on-bad-exit=1 --cpus-per-task={cpus} {run} &",
        "wait $!",
    )
