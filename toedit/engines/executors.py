"""Run units of work on an engine, each by a datatrove executor.

The engine never changes the result: the units are fixed before it starts. Local and Ray engines
return when all tasks are done. The Slurm engine submits an array job and raises
:class:`~toedit.errors.Submitted`; the same command, run again, continues with the missing tasks.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from toedit.corpora import SLURM_JOB
from toedit.corpora.files import write_json
from toedit.engines import Engine
from toedit.engines.local import run_local
from toedit.engines.slurm import job_of, option_text, queued, require_sbatch
from toedit.errors import Submitted, UserError


class _Slurm(SlurmPipelineExecutor):
    """datatrove's Slurm executor for any path, without the job that merges its statistics."""

    def get_launch_file_contents(self, sbatch_args: dict[str, Any], run_script: str) -> str:
        options = {name: value and option_text(value) for name, value in sbatch_args.items()}
        executor = self.logging_dir.resolve_paths("executor.pik")
        return super().get_launch_file_contents(
            options, run_script.replace(executor, shlex.quote(executor))
        )

    def launch_merge_stats(self) -> None:
        return


def run_slurm(engine: Engine, steps: list[PipelineStep], tasks: int, work: Path) -> None:
    """Submit the tasks that have no completion marker as an array job.

    Raises:
        Submitted: the job was submitted, or is still queued or running.
        UserError: Slurm is missing, or refused the job.
    """
    require_sbatch("engine=slurm", "engine=local")
    if (work / SLURM_JOB).exists():
        job = job_of(work / SLURM_JOB)
        if queued(job):
            raise Submitted(f"Slurm job {job} is still queued or running")
    executor = _Slurm(
        steps,
        tasks=tasks,
        time=engine.time,
        partition=engine.partition,
        cpus_per_task=engine.cpus,
        gpus_per_task=engine.gpus,
        mem_per_cpu_gb=engine.memory_gb,
        workers=engine.workers,
        job_name=re.sub(r"[^\w.-]", "-", f"toedit-{work.parent.name}"),
        qos="",
        venv_path=shlex.quote(str(Path(sys.prefix, "bin", "activate"))),
        sbatch_args=dict(engine.options),
        logging_dir=str(work.resolve()),
        slurm_logs_folder=str(work.resolve() / "slurm_logs"),
    )
    missing = executor.get_incomplete_ranks()
    if not missing:
        return
    try:
        executor.launch_job()
    except subprocess.CalledProcessError as error:
        raise UserError(f"sbatch refused the job: {error}") from error
    write_json(work / SLURM_JOB, {"id": str(executor.job_id)})
    script = work / "launch_script.slurm"
    raise Submitted(f"submitted {len(missing)} tasks as Slurm job {executor.job_id} ({script})")


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
