"""What the processes of a training are given: a frozen job, and the command that starts them."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.config import ModelConfig, TrainConfig
from experiments.config.launch import LaunchConfig
from experiments.config.pretraining import ArchitectureConfig
from experiments.training import JOB
from toedit.corpora.files import read_json, write_json

if TYPE_CHECKING:
    from experiments.training.worker import Job


OWN_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"
"""Has the processes meet in a new place at every restart.

By default they meet at torchrun itself, where addresses of the lost processes still stand (PyTorch
issue 135712). Should another program take the port between its choice and its use, which is
seconds, one restart is spent.
"""


def freeze(job: "Job") -> Path:
    """Writes down all that the processes of a job need, on whichever node they are."""
    path = Path(job.folder, JOB).resolve()
    values = asdict(job) | {"folder": str(path.parent)}
    values["blocks"] = [str(Path(file).resolve()) for file in job.blocks]
    for name in ("tokenizer", "start"):
        if values[name]:
            values[name] = str(Path(values[name]).resolve())
    write_json(path, values)
    return path


def read_job(path: str | Path) -> "Job":
    """A job as :func:`freeze` wrote it."""
    from experiments.training.worker import Job

    values = read_json(Path(path))
    model = values.pop("model")
    scratch = model.pop("scratch")
    shape = None if scratch is None else ArchitectureConfig(**scratch)
    train = TrainConfig(**values.pop("train"))
    return Job(model=ModelConfig(**model, scratch=shape), train=train, **values)


def worker_command(path: Path, launch: LaunchConfig, *meeting: str) -> list[str]:
    """The command that starts the processes of one node.

    Args:
        path: the frozen job.
        launch: how many.
        meeting: torchrun's options by which several nodes find each other, where they are not
            those of ``launch``.
    """
    if not meeting and launch.nodes > 1:
        meeting = ("--rdzv-backend=c10d", f"--rdzv-endpoint={launch.rendezvous}",
                   f"--rdzv-id={path.parent.name}", f"--nnodes={launch.nodes}")  # fmt: skip
    return [
        "env", OWN_STORE, sys.executable, "-m", "torch.distributed.run",
        *(meeting or ("--standalone",)),
        f"--nproc-per-node={launch.devices}", f"--max-restarts={launch.restarts}",
        "-m", "experiments.training", str(path),
    ]  # fmt: skip
