"""Runs units of work on an engine, all of them datatrove's executors.

An engine never changes a result: which units there are is fixed before it starts. Local and Ray
engines return when all is done. The Slurm engine submits an array job, says so and stops; the same
command, given again, continues with what is missing.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger

from toedit.corpora import SLURM_JOB
from toedit.corpora.files import read_json, write_json
from toedit.engines import Engine
from toedit.engines.local import run_local
from toedit.engines.slurm import queued, require_sbatch
from toedit.errors import Submitted, UserError


def run_tasks(engine: Engine, steps: list[PipelineStep], tasks: int, work: Path) -> None:
    """Runs a pipeline once a task; tasks with a completion marker are skipped.

    Args:
        engine: where.
        steps: the pipeline.
        tasks: how many.
        work: folder of markers, logs and whatever else the engine keeps.

    Raises:
        Submitted: the work went to Slurm, or is still there.
        UserError: the engine is not installed here.
    """
    logger.disable("datatrove")
    {"local": run_local, "slurm": _slurm, "ray": _ray}[engine.kind](engine, steps, tasks, work)


class _Slurm(SlurmPipelineExecutor):
    """datatrove's Slurm executor without the job that only adds up its own statistics."""

    def launch_merge_stats(self) -> None:
        return


def _slurm(engine: Engine, steps: list[PipelineStep], tasks: int, work: Path) -> None:
    require_sbatch("engine=slurm", "engine=local")
    if (work / SLURM_JOB).exists():
        job = str(read_json(work / SLURM_JOB)["id"])
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
        job_name=f"toedit-{work.parent.name}",
        qos="",
        venv_path=str(Path(sys.prefix, "bin", "activate")),
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


def _ray(engine: Engine, steps: list[PipelineStep], tasks: int, work: Path) -> None:
    try:
        import ray
        from datatrove.executor.ray import RayPipelineExecutor
    except ImportError as error:
        raise UserError("engine=ray needs ray: pip install 'toedit[ray]'") from error
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS")
        # One of this machine needs no dashboard, which takes longer to start than all the rest.
        alone = {} if address else {"include_dashboard": False}
        ray.init(address=address, log_to_driver=False, **alone)
    options: dict[str, Any] = {
        "cpus_per_task": engine.cpus,
        "gpus_per_task": engine.gpus,
        "mem_per_cpu_gb": engine.memory_gb,
    }
    executor = RayPipelineExecutor(
        steps, tasks=tasks, workers=engine.workers, logging_dir=str(work.resolve()), **options
    )
    executor.run()
    missing = executor.get_incomplete_ranks()
    if missing:
        raise UserError(
            f"{len(missing)} of {tasks} tasks failed on ray; see {work / 'logs'}, then run again"
        )
