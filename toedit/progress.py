"""One line of progress per piece of work.

In a terminal it is drawn again and goes at its end; elsewhere it is a plain line now and then.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from toedit.terminal import VERBOSE, is_quiet, is_terminal, note, state

INTERVAL = 30.0
"""Seconds between two plain lines."""

T = TypeVar("T")


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
        """Share, count, rate, time left, and time left of the run, in place of the count; empty
        where unknown."""
        before, since = self._counted
        rate, left = self.rate, self.left
        if not rate and self.unit and self.done > before:
            rate = f"{(self.done - before) / max(time.monotonic() - since, 1e-9):.3g} {self.unit}/s"
        run = "" if self.later is None else f"run {clock((left or 0.0) + self.later)} left"
        return [
            "" if self.share is None else f"{100 * self.share:.0f} %",
            *([] if self.later is not None else [self._count()]),
            rate,
            "" if left is None else f"{clock(left)}{',' if run else ' left'}",
            run,
        ]

    def _count(self) -> str:
        if not self.unit or not (self.total or self.done):
            return ""
        of = f" of {self.total:,.0f}" if self.total else ""
        return f"{self.done:,.0f}{of} {self.unit}"

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


_open: list["Work"] = []
"""The piece of work that is shown, if any."""


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
    if _open:
        yield _open[0]
        return
    work = Work(label, estimate, later)
    _open.append(work)
    try:
        with _drawn(work):
            yield work
    finally:
        _open.clear()


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


Heard = Callable[[float, int], None]
"""Is told of work that is done: documents, also parts of one, and tokens."""

_listeners: list[Heard] = []


@contextmanager
def hearing(listener: Heard) -> Iterator[None]:
    """Tell a function what :func:`done` says while the block runs, and no other function."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.pop()


def done(documents: float, tokens: int) -> None:
    """Say that more documents, also parts of one, and tokens are done, if anyone listens."""
    if _listeners:
        _listeners[-1](documents, tokens)


@contextmanager
def _drawn(work: Work) -> Iterator[None]:
    """Draw the line of a piece of work, or write plain lines, unless little is shown."""
    if is_quiet() or (state.level == VERBOSE and state.log is not None):
        yield
    elif is_terminal():
        from rich.console import Console
        from rich.live import Live

        stream = state.shown or sys.stderr
        columns = os.get_terminal_size(stream.fileno()).columns or 80
        state.console = Console(file=stream, width=columns, highlight=False)
        is_captured = state.log is not None
        live = Live(
            work, console=state.console, refresh_per_second=4, transient=True,
            redirect_stdout=not is_captured, redirect_stderr=not is_captured,
        )  # fmt: skip
        try:
            with live:
                yield
        finally:
            state.console = None
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
