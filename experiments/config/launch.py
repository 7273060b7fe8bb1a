"""Configuration of how training starts: in the driver's process, by torchrun, or by Slurm."""

from dataclasses import dataclass, field

from experiments.config.training import TrainConfig
from toedit.engines.slurm import require_options
from toedit.errors import LARGEST, UserError, require_choice, require_positive, require_within

LAUNCHERS = SINGLE, TORCHRUN, SLURM = ("single", "torchrun", "slurm")


@dataclass
class LaunchConfig:
    """How the processes of a training are started; it is not part of the fingerprint.

    A step learns the same blocks whatever the number of processes, which only changes rounding and
    the random numbers of dropout.

    Attributes:
        kind: ``single`` (in the driver's process), ``torchrun`` or ``slurm``.
        devices: processes per node, each with its own GPU if there are any.
        nodes: number of nodes.
        restarts: how often all processes are restarted from the last checkpoint after one fails.
        rendezvous: ``HOST:PORT`` of the first node, for torchrun on several nodes without Slurm.
        cpus: CPU cores per process in a Slurm job.
        memory_gb: memory per node in a Slurm job; null for Slurm's default.
        gpus: whether a Slurm job requests a GPU per process.
        time: time limit of a Slurm job, after which it is requeued and continues.
        partition: Slurm partition; null for Slurm's default.
        account: Slurm account; null for Slurm's default.
        qos: Slurm's quality of service; null for Slurm's default.
        options: further ``#SBATCH`` options; an empty value for one that takes none.
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
    account: str | None = None
    qos: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_choice("launch.kind", self.kind, LAUNCHERS)
        require_positive("launch", self, "devices", "nodes", "cpus", "memory_gb")
        require_within("launch", self, 0, LARGEST, "restarts")
        require_options("launch", self)
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
        """Refuse a batch that does not divide by the processes, and FSDP with one process."""
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
