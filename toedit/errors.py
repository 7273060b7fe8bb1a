"""Errors that the user can correct; entry points report them in one line, without a traceback."""

import argparse
import difflib
import errno
import os
import re
import select
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage
from threading import Timer
from typing import Any, NoReturn

from toedit.layout import fill, terminal_width
from toedit.redaction import without_credentials

LARGEST = 10**15
"""The largest whole number that anything may be: of tokens, parameters and so on."""

LONGEST_LINE = 2000
"""Characters of an error line; lists of columns may be longer."""

SCALES = (1e-9, 1e9)
"""The range of temperatures and other factors: beyond it, divisions overflow."""

SEEDS = (0, 2**32 - 1)
"""The range of seeds."""


class UserError(Exception):
    """A mistake in input, configuration or environment that the user can correct.

    The message is one line: what is wrong, where, what is allowed, what to do. Entry points print
    it without a traceback and exit with code 2. ``path`` is the damaged file or folder, if any;
    ``details`` are lines to print below, where several things are wrong.
    """

    def __init__(
        self, message: str, path: str | Path | None = None, details: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.path = None if path is None else Path(path)
        self.details = tuple(details)


class Submitted(Exception):
    """Raised after work was submitted to a scheduler: nothing failed, nothing is finished."""


class Pruned(Exception):
    """Raised where a search ends a trial early: its results so far stay, unfinished."""


class Terminated(KeyboardInterrupt):
    """The process received SIGTERM, as a cluster sends before it takes a node away."""


_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff]|\r(?!\n)"
)


def printable(text: str) -> str:
    """Escape what would control a terminal: C0 and C1 but tab and newline, bidirectional marks."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def short(error: BaseException | str, length: int = 160) -> str:
    """An error's message on one line, cut to ``length`` characters."""
    return " ".join(str(error).split())[:length]


def damaged(path: str | Path, error: BaseException | str) -> UserError:
    """Make the error for a file that exists but cannot be decoded."""
    reason = short(error, 120) or type(error).__name__
    return UserError(f"{str(path)!r} is damaged ({reason})", path)


def suggest(name: str, allowed: Iterable[str]) -> str:
    """Phrase for an error message: the allowed name nearest to ``name``, and all allowed names."""
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed: {', '.join(names)}"


def require_probability(field: str, value: float | None) -> None:
    """Raise a :class:`UserError` unless ``value`` is None or lies in (0, 1]."""
    if value is not None and not 0 < value <= 1:
        raise UserError(f"{field}={value} is not a probability; allowed: (0, 1]")


def require_positive(group: str, config: Any, *names: str) -> None:
    """Raise a :class:`UserError` unless fields of ``config`` are None or finite and above 0.

    Whole numbers may be up to :data:`LARGEST`.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 < value < float("inf"):
            raise UserError(f"{group}.{name}={value} must be finite and greater than 0")
        if isinstance(value, int):
            require_within(group, config, 1, LARGEST, name)


def require_within(group: str, config: Any, low: float, high: float, *names: str) -> None:
    """Raise a :class:`UserError` unless fields of ``config`` are None or in a range."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not low <= value <= high:
            limits = (str(n) if isinstance(n, int) else f"{n:g}" for n in (low, high))
            field = f"{group}.{name}={str(value)[:40]}"
            raise UserError(f"{field} is out of range; allowed: {' to '.join(limits)}")


def require_choice(field: str, value: str, allowed: Iterable[str]) -> None:
    """Raise a :class:`UserError` unless ``value`` is one of ``allowed``."""
    names = list(allowed)
    if value not in names:
        shown = repr(value)[:100]
        raise UserError(f"{field}={shown} is unknown; {suggest(str(value)[:100], names)}")


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNUSABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR,
             errno.ENAMETOOLONG, errno.ELOOP}  # fmt: skip
# torch, safetensors and numpy write from native code: only texts of their errors name the cause.
_FULL_TEXT = re.compile(
    r"No space left on device|File too large|Disk quota exceeded|StorageFull|os error (27|28|122)"
    r"|PytorchStreamWriter failed|file write failed|unexpected pos \d+ vs \d+|iostream error"
    r"|\d+ requested and \d+ written"
)


def environment_problem(error: BaseException, folder: str | Path | None = None) -> str | None:
    """Explain a full disk or a missing permission in one line; None for any other error.

    Args:
        error: any error.
        folder: where was written, for errors that name no file.
    """
    for cause in causes_of(error):
        number = getattr(cause, "errno", None)
        name = getattr(cause, "filename", None)
        where = f" at {str(name)!r}" if name else ""
        if number in _FULL or _FULL_TEXT.search(str(cause)):
            where = where or f" at {str(_crowded(folder))!r}"
            reason = os.strerror(number) if number in _FULL else short(cause, 120)
            return (
                f"the disk is full{where} ({reason}); free some space, then the same command "
                "continues"
            )
        if number in _UNUSABLE and name:
            return (
                f"cannot read or write{where}: {os.strerror(number).lower()}; change the "
                "permission or choose another path"
            )
    return None


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error, its cause, the cause of that, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _crowded(folder: str | Path | None) -> str | Path:
    """The folder that was written to, or of those that libraries write to one without space."""
    hub = os.path.expanduser(os.environ.get("HF_HOME", "~/.cache/huggingface"))
    others = (os.environ.get("TMPDIR", "/tmp"), os.path.expanduser("~"), hub, os.getcwd())
    folders = [folder or os.getcwd(), *others]
    full = (path for path in folders if os.path.isdir(path) and disk_usage(path).free < 1 << 20)
    return next(full, folders[0])


@contextmanager
def writing_to(folder: str | Path) -> Iterator[None]:
    """Turn errors of a full disk into a :class:`UserError` that names the folder."""
    try:
        yield
    except (UserError, Submitted):
        raise
    except Exception as error:
        line = environment_problem(error, folder)
        if line is None:
            raise
        raise UserError(line) from error


def fail(message: str, details: Sequence[str] = ()) -> NoReturn:
    """Print one line, indented lines with details, and exit with code 2."""
    for start, text in (("error: ", message), *(("  ", detail) for detail in details)):
        line = short(" ".join(without_credentials(text).split()), LONGEST_LINE)
        line = f"{start}{printable(line)}"
        if sys.stderr.isatty():
            line = fill(line, terminal_width(), "", " " * len(start))
        print(line, file=sys.stderr)
    sys.exit(2)


class Parser(argparse.ArgumentParser):
    """Argument parser that takes values with a dash and reports a mistake in one line."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[override]
        """Parse as argparse does, after :meth:`_joined`."""
        words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(self._joined(words), namespace)

    def _joined(self, words: list[str]) -> list[str]:
        """Join options with values that begin with a dash (``--text-column=-x``), and write files
        of such names as ``./-x``; argparse takes both for options."""
        if self._subparsers is not None:
            return words
        joined: list[str] = []
        waiting = False  # for the value of the last word
        for number, word in enumerate(words):
            if word == "--":
                return joined + words[number:]
            dashed, actions = word.startswith("-"), self._named(word)
            if waiting and dashed and word.partition("=")[0] not in self._option_string_actions:
                joined[-1] += f"={word}"
                waiting = False
                continue
            unknown_file = dashed and not actions and Path(word).exists()
            joined.append(f"./{word}" if unknown_file else word)
            waiting = "=" not in word and bool(actions) and actions[0].nargs is None
        return joined

    def _named(self, word: str) -> list[argparse.Action]:
        """The options that a word names, in full or by its beginning."""
        name, options = word.partition("=")[0], self._option_string_actions
        if name in options or not name.startswith("--"):
            return [options[name]] if name in options else []
        return [action for option, action in options.items() if option.startswith(name)]

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with code 2."""
        fail(f"{message}; see {self.prog} --help")


def _stdout_closed() -> bool:
    """Whether the reader of standard output closed it, as ``| head`` does."""
    poller = select.poll()
    poller.register(sys.stdout, 0)
    return any(event & select.POLLERR for _, event in poller.poll(0))


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Run an entry point: end mistakes and interruptions in one line and an exit code.

    Exit codes: 2 for a mistake of the user, 75 for work submitted to a scheduler, 130 for Ctrl-C,
    143 for SIGTERM. Any other exception is a bug and keeps its traceback.
    """

    def terminate(number, frame):
        raise Terminated

    handler, hook = signal.signal(signal.SIGTERM, terminate), sys.unraisablehook

    def resend_signal(unraisable) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            terminated = isinstance(unraisable.exc_value, Terminated)
            number = signal.SIGTERM if terminated else signal.SIGINT
            timer = Timer(0.05, os.kill, (os.getpid(), number))
            timer.daemon = True
            timer.start()
        else:
            hook(unraisable)

    # Python ignores an exception in __del__, and with it a signal that arrives there.
    sys.unraisablehook = resend_signal
    try:
        yield
    except KeyboardInterrupt as stop:
        word, code = ("terminated", 143) if isinstance(stop, Terminated) else ("interrupted", 130)
        print(f"\n{word}: the same command continues where this one stopped", file=sys.stderr)
        sys.exit(code)
    except UserError as error:
        fail(str(error), error.details)
    except Submitted as submitted:
        print(f"{submitted}; when it is done the same command continues")
        sys.exit(75)  # EX_TEMPFAIL: try again later
    except BrokenPipeError:
        if not _stdout_closed():
            raise  # another pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        line = environment_problem(error)
        if line is None:
            raise
        fail(line)
    finally:
        signal.signal(signal.SIGTERM, handler)
        sys.unraisablehook = hook
