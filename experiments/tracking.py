"""Tracker runs: the only module that imports wandb, and runs that log nothing.

Runs are offline unless the user is logged in. wandb records nothing about the machine's folders;
its files are inside the store. Tables are built from the store, never from wandb.
"""

import logging
import netrc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from experiments.config import TrackerConfig
from toedit.errors import short
from toedit.redaction import published

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSpec:
    """Arguments of ``wandb.init``: ``identity`` is the run id, made of fingerprint and attempt,
    ``group`` the experiment, ``job_type`` the kind of arm, ``config`` all of the configuration."""

    identity: str
    name: str
    group: str
    job_type: str
    config: dict[str, Any]


class Run:
    """A tracker run; this base class logs nothing.

    Attributes:
        identity: id of the run; None if nothing is logged.
    """

    identity: str | None = None

    def log(self, values: dict[str, float], step: int) -> None:
        """Log the values of a step."""

    def summary(self, values: dict[str, Any]) -> None:
        """Set final values."""

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Log a table of text."""

    def finish(self, failed: bool = False) -> None:
        """End the run."""


class WandbRun(Run):
    """A run of wandb."""

    def __init__(self, run: Any, identity: str) -> None:
        self.run = run
        self.identity = identity

    def log(self, values: dict[str, float], step: int) -> None:
        self.run.log(values, step=step)

    def summary(self, values: dict[str, Any]) -> None:
        for key, value in values.items():
            self.run.summary[key] = value

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        import wandb

        self.run.log({name: wandb.Table(columns=list(header), data=published(rows))})

    def finish(self, failed: bool = False) -> None:
        logs = Path(self.run.dir).parent / "logs"
        self.run.finish(exit_code=int(failed))
        for path in logs.glob("*.log"):
            if not path.is_symlink():
                path.write_text(published(path.read_text(errors="replace")))


class DeferredRun(Run):
    """A run that starts once there is something to log, or a record needs its id."""

    def __init__(self, start: Callable[[], Run]) -> None:
        self.start = start

    @cached_property
    def run(self) -> Run:
        return self.start()

    @cached_property
    def identity(self) -> str | None:  # type: ignore[override]
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
    """Start a run; the tracker writes its files to ``folder``."""
    if config.kind == "none":
        return Run()
    for variable in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        os.environ.setdefault(variable, str(folder.resolve()))
    os.environ.setdefault("WANDB_SILENT", "true")
    folder.mkdir(parents=True, exist_ok=True)
    import wandb

    def start(mode: Any) -> Any:
        return wandb.init(
            project=config.project,
            entity=config.entity,
            id=spec.identity,
            name=spec.name,
            group=spec.group,
            job_type=spec.job_type,
            config=published(spec.config),
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
        run = start(mode)
    except wandb.Error as error:
        log.warning("warning: wandb is offline for this run (%s)", short(error))
        run = start("offline")
    return WandbRun(run, spec.identity)


def _logged_in() -> bool:
    """Whether there are credentials for the host of wandb."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        return netrc.netrc(path).authenticators(host) is not None
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
        return False
