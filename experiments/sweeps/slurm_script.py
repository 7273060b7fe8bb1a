"""What the jobs of a sweep request of Slurm, and the batch script that runs them."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.sweeps.job import LOG_FILE
from toedit.engines.slurm import batch_script

PLUGIN = "hydra_plugins.toedit"
"""Name of the launcher's module for Hydra, which takes launchers from that package alone."""

EARLY = 300
"""Seconds before the time limit and more at which a warning has another cause, as preemption."""


@dataclass
class SlurmLauncherConfig:
    """What a job of a sweep requests of Slurm.

    Attributes:
        timeout_min: time limit in minutes.
        signal_delay_s: seconds before the limit or preemption at which the job is queued again.
        max_num_timeout: times that a job is queued again at its limit; preempted ones always are.
        array_parallelism: jobs at a time.
        additional_parameters: further options of sbatch.
        setup: lines of the batch script before the run.
        submitit_folder, stderr_to_stdout: accepted, and without effect.
    """

    _target_: str = f"{PLUGIN}.SlurmLauncher"
    timeout_min: int = 60
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    tasks_per_node: int = 1
    mem_gb: int | None = None
    nodes: int = 1
    name: str = "${hydra.job.name}"
    partition: str | None = None
    qos: str | None = None
    comment: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    cpus_per_gpu: int | None = None
    gpus_per_task: int | None = None
    mem_per_gpu: str | None = None
    mem_per_cpu: str | None = None
    account: str | None = None
    signal_delay_s: int = 120
    max_num_timeout: int = 0
    additional_parameters: dict[str, Any] = field(default_factory=dict)
    array_parallelism: int = 256
    setup: list[str] | None = None
    submitit_folder: str = ""
    stderr_to_stdout: bool = False


def options(given: dict[str, Any]) -> dict[str, Any]:
    """Options of sbatch for the fields of :class:`SlurmLauncherConfig`."""
    own = {"timeout_min", "mem_gb", "name", "tasks_per_node", "signal_delay_s", "max_num_timeout",
           "additional_parameters", "array_parallelism", "setup", "submitit_folder",
           "stderr_to_stdout"}  # fmt: skip
    return {
        "job-name": given["name"],
        "time": given["timeout_min"],
        "mem": f"{given['mem_gb']}G" if given["mem_gb"] else None,
        "ntasks-per-node": given["tasks_per_node"],
        "signal": f"B:USR1@{given['signal_delay_s']}",
        "open-mode": "append",
        "requeue": "",
        **{name.replace("_", "-"): v for name, v in given.items() if name not in own},
        **{name.replace("_", "-"): "" if value is True else value
           for name, value in given["additional_parameters"].items()},
    }  # fmt: skip


def array_script(folder: Path, numbers: Sequence[int], given: dict[str, Any], command: str) -> str:
    """Batch script of an array whose tasks run the jobs of these numbers."""
    most = min(len(numbers), given["array_parallelism"])
    stated = {
        **options(given),
        "array": f"0-{len(numbers) - 1}%{most}",
        "output": str(folder).replace("%", "%%") + "/slurm-%A_%a.out",
    }
    enough = given["timeout_min"] * 60 - given["signal_delay_s"] - EARLY
    often = given["max_num_timeout"]
    return batch_script(
        stated,
        *(given["setup"] or ()),
        f"cd {shlex.quote(str(Path.cwd()))}",
        f"numbers=({' '.join(map(str, numbers))})",
        f'job={shlex.quote(str(folder))}/"${{numbers[$SLURM_ARRAY_TASK_ID]}}"',
        f"again() {{ (( SECONDS < {enough} || ${{SLURM_RESTART_COUNT:-0}} < {often} )) &&",
        '  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"; wait; }',
        "trap again USR1",
        f'xargs -0 -a "$job/arguments" {command} >> "$job/{LOG_FILE}" 2>&1 &',
        "wait $!",
    )
