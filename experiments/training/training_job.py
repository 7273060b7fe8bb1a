"""Description of a training run, its JSON file, and the command that starts its processes.

Importing it loads no torch.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from experiments.config import ModelConfig, TrainConfig
from experiments.config.launch import LaunchConfig
from experiments.config.pretraining import ArchitectureConfig
from experiments.training import JOB
from toedit.corpora.files import read_json, write_json

LogStep = Callable[[dict[str, float], int], None]
"""Receives loss, gradient norm and learning rate of a step, and its number."""


@dataclass
class Job:
    """A training run.

    Attributes:
        folder: where checkpoints and the model are written.
        model: the model to train.
        train: length, optimizer and schedule.
        seed: order of the blocks, and initial weights of a model from scratch or of adapters.
        blocks: files of packed blocks, one per epoch, repeated from the first; empty for the file
            in ``folder``.
        tokenizer: folder of the tokenizer of a model from scratch.
        separator: id of the token that ends a document, where documents are masked.
        smoothing: label smoothing of the tokens that the blocks mark.
        processes: how many processes share a step.
        start: folder of initial weights for a model from scratch; empty for random ones.
    """

    folder: str
    model: ModelConfig
    train: TrainConfig
    seed: int
    blocks: list[str] = field(default_factory=list)
    tokenizer: str = ""
    separator: int | None = None
    smoothing: float = 0.0
    processes: int = 1
    start: str = ""


def freeze(job: Job) -> Path:
    """Write a job as JSON with absolute paths, for processes on any node; return the file."""

    def absolute(path: str) -> str:
        return str(Path(path).resolve()) if path else ""

    folder = Path(job.folder).resolve()
    resolved = replace(
        job,
        folder=str(folder),
        blocks=[absolute(path) for path in job.blocks],
        tokenizer=absolute(job.tokenizer),
        start=absolute(job.start),
    )
    write_json(folder / JOB, asdict(resolved))
    return folder / JOB


def read_job(path: str | Path) -> Job:
    """Read a job that :func:`freeze` wrote."""
    values = read_json(Path(path))
    model = values.pop("model")
    scratch = model.pop("scratch")
    shape = None if scratch is None else ArchitectureConfig(**scratch)
    train = TrainConfig(**values.pop("train"))
    return Job(model=ModelConfig(**model, scratch=shape), train=train, **values)


def worker_command(path: Path, launch: LaunchConfig, *rendezvous: str) -> list[str]:
    """Command that starts the processes of one node with torchrun.

    Args:
        path: JSON file of the job.
        launch: number of processes and restarts.
        rendezvous: torchrun's options by which several nodes find each other; by default those of
            ``launch``.
    """
    if not rendezvous and launch.nodes > 1:
        rendezvous = ("--rdzv-backend=c10d", f"--rdzv-endpoint={launch.rendezvous}",
                      f"--rdzv-id={path.parent.name}", f"--nnodes={launch.nodes}")  # fmt: skip
    # Without this variable the processes meet in torchrun's own store, which after a restart still
    # holds addresses of the lost processes (PyTorch issue 135712). Now they choose a port at every
    # start; if another program takes it within the seconds before its use, one restart is lost.
    return [
        "env", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1",
        sys.executable, "-m", "torch.distributed.run", *(rendezvous or ("--standalone",)),
        f"--nproc-per-node={launch.devices}", f"--max-restarts={launch.restarts}",
        "-m", "experiments.training", str(path),
    ]  # fmt: skip
