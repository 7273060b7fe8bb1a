"""Engine configuration: run units of work in local processes, on Slurm, or on Ray."""

import os
from dataclasses import dataclass, field

from toedit.engines.slurm import require_options
from toedit.errors import require_choice, require_within

ENGINES = ("local", "slurm", "ray")
MOST_WORKERS, MOST_THREADS = 10_000, 1024


@dataclass
class Engine:
    """How units of work are distributed.

    Attributes:
        kind: ``local``, ``slurm`` or ``ray``.
        workers: units at a time; with Slurm the maximum number of tasks of the array at a time.
        cpus: processors of a Slurm or Ray task.
        threads: threads of a worker; null for its share of the processors. Scores of a model can
            differ in the last bits between numbers of threads.
        gpus: accelerators of a Slurm or Ray task.
        memory_gb: memory per processor of a Slurm or Ray task.
        time: time limit of a Slurm task.
        partition: Slurm partition; null for Slurm's default.
        account: Slurm account; null for Slurm's default.
        qos: Slurm's quality of service; null for Slurm's default.
        options: further ``#SBATCH`` options; an empty value for one that takes none.
    """

    kind: str = "local"
    workers: int = 1
    cpus: int = 1
    threads: int | None = None
    gpus: int = 0
    memory_gb: int = 4
    time: str = "24:00:00"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_choice("engine.kind", self.kind, ENGINES)
        require_within("engine", self, 1, MOST_WORKERS, "workers", "cpus", "memory_gb")
        require_within("engine", self, 1, MOST_THREADS, "threads")
        require_within("engine", self, 0, MOST_WORKERS, "gpus")
        require_options("engine", self)

    @property
    def worker_threads(self) -> int:
        """Threads of a worker; 0 keeps torch's default for a single local worker."""
        if self.threads is not None:
            return self.threads
        if self.kind != "local":
            return self.cpus
        return 0 if self.workers == 1 else max(1, len(os.sched_getaffinity(0)) // self.workers)
