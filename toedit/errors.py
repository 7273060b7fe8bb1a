"""Mistakes the user can mend, and how every entry point ends on them: one line, no traceback."""

import argparse
import difflib
import errno
import os
import re
import select
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import NoReturn

LATER = 0.05
"""Seconds after which a lost signal is sent again."""


class UserError(Exception):
    """A mistake in input, configuration or environment that its reader can correct.

    The message is one line: what is wrong, where, what is allowed, what to do. Entry points print
    it without a traceback and exit with code 2.

    Args:
        message: the line.
        path: the file or folder that is damaged, where that is what is wrong.
    """

    def __init__(self, message: str, path: str | Path | None = None) -> None:
        super().__init__(message)
        self.path = None if path is None else Path(path)


class Submitted(Exception):
    """Work went to a scheduler; nothing is wrong, and nothing is finished."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), as a cluster does before it takes a node away."""


def damaged(path: str | Path, error: BaseException | str) -> UserError:
    """The error for a file that is there but cannot be read as what it should be."""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return UserError(f"{str(path)!r} is damaged ({reason})", path)


def suggest(name: str, allowed: Iterable[str]) -> str:
    """Says which names are allowed and which of them is nearest to ``name``.

    Args:
        name: what the user wrote.
        allowed: every valid name.

    Returns:
        A phrase to append to an error message.
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed: {', '.join(names)}"


def require_probability(field: str, value: float | None) -> None:
    """Raises a :class:`UserError` unless ``value`` is None or lies in (0, 1]."""
    if value is not None and not 0 < value <= 1:
        raise UserError(f"{field}={value} is not a probability; allowed: (0, 1]")


def require_choice(field: str, value: str, allowed: Iterable[str]) -> None:
    """Raises a :class:`UserError` unless ``value`` is one of ``allowed``."""
    names = list(allowed)
    if value not in names:
        raise UserError(f"{field}={value!r} is unknown; {suggest(str(value), names)}")


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNUSABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR}
# torch and safetensors write from native code and keep the system's reason in the text at most.
_FULL_TEXT = re.compile(
    r"No space left on device|File too large|Disk quota exceeded|StorageFull|os error (27|28|122)"
    r"|PytorchStreamWriter failed|file write failed"
)


def environment_problem(error: BaseException) -> str | None:
    """One line where an error means a full disk or a missing permission; None for any other."""
    cause: BaseException | None = error
    while cause is not None:
        number = getattr(cause, "errno", None)
        name = getattr(cause, "filename", None)
        where = f" at {str(name)!r}" if name else ""
        if number in _FULL or _FULL_TEXT.search(str(cause)):
            return (
                f"the disk is full{where} ({' '.join(str(cause).split())[:120]}); free some space, "
                "then the same command continues"
            )
        if number in _UNUSABLE and name:
            return (
                f"cannot read or write{where}: {os.strerror(number).lower()}; change the "
                "permission or choose another path"
            )
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return None


def fail(message: str) -> NoReturn:
    """Prints one line and exits with code 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


class Parser(argparse.ArgumentParser):
    """argparse with its mistakes told in one line."""

    def error(self, message: str) -> NoReturn:
        """Prints the line and exits with code 2."""
        fail(f"{message}; see {self.prog} --help")


def _unread() -> bool:
    """Whether the reader of our output went away, as ``| head`` does."""
    poller = select.poll()
    poller.register(sys.stdout, 0)
    return any(event & select.POLLERR for _, event in poller.poll(0))


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Runs an entry point: mistakes and interruptions end in one line and an exit code.

    2 for what the user can mend, 75 for work that went to a scheduler, 130 for Ctrl-C, 143 for
    SIGTERM; any other exception is a defect of ours and keeps its traceback.
    """

    def terminate(number, frame):
        raise Terminated

    before, hook = signal.signal(signal.SIGTERM, terminate), sys.unraisablehook

    def ask_again(lost) -> None:
        if isinstance(lost.exc_value, KeyboardInterrupt):
            stop = signal.SIGTERM if isinstance(lost.exc_value, Terminated) else signal.SIGINT
            timer = Timer(LATER, os.kill, (os.getpid(), stop))
            timer.daemon = True
            timer.start()
        else:
            hook(lost)

    sys.unraisablehook = ask_again  # a signal that arrives in some __del__ would be dropped there
    try:
        yield
    except KeyboardInterrupt as stop:
        word, code = ("terminated", 143) if isinstance(stop, Terminated) else ("interrupted", 130)
        print(f"\n{word}: the same command continues where this one stopped", file=sys.stderr)
        sys.exit(code)
    except UserError as error:
        fail(str(error))
    except Submitted as submitted:
        print(f"{submitted}; when it is done the same command continues")
        sys.exit(75)  # EX_TEMPFAIL: try again later
    except BrokenPipeError:
        if not _unread():
            raise  # some other pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        line = environment_problem(error)
        if line is None:
            raise
        fail(line)
    finally:
        signal.signal(signal.SIGTERM, before)
        sys.unraisablehook = hook
