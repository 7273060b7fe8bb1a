"""What commands show: results on standard output, lines of progress on standard error.

Inside :func:`captured` everything else that is written, also by native code and other processes,
goes to a log file, which has the lines too.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import TextIOBase
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import TYPE_CHECKING, TextIO

from toedit.errors import UserError
from toedit.layout import fill, terminal_width
from toedit.redaction import without_secrets

if TYPE_CHECKING:
    from rich.console import Console

QUIET, NORMAL, VERBOSE = "quiet", "normal", "verbose"
OPTIONS = {"--quiet": QUIET, "--verbose": VERBOSE}
"""Options of every command that shows progress."""

OURS = {"toedit", "evals", "experiments", "hydra_plugins", "__main__"}
"""Packages whose log lines are shown."""


@dataclass
class State:
    """What this process shows.

    Attributes:
        level: how much.
        shown: where; None for standard error.
        log: the log file, which is open inside :func:`captured`.
        console: draws a line of progress at the moment.
    """

    level: str = NORMAL
    shown: TextIO | None = None
    log: TextIO | None = None
    console: "Console | None" = None


state = State()


def set_level(level: str) -> None:
    """Choose how much is shown: :data:`QUIET`, :data:`NORMAL` or :data:`VERBOSE`."""
    state.level = level


def without_options(words: list[str]) -> list[str]:
    """The words of a command line without :data:`OPTIONS`, which are followed; the last counts."""
    set_level(next((OPTIONS[word] for word in reversed(words) if word in OPTIONS), NORMAL))
    return [word for word in words if word not in OPTIONS]


def is_quiet() -> bool:
    """Whether only warnings, errors and the place of the results are shown."""
    return state.level == QUIET


def is_terminal() -> bool:
    """Whether progress can be drawn where lines are shown."""
    return _is_tty(state.shown or sys.stderr) and os.environ.get("TERM") != "dumb"


def note(text: str, level: int = logging.INFO) -> None:
    """Show a line above the progress, and write it to the log file; of little importance
    (``logging.DEBUG``), show it only where no progress is drawn."""
    if state.log is not None:
        print(text, file=state.log, flush=True)
        if state.level == VERBOSE:
            return  # the log file is copied to the terminal
    if (level < logging.WARNING and is_quiet()) or (level < logging.INFO and is_terminal()):
        return
    if state.console is not None:
        state.console.print(text, markup=False, highlight=False, soft_wrap=True)
    else:
        print(text, file=state.shown or sys.stderr, flush=True)


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


def show(text: str) -> None:
    """Print a result unless little is shown; in a terminal its long lines are wrapped."""
    if is_quiet():
        return
    if _is_tty(sys.stdout):
        text = "\n".join(_fitted(line) for line in text.split("\n"))
    print(text)


def blank() -> None:
    """Print an empty line before results, in a terminal."""
    if _is_tty(sys.stdout) and not is_quiet():
        print()


def _fitted(line: str) -> str:
    if len(line) <= terminal_width():
        return line
    indent = " " * (len(line) - len(line.lstrip()))
    return fill(line, terminal_width(), "", indent + "  ")


def _is_tty(stream: TextIO | None) -> bool:
    with suppress(ValueError, AttributeError):
        return stream.isatty()  # type: ignore[union-attr]
    return False


@contextmanager
def captured(path: Path | None) -> Iterator[None]:
    """Append what is written to standard output and error to a file, except :func:`note`.

    With :data:`VERBOSE` it is shown as well. Without a file it is dropped.

    Raises:
        UserError: the file is a link, or none.
    """
    shown_anyway = path is None and state.level == VERBOSE
    if state.log is not None or shown_anyway or None in (sys.stdout, sys.stderr):
        yield
        return
    path = Path(os.devnull) if path is None else path
    is_file = path.is_file() or path == Path(os.devnull)
    if path.is_symlink() or (path.exists() and not is_file):
        raise UserError(f"the log file {str(path)!r} is a link or no file: delete it", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    size = path.stat().st_size if path.exists() else 0
    sys.stdout.flush()
    sys.stderr.flush()
    with ExitStack() as stack:
        log: TextIO = stack.enter_context(path.open("a", 1, "utf-8", "replace"))
        copies = [os.dup(1), os.dup(2)]
        shown: TextIO = sys.stderr
        if _is_standard(sys.stderr, 2):
            shown = stack.enter_context(os.fdopen(os.dup(2), "w", buffering=1, errors="replace"))
        target = log.fileno()
        if state.level == VERBOSE:
            target = _copied_to(path, copies[1], stack)
            log = stack.enter_context(os.fdopen(os.dup(target), "w", buffering=1))
        for number in (1, 2):
            os.dup2(target, number)
        if not _is_standard(sys.stdout, 1):
            stack.enter_context(redirect_stdout(_ToLog(sys.stdout)))
        if not _is_standard(sys.stderr, 2):
            stack.enter_context(redirect_stderr(_ToLog(sys.stderr)))
        state.shown, state.log = shown, log
        try:
            yield
        finally:
            state.shown = state.log = None
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            for number, copy in enumerate(copies, 1):
                os.dup2(copy, number)
                os.close(copy)
            if path.is_file():
                with suppress(OSError):
                    _redact(path, size)


class _ToLog(TextIOBase):
    """Writes to the log file while it is open, then to the stream it stands for: handlers of
    libraries keep it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write text."""
        return (state.log or self.stream).write(text)

    def flush(self) -> None:
        """Flush the stream that is written to."""
        (state.log or self.stream).flush()

    def fileno(self) -> int:
        """Return the descriptor of the stream that is written to."""
        return (state.log or self.stream).fileno()


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
