"""Run units of work on an engine, each by a datatrove executor.

The engine never changes the result: the units are fixed before it starts. Local and Ray engines
return when all tasks are done. The Slurm engine submits an array job and raises
:class:`~toedit.errors.Submitted`; the same command, run again, continues with the missing tasks.
"""

import math
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dill
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from toedit.corpora import SLURM_JOB
from toedit.corpora.files import read_json, write_json
from toedit.engines import Engine
from toedit.engines.local import FreshSteps, run_local
from toedit.engines.slurm import Submission, array_size, batch_script, require_slurm
from toedit.errors import UserError

SCRIPT, RANKS, PICKLE = "launch_script.slurm", "ranks_to_run.json", "executor.pik"
"""Files in the work folder: the batch script, and what datatrove reads in a task of the array."""


class _ArrayTask(FreshSteps, SlurmPipelineExecutor):
    """What datatrove runs in a task of an array, one unit after the other."""


def run_slurm(engine: Engine, steps: list[PipelineStep], tasks: int, work: Path) -> None:
    """Submit the tasks that have no completion marker as one array job.

    An array task runs several of them where the cluster allows fewer array tasks.

    Raises:
        Submitted: the job was submitted, or is still queued or running.
        UserError: Slurm is missing, gives no answer or refuses the job, or jobs made no progress.
    """
    work = work.resolve()
    executor = _ArrayTask(steps, tasks=tasks, time=engine.time, partition="", logging_dir=str(work))
    missing = executor.get_incomplete_ranks()
    if not missing:
        return
    memory = not any(name.startswith("mem") for name in engine.options)
    options = {
        "job-name": re.sub(r"[^\w.-]", "-", f"toedit-{work.parent.name}"),
        "cpus-per-task": engine.cpus,
        "mem-per-cpu": f"{engine.memory_gb}G" if memory else None,
        "gpus": engine.gpus or None,
        "time": engine.time,
        "partition": engine.partition,
        "account": engine.account,
        "qos": engine.qos,
        "requeue": "",
        **engine.options,
    }
    logs, label = work / "slurm_logs", f"{len(missing)} of {tasks} units of {work.parent.name}"
    submission = Submission(work / SLURM_JOB, label, options, "", tasks - len(missing))
    submission.log = str(logs / f"%A_{_array_task(work, missing[0])}.out")
    if not submission.last_end:
        require_slurm("engine=slurm", "engine=local")
    executor.tasks_per_job = math.ceil(len(missing) / array_size())
    last = math.ceil(len(missing) / executor.tasks_per_job) - 1
    logs.mkdir(parents=True, exist_ok=True)
    with (work / PICKLE).open("wb") as file:
        dill.dump(executor, file, fmode=dill.CONTENTS_FMODE)
    write_json(work / RANKS, missing)
    submission.log = str(logs / "%A_*.out")
    command = [sys.executable, "-m", "datatrove.tools.launch_pickled_pipeline", str(work / PICKLE)]
    stated = {
        **options,
        "array": f"0-{last}%{engine.workers}",
        "output": str(logs).replace("%", "%%") + "/%A_%a.out",
    }
    script = work / SCRIPT
    script.write_text(batch_script(stated, f"exec {shlex.join(command)}"))
    submission.submit(script)


def _array_task(work: Path, rank: int) -> int:
    """Which task of the last array had to run a unit."""
    try:
        ranks = read_json(work / RANKS, list)
        return ranks.index(rank) // math.ceil(len(ranks) / array_size())
    except (OSError, ValueError):
        return 0


def run_ray(engine: Engine, steps: list[PipelineStep], tasks: int, work: Path) -> None:
    """Run the tasks that have no completion marker on Ray.

    Raises:
        UserError: Ray is not installed, or a task failed.
    """
    try:
        import ray
        from datatrove.executor.ray import RayPipelineExecutor
    except ImportError as error:
        raise UserError("engine=ray needs ray: pip install 'toedit[ray]'") from error
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS")
        # A local cluster needs no dashboard, which takes longer to start than all the rest.
        options: dict[str, Any] = {} if address else {"include_dashboard": False}
        ray.init(address=address, log_to_driver=False, **options)
    executor = RayPipelineExecutor(
        steps,
        tasks=tasks,
        workers=engine.workers,
        logging_dir=str(work.resolve()),
        cpus_per_task=engine.cpus,
        gpus_per_task=engine.gpus,
        mem_per_cpu_gb=engine.memory_gb,
    )
    executor.run()
    missing = executor.get_incomplete_ranks()
    if missing:
        raise UserError(
            f"{len(missing)} of {tasks} tasks failed on ray; see {work / 'logs'}, then run again"
        )


RUNNERS: dict[str, Callable[[Engine, list[PipelineStep], int, Path], None]] = {
    "local": run_local,
    "slurm": run_slurm,
    "ray": run_ray,
}
"""Functions by engine: run a pipeline on each task that has no completion marker.

They take the engine, the steps, the number of tasks, and the folder of markers and logs.
"""
