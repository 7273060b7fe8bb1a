"""The only door to wandb, with a no-op twin.

Runs are offline unless the user is logged in. wandb is told nothing about the machine's folders;
its own files live inside the store. The store, not wandb, is what tables are built from.
"""

import logging
import netrc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from experiments.config import TrackerConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSpec:
    """What a tracker run is about.

    Attributes:
        identity: run id: fingerprint and attempt.
        name: name shown.
        group: the experiment.
        job_type: kind of arm.
        config: the whole upstream configuration.
    """

    identity: str
    name: str
    group: str
    job_type: str
    config: dict[str, Any]


class Run(Protocol):
    """One tracked run."""

    @property
    def identity(self) -> str | None:
        """The run's id, None where there is no run."""
        ...

    def log(self, values: dict[str, float], step: int) -> None:
        """Values of one step."""
        ...

    def summary(self, values: dict[str, Any]) -> None:
        """Final values."""
        ...

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table of text."""
        ...

    def finish(self, failed: bool = False) -> None:
        """Ends the run."""
        ...


class NoRun:
    """A run that goes nowhere."""

    identity: str | None = None

    def log(self, values: dict[str, float], step: int) -> None:
        pass

    def summary(self, values: dict[str, Any]) -> None:
        pass

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        pass

    def finish(self, failed: bool = False) -> None:
        pass


class WandbRun:
    """A run of wandb."""

    def __init__(self, run: Any, identity: str) -> None:
        self.run = run
        self.identity: str | None = identity

    def log(self, values: dict[str, float], step: int) -> None:
        self.run.log(values, step=step)

    def summary(self, values: dict[str, Any]) -> None:
        for key, value in values.items():
            self.run.summary[key] = value

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        import wandb

        self.run.log({name: wandb.Table(columns=list(header), data=[list(row) for row in rows])})

    def finish(self, failed: bool = False) -> None:
        self.run.finish(exit_code=int(failed))


class DeferredRun:
    """A run that begins once there is something to log, or a record names it.

    Args:
        begin: begins it.
    """

    def __init__(self, begin: Callable[[], Run]) -> None:
        self.begin = begin

    @cached_property
    def run(self) -> Run:
        return self.begin()

    @property
    def identity(self) -> str | None:
        return self.run.identity

    def log(self, values: dict[str, float], step: int) -> None:
        self.run.log(values, step)

    def summary(self, values: dict[str, Any]) -> None:
        self.run.summary(values)

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.run.table(name, header, rows)

    def finish(self, failed: bool = False) -> None:
        if "run" in vars(self):
            self.run.finish(failed)


def start_run(config: TrackerConfig, spec: RunSpec, folder: Path) -> Run:
    """Opens a run.

    Args:
        config: which tracker.
        spec: what the run is about.
        folder: where the tracker keeps its files.
    """
    if config.kind == "none":
        return NoRun()
    for variable in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        os.environ.setdefault(variable, str(folder.resolve()))
    os.environ.setdefault("WANDB_SILENT", "true")
    folder.mkdir(parents=True, exist_ok=True)
    import wandb

    def begin(mode: Any) -> Any:
        return wandb.init(
            project=config.project,
            entity=config.entity,
            id=spec.identity,
            name=spec.name,
            group=spec.group,
            job_type=spec.job_type,
            config=spec.config,
            dir=folder,
            mode=mode,
            reinit="finish_previous",
            settings=wandb.Settings(
                console="off",
                disable_code=True,
                disable_git=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_disable_stats=True,
                x_transaction_log_flush_interval=1,  # else a kill loses the last seconds of curves
            ),
        )

    mode = os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")
    try:
        run = begin(mode)
    except wandb.Error as error:
        log.warning(
            "warning: wandb is offline for this run (%s)", " ".join(str(error).split())[:160]
        )
        run = begin("offline")
    return WandbRun(run, spec.identity)


def _logged_in() -> bool:
    """Whether wandb has credentials for the host it would talk to."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
        return False
