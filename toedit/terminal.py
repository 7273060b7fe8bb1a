"""What commands show while they work: lines, and one line of progress per piece of work.

Both go to standard error. In a terminal the progress is one line that is drawn again and goes at
its end; elsewhere it is a plain line now and then. Inside :func:`captured` everything else that is
written, also by native code and other processes, goes to a log file, which has the lines too.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import get_terminal_size
from subprocess import PIPE, Popen, TimeoutExpired
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from toedit.errors import UserError
from toedit.redaction import without_secrets

if TYPE_CHECKING:
    from rich.console import Console

QUIET, NORMAL, VERBOSE = "quiet", "normal", "verbose"
OPTIONS = {"--quiet": QUIET, "--verbose": VERBOSE}
"""Options of every command that shows progress."""

NARROWEST = 40
INTERVAL = 30.0
"""Seconds between two plain lines of progress."""

OURS = {"toedit", "evals", "experiments", "hydra_plugins", "__main__"}
"""Packages whose log lines are shown."""

T = TypeVar("T")


@dataclass
class _State:
    """Of this process: how much is shown, where, the log file and the open line of progress."""

    level: str = NORMAL
    shown: TextIO | None = None
    log: TextIO | None = None
    work: "Work | None" = None


_state = _State()


def set_level(level: str) -> None:
    """Choose how much is shown: :data:`QUIET`, :data:`NORMAL` or :data:`VERBOSE`."""
    _state.level = level


def without_options(words: list[str]) -> list[str]:
    """The words of a command line without :data:`OPTIONS`, which are followed; the last counts."""
    set_level(next((OPTIONS[word] for word in reversed(words) if word in OPTIONS), NORMAL))
    return [word for word in words if word not in OPTIONS]


def is_quiet() -> bool:
    """Whether only warnings, errors and the place of the results are shown."""
    return _state.level == QUIET


def width() -> int:
    """Characters of a line: of the terminal, or 80."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            return max(NARROWEST, os.get_terminal_size(stream.fileno()).columns)
    return max(NARROWEST, get_terminal_size((80, 24)).columns)


def is_terminal() -> bool:
    """Whether progress can be drawn where lines are shown."""
    stream = _state.shown or sys.stderr
    with suppress(ValueError, AttributeError):
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    return False


def note(text: str, level: int = logging.INFO) -> None:
    """Show a line above the progress, and write it to the log file; of little importance
    (``logging.DEBUG``), show it only where no progress is drawn."""
    if _state.log is not None:
        print(text, file=_state.log, flush=True)
        if _state.level == VERBOSE:
            return  # the log file is copied to the terminal
    if (level < logging.WARNING and is_quiet()) or (level < logging.INFO and is_terminal()):
        return
    work = _state.work
    if work is not None and work.console is not None:
        work.console.print(text, markup=False, highlight=False, soft_wrap=True)
    else:
        print(text, file=_state.shown or sys.stderr, flush=True)


class Handler(logging.Handler):
    """Show log lines of this project; those of libraries go where libraries write."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record, without secrets."""
        try:
            text = without_secrets(self.format(record))
            if record.name.partition(".")[0] in OURS:
                note(text, record.levelno)
            else:
                print(text, file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


@contextmanager
def captured(path: Path) -> Iterator[None]:
    """Append what is written to standard output and error to a file, except :func:`note`.

    With :data:`VERBOSE` it is shown as well.
    """
    if _state.log is not None or sys.stdout is None or sys.stderr is None:
        yield
        return
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UserError(f"the log file {str(path)!r} is a link or no file: delete it", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    size = path.stat().st_size if path.exists() else 0
    sys.stdout.flush()
    sys.stderr.flush()
    with ExitStack() as stack:
        log: TextIO = open(path, "a", buffering=1, encoding="utf-8", errors="replace")  # noqa: SIM115
        copies = [os.dup(1), os.dup(2)]
        shown: TextIO = sys.stderr
        if _is_standard(sys.stderr, 2):
            shown = stack.enter_context(os.fdopen(os.dup(2), "w", buffering=1, errors="replace"))
        target = log.fileno()
        if _state.level == VERBOSE:
            target = _copied_to(path, copies[1], stack)
            log = stack.enter_context(os.fdopen(os.dup(target), "w", buffering=1))
        for number in (1, 2):
            os.dup2(target, number)
        if not _is_standard(sys.stdout, 1):
            stack.enter_context(redirect_stdout(log))
        if not _is_standard(sys.stderr, 2):
            stack.enter_context(redirect_stderr(log))
        _state.shown, _state.log = shown, log
        try:
            yield
        finally:
            _state.shown = _state.log = None
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            for number, copy in enumerate(copies, 1):
                os.dup2(copy, number)
                os.close(copy)
            with suppress(OSError):
                _redact(path, size)


def _is_standard(stream: TextIO, number: int) -> bool:
    with suppress(OSError, ValueError, AttributeError):
        return stream.fileno() == number
    return False


def _copied_to(path: Path, shown: int, stack: ExitStack) -> int:
    """A descriptor whose text goes to a file and is shown, by a process: writers may hold the GIL
    of this one."""
    tee = Popen(["tee", "-a", str(path)], stdin=PIPE, stdout=shown, start_new_session=True)
    assert tee.stdin is not None

    def end() -> None:
        with suppress(OSError):
            tee.stdin.close()  # type: ignore[union-attr]
        with suppress(TimeoutExpired):  # workers may still hold the pipe
            tee.wait(timeout=2)

    stack.callback(end)
    return tee.stdin.fileno()


def _redact(path: Path, start: int) -> None:
    """Remove secrets from the end of a log file, which libraries may have written."""
    with path.open("r+b") as file:
        file.seek(start)
        text = file.read()
        clean = without_secrets(text.decode(errors="replace")).encode()
        if clean != text.decode(errors="replace").encode():
            file.seek(start)
            file.write(clean)
            file.truncate()


@dataclass
class Work:
    """A piece of work and how much of it is done.

    Attributes:
        label: what it is.
        estimate: seconds that it was estimated to take; None if unknown.
        later: seconds that the rest of the run was estimated to take; None if there is no rest.
        total: of :attr:`unit`; None if unknown.
        unit: what is counted.
        done: how many.
        rate: how fast, as text; by default ``done`` per second.
    """

    label: str
    estimate: float | None = None
    later: float | None = None
    total: float | None = None
    unit: str = ""
    done: float = 0.0
    rate: str = ""
    console: "Console | None" = None
    started: float = field(default_factory=time.monotonic)
    _counted: tuple[float, float] = (0.0, 0.0)

    def count(self, total: float | None, unit: str, done: float = 0.0) -> None:
        """Begin to count."""
        self.total, self.unit, self.done, self.rate = total, unit, done, ""
        self._counted = (done, time.monotonic())

    def advance(self, number: float = 1) -> None:
        """Count more."""
        self.done += number

    @property
    def share(self) -> float | None:
        """Share that is done, of the count or of the estimated time; None if unknown."""
        if self.total and (self.done or not self.estimate):
            return min(1.0, self.done / self.total)
        if self.estimate:
            return min(0.99, (time.monotonic() - self.started) / self.estimate)
        return None

    @property
    def left(self) -> float | None:
        """Seconds left of this piece; None if unknown."""
        before, since = self._counted
        if self.total and self.done > before:
            spent = time.monotonic() - since
            return spent * max(0.0, self.total - self.done) / (self.done - before)
        left = (self.estimate or 0.0) - (time.monotonic() - self.started)
        return left if left > 0 else None

    def texts(self) -> list[str]:
        """Share, rate, time left, and time left of the run; empty where unknown."""
        before, since = self._counted
        rate, left = self.rate, self.left
        if not rate and self.unit and self.done > before:
            rate = f"{(self.done - before) / max(time.monotonic() - since, 1e-9):.3g} {self.unit}/s"
        run = "" if self.later is None else f"run {clock((left or 0.0) + self.later)} left"
        return [
            "" if self.share is None else f"{100 * self.share:.0f} %",
            rate,
            "" if left is None else f"{clock(left)} left",
            run,
        ]

    def __rich__(self) -> Any:
        """The line in a terminal."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(no_wrap=True, overflow="ellipsis", max_width=28)
        line.add_column(ratio=1)
        texts = [text for text in self.texts() if text]
        for _ in texts:
            line.add_column(no_wrap=True, justify="right")
        share, spent = self.share, time.monotonic() - self.started
        bar = ProgressBar(total=None if share is None else 1.0, completed=share or 0.0,
                          animation_time=spent)  # fmt: skip
        line.add_row(self.label, bar, *texts)
        return line


def clock(seconds: float) -> str:
    """A duration in its two largest units: ``3:05`` minutes, ``2 h 10 min``, ``3 d 4 h``."""
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


@contextmanager
def working(
    label: str, estimate: float | None = None, later: float | None = None
) -> Iterator[Work]:
    """Show the progress of a piece of work while the block runs.

    Work that begins inside another piece continues its line.

    Args:
        label: what it is.
        estimate: seconds that it may take.
        later: seconds that the rest of the run may take.
    """
    if _state.work is not None:
        yield _state.work
        return
    work = _state.work = Work(label, estimate, later)
    try:
        with _drawn(work):
            yield work
    finally:
        _state.work = None


@contextmanager
def progress(total: float | None, label: str, unit: str, done: float = 0.0) -> Iterator[Work]:
    """Count a piece of work; ``total`` is None if unknown."""
    with working(label) as work:
        work.count(total, unit, done)
        yield work


def counted(items: Iterable[T], label: str, unit: str, total: float | None = None) -> Iterator[T]:
    """Yield items and count them."""
    with progress(total, label, unit) as work:
        for item in items:
            yield item
            work.advance()


@contextmanager
def _drawn(work: Work) -> Iterator[None]:
    """Draw the line of a piece of work, or write plain lines, unless little is shown."""
    if is_quiet() or (_state.level == VERBOSE and _state.log is not None):
        yield
    elif is_terminal():
        from rich.console import Console
        from rich.live import Live

        stream = _state.shown or sys.stderr
        columns = os.get_terminal_size(stream.fileno()).columns or 80
        work.console = Console(file=stream, width=columns, highlight=False)
        is_captured = _state.log is not None
        with Live(
            work, console=work.console, refresh_per_second=4, transient=True,
            redirect_stdout=not is_captured, redirect_stderr=not is_captured,
        ):  # fmt: skip
            yield
    else:
        stop = threading.Event()

        def lines() -> None:
            while not stop.wait(INTERVAL):
                note("  ".join([work.label, *filter(None, work.texts())]))

        thread = threading.Thread(target=lines, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
