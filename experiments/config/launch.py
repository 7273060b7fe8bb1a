"""How a training is started: in the driver's process, by torchrun, or as a job of Slurm."""

from dataclasses import dataclass, field

from experiments.config.checks import positive
from experiments.config.training import TrainConfig
from toedit.errors import UserError, require_choice

LAUNCHERS = SINGLE, TORCHRUN, SLURM = ("single", "torchrun", "slurm")


@dataclass
class LaunchConfig:
    """How the processes of a training are started; it identifies no result.

    The number of processes changes rounding and the draws of dropout, nothing else: a step takes
    the same blocks.

    Attributes:
        kind: ``single`` (one process, the driver's own), ``torchrun`` or ``slurm``.
        devices: processes of a node, each with a GPU of its own where there are any.
        nodes: machines.
        restarts: how often all processes are started again, from the last checkpoint, after one
            of them was lost.
        rendezvous: ``HOST:PORT`` of the first node, where torchrun runs on several without Slurm.
        cpus: processors of a process in a Slurm job.
        memory_gb: memory of a node in a Slurm job; null for Slurm's own choice.
        gpus: whether a Slurm job asks for a GPU a process.
        time: limit of a Slurm job, after which it is queued again and continues.
        partition: Slurm partition; null for Slurm's own choice.
        options: further ``#SBATCH`` options.
    """

    kind: str = SINGLE
    devices: int = 1
    nodes: int = 1
    restarts: int = 0
    rendezvous: str | None = None
    cpus: int = 8
    memory_gb: int | None = None
    gpus: bool = True
    time: str = "24:00:00"
    partition: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_choice("launch.kind", self.kind, LAUNCHERS)
        positive("launch", self, "devices", "nodes", "cpus", "memory_gb")
        if self.restarts < 0:
            raise UserError(f"launch.restarts={self.restarts} must be at least 0")
        if self.kind == SINGLE and self.processes > 1:
            raise UserError(
                f"launch=single is one process, and launch.devices={self.devices} on "
                f"launch.nodes={self.nodes} are more; use launch=torchrun or launch=slurm"
            )
        if self.kind == TORCHRUN and self.nodes > 1 and self.rendezvous is None:
            raise UserError(
                f"launch.nodes={self.nodes} needs launch.rendezvous=HOST:PORT of the first node"
            )

    @property
    def processes(self) -> int:
        """Processes of all nodes."""
        return self.devices * self.nodes

    def require_shares(self, train: TrainConfig) -> None:
        """Raises a UserError if the batch does not divide by processes, or FSDP has only one."""
        if train.fsdp and self.processes < 2:
            raise UserError(
                f"train.fsdp=true shares weights out, and launch={self.kind} starts one process; "
                "use launch=fsdp (or launch.devices=8 with torchrun or slurm), or train.fsdp=false"
            )
        if train.batch_tokens % (train.block_size * train.micro_batch * self.processes):
            raise UserError(
                f"train.batch_tokens={train.batch_tokens} must be a multiple of block_size * "
                f"micro_batch * processes = {train.block_size} * {train.micro_batch} * "
                f"{self.processes}; change train.micro_batch, or launch.devices"
            )
