"""Tracker runs: the only module that imports wandb, and runs that log nothing.

Runs are offline unless the user is logged in. wandb records nothing about the machine's folders;
its files are inside the store. Tables are built from the store, never from wandb. What wandb
refuses is an error before the first stage (:func:`require_tracker`); what fails later is a warning.
"""

import logging
import netrc
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from experiments.config import TrackerConfig
from toedit.errors import UserError, short
from toedit.redaction import published

FINISH_TIMEOUT = 300
"""Seconds that the end of a run waits for uploads; the rest stays on disk for ``wandb sync``."""

log = logging.getLogger(__name__)
_warned: set[str] = set()

AGENT = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")
"""Variables by which ``wandb agent`` names the run of a sweep; its value is our objective."""

_agent: dict[str, str] = {}


@dataclass(frozen=True)
class RunSpec:
    """Arguments of ``wandb.init``: ``identity`` is the run id, made of fingerprint and attempt,
    ``group`` the experiment, ``job_type`` the kind of arm, ``config`` all of the configuration.

    A run that is ``continued`` logs all values again, so it takes the place of its beginnings.
    """

    identity: str
    name: str
    group: str
    job_type: str
    config: dict[str, Any]
    continued: bool = False


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

    def html(self, name: str, text: str) -> None:
        """Log a page of HTML as a panel."""

    def finish(self, failed: bool = False) -> None:
        """End the run."""


class WandbRun(Run):
    """A run of wandb, which receives no more values after an error."""

    def __init__(self, run: Any, spec: RunSpec, folder: Path) -> None:
        self.run = run
        self.identity = spec.identity
        self.continued = spec.continued
        self.folder = folder
        self.failed = False

    def _send(self, send: Callable[[], None]) -> None:
        try:
            send()
        except Exception as error:  # anything: a tracker must not cost the run
            self.failed = True
            _warn("wandb has not all curves and values, which the store holds", error)

    def log(self, values: dict[str, float], step: int) -> None:
        if not self.failed:
            self._send(lambda: self.run.log(values, step=step))

    def summary(self, values: dict[str, Any]) -> None:
        if not self.failed:
            self._send(lambda: self.run.summary.update(values))

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        import wandb

        def send() -> None:
            table = wandb.Table(columns=list(header), data=published(rows))
            self.run.log({name: table})

        if not self.failed:
            self._send(send)

    def html(self, name: str, text: str) -> None:
        import wandb

        def send() -> None:
            page = wandb.Html(published(text), inject=False, data_is_not_path=True)
            self.run.log({name: page})

        if not self.failed:
            self._send(send)

    def finish(self, failed: bool = False) -> None:
        own = Path(self.run.dir).parent
        logs = own / "logs"
        self._send(lambda: self.run.finish(exit_code=int(failed)))
        self._send(lambda: _publish(logs))
        self._send(lambda: _require_space(self.folder))
        if self.failed:
            _reset()
        elif self.continued and not failed:
            for path in own.parent.glob(f"offline-run-*/run-{self.identity}.wandb"):
                if path.parent != own:  # its beginning, before an interruption
                    shutil.rmtree(path.parent, ignore_errors=True)


def _publish(logs: Path) -> None:
    """Remove secrets and home folders from the logs that wandb wrote."""
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

    def html(self, name: str, text: str) -> None:
        self.run.html(name, text)

    def finish(self, failed: bool = False) -> None:
        if "run" in vars(self):
            self.run.finish(failed)


def require_tracker(config: TrackerConfig, folder: Path) -> None:
    """Check the tracker's settings and login before anything runs.

    A login that fails is a warning: all runs of this process are then offline.

    Raises:
        UserError: wandb refuses the project, or a variable of the environment.
    """
    if config.kind == "none":
        return
    _prepare(folder)
    import wandb

    try:
        settings = wandb.Settings(project=config.project, entity=config.entity)
        settings.update_from_env_vars(dict(os.environ, WANDB_PROJECT=config.project))
    except (wandb.Error, ValueError) as error:
        raise UserError(
            f"wandb refuses tracker.project={config.project!r}, or a WANDB_ variable of the "
            f"environment: {short(error)}; or run with tracker=none"
        ) from error
    if _mode() == "online":
        try:
            wandb.login()
        except Exception as error:
            _go_offline(error)


def in_wandb_sweep() -> bool:
    """Whether ``wandb agent`` started this process."""
    return AGENT[0] in _agent or AGENT[0] in os.environ


def log_objective(config: TrackerConfig, experiment: str, value: float, folder: Path) -> None:
    """Log the objective as the run that ``wandb agent`` created, next to the runs of the arms."""
    if config.kind == "none":
        return
    _prepare(folder)
    _reset()  # what a process of wandb knows of the environment is from its start
    try:
        spec = RunSpec(_agent.get("WANDB_RUN_ID", ""), experiment, experiment, "sweep", {})
        run = start_run(config, spec, folder, _agent)
        run.log({"objective": value}, 0)
        run.finish()
    finally:
        _prepare(folder)
        _reset()


def start_run(
    config: TrackerConfig, spec: RunSpec, folder: Path, agent: Mapping[str, str] | None = None
) -> Run:
    """Start a run; the tracker writes its files to ``folder``.

    If it cannot start, this is a warning and the run logs nothing. ``agent`` holds the variables
    of ``wandb agent`` for the run of its sweep.
    """
    if config.kind == "none":
        return Run()
    try:
        _prepare(folder)
        os.environ.update(agent or {})
        _require_space(folder)
        return _start(config, spec, folder)
    except Exception as error:
        _warn("wandb holds nothing of this run, whose results are in the store", error)
        _reset()
        return Run()


def _start(config: TrackerConfig, spec: RunSpec, folder: Path) -> Run:
    import wandb

    def start(mode: Any) -> Run:
        run = wandb.init(
            project=config.project,
            entity=config.entity,
            id=spec.identity,
            name=spec.name,
            group=spec.group,
            job_type=spec.job_type,
            config=published(spec.config),
            dir=folder,
            mode=mode,
            resume="allow" if spec.continued and mode != "offline" else None,
            reinit="finish_previous",
            settings=wandb.Settings(
                console="off",
                disable_code=True,
                disable_git=True,
                finish_timeout=FINISH_TIMEOUT,
                finish_timeout_raises=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_disable_stats=True,
                x_transaction_log_flush_interval=1,  # else a kill loses the last seconds of curves
            ),
        )
        return WandbRun(run, spec, folder)

    mode = _mode()
    try:
        return start(mode)
    except Exception as error:
        if mode == "offline":
            raise
        _go_offline(error)
        return start("offline")


def _require_space(folder: Path) -> None:
    """Write to the folder: wandb would take the system's, or lose values on a full disk."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"0" * (1 << 16))


def _go_offline(error: Exception) -> None:
    """Keep all later runs of this process offline."""
    os.environ["WANDB_MODE"] = "offline"
    _warn("wandb is offline for this run", error)
    _reset()


def _reset() -> None:
    """End wandb's process, which may be gone or hold a run that failed; the next run starts one."""
    with suppress(Exception, SystemExit):
        import wandb

        wandb.teardown()


def _warn(what: str, error: Exception) -> None:
    """Warn of something once in this process."""
    if what not in _warned:
        _warned.add(what)
        log.warning("warning: %s (%s)", what, short(error) or type(error).__name__)


def _prepare(folder: Path) -> None:
    """Set where wandb writes; a full disk must not fill the terminal with errors of its log."""
    for variable in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        os.environ.setdefault(variable, str(folder.resolve()))
    os.environ.setdefault("WANDB_SILENT", "true")
    if AGENT[0] in os.environ:  # else all runs of this process would be that of the sweep
        _agent.update({name: os.environ.pop(name) for name in AGENT if name in os.environ})
    logging.raiseExceptions = False


def _mode() -> str:
    return os.environ.get("WANDB_MODE") or ("online" if _logged_in() else "offline")


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
