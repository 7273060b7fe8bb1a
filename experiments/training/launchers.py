"""How a training is started: in this process, by torchrun on this machine, or by Slurm."""

from typing import TYPE_CHECKING, Any

from experiments.config import TrainConfig
from experiments.config.launch import SINGLE, SLURM, LaunchConfig
from experiments.training.messages import RESULT, Messages
from toedit.engines.slurm import require_sbatch
from toedit.errors import UserError

if TYPE_CHECKING:
    from experiments.training.curves import LogStep
    from experiments.training.worker import Job


def run_training(job: "Job", launch: LaunchConfig, log_step: "LogStep") -> dict[str, Any]:
    """Trains as the launcher says, or takes what an earlier driver did not live to hear.

    Args:
        job: the run.
        launch: how its processes are started.
        log_step: receives loss, gradient norm and learning rate of every step.

    Returns:
        What :func:`experiments.training.worker.train` returns.

    Raises:
        Submitted: the training went to Slurm, or is still there.
        UserError: it cannot be started, it ended with a mistake, or a process was lost.
    """
    from experiments.training import slurm_job, torchrun, worker

    progress = Messages(job.folder)
    submitted = slurm_job.slurm_job_finished(progress)
    ended = progress.ended()
    progress.replay(log_step)
    if ended is not None and ended[0] == RESULT:
        return ended[1]  # it stays there until the record of the stage is written
    progress.clear()
    if ended is not None and submitted:
        raise UserError(ended[1])  # nobody has seen it; any other mistake is met again, or mended
    require_launch(job.train, launch)
    if launch.kind == SINGLE:
        return worker.train(job, log_step)
    if launch.kind == SLURM:
        slurm_job.train_by_slurm(job, launch)
    return torchrun.train_together(job, launch, log_step)


def require_launch(train: TrainConfig, launch: LaunchConfig) -> None:
    """Raises a UserError if GPUs are too few, FSDP has none, or Slurm is missing."""
    if launch.kind == SLURM:
        require_sbatch("launch=slurm", "launch=single or launch=torchrun")
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
