"""Progress of units that run in many processes: workers write counts, the driver adds them up."""

import math
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toedit.corpora.files import read_json, write_json
from toedit.document import Document
from toedit.machine import measured
from toedit.pipeline.base import EDITED, SCORES, TOKENS, FolderStep
from toedit.progress import progress

INTERVAL = 0.5
"""Seconds between two writes of a worker's count, and two readings of all counts."""

COUNTS = re.compile(rb"(\d{1,18}(?:\.\d{1,3})?) (\d{1,18})")
"""Documents, also parts of one, and tokens, as a worker writes them."""


MEASURED = "measured"
"""Folder next to the counts with what each unit used."""


class _Counts:
    """Counts of a unit in a file, which is written now and then."""

    def __init__(self, path: Path) -> None:
        self.path, self.written = path, time.monotonic()
        self.documents = self.tokens = 0.0
        self.write()

    def write(self) -> None:
        self.path.write_text(f"{max(self.documents, 0):.2f} {max(self.tokens, 0):.0f}")
        self.written = time.monotonic()

    def add(self, documents: float, tokens: float) -> None:
        self.documents, self.tokens = self.documents + documents, self.tokens + tokens
        if time.monotonic() - self.written > INTERVAL:
            self.write()


_open: list[tuple[_Counts, int]] = []
"""Counts of the unit that this process works on, and how many slow steps tell :func:`passed`."""


def passed(documents: float, tokens: int) -> None:
    """Count documents, also parts of one, and tokens that a slow step is done with.

    A document counts in equal parts for each of these steps, so that the count moves while a step
    works on a group.
    """
    if _open and _open[-1][1]:
        counts, steps = _open[-1]
        counts.add(documents / steps, tokens / steps)


class CountProgress(FolderStep):
    """Count documents and tokens as they pass, or as slow steps before say (:func:`passed`); write
    the counts to a file of this worker's unit, and at its end what it used
    (:func:`toedit.machine.measured`).

    Args:
        folder: of the counts.
        slow: number of slow steps before.
    """

    name, type = "progress", "counter"

    def __init__(self, folder: str, slow: int = 0) -> None:
        super().__init__(folder)
        self.slow = slow

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        path = Path(self.folder) / f"{rank:05d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        started, counts = time.monotonic(), _Counts(path)
        documents = tokens = 0
        _open.append((counts, self.slow))
        try:
            for document in data:
                edited, scores = document.metadata.get(EDITED), document.metadata.get(SCORES)
                known = scores.tokens if scores else document.metadata.get(TOKENS, ())
                more = edited.stats.tokens if edited else len(known)
                documents, tokens = documents + 1, tokens + more
                if not self.slow:
                    counts.add(1, more)
                yield document
        finally:
            _open.pop()
        counts.documents, counts.tokens = documents, tokens
        counts.write()
        used = measured(time.monotonic() - started)
        write_json(path.parents[1] / MEASURED / path.name, used)


def forget_unfinished(counts: Path, completions: Path) -> None:
    """Delete the counts of units that were begun and will be done again."""
    for path in counts.glob("*"):
        if path.is_file() and not (completions / path.name).exists():
            path.unlink()


def _total(folder: Path) -> tuple[float, int]:
    """Documents and tokens counted by all workers; ignores a file that is not (yet) two counts."""
    files = (path.read_bytes() for path in folder.glob("*") if path.is_file())
    counts = [found.groups() for found in map(COUNTS.fullmatch, files) if found]
    return sum(float(count[0]) for count in counts), sum(int(count[1]) for count in counts)


@dataclass
class Speed:
    """Tokens and seconds of a piece of work.

    Attributes:
        tokens: of all its units.
        seconds: from its begin to its end; of work elsewhere, the sum over its units.
        measured: what work elsewhere used, for its record.
    """

    tokens: int = 0
    seconds: float = 0.0
    measured: dict[str, Any] = field(default_factory=dict)


def speed_elsewhere(work: Path) -> Speed:
    """Speed of units that other machines have processed, by what they measured there."""
    units = [read_json(path, dict) for path in sorted((work / MEASURED).glob("*"))]
    if not units:
        return Speed()
    seconds = sum(unit["seconds"] for unit in units)
    peak = max(unit["peak_memory_gb"] for unit in units)
    used = {**units[-1], "seconds": round(seconds, 2), "peak_memory_gb": peak}
    return Speed(_total(work / "progress")[1], seconds, used)


@contextmanager
def watch(folder: Path, documents: int | None, label: str) -> Iterator[Speed]:
    """Show the progress of all workers together, with tokens/s and remaining time.

    ``documents`` is the total, None if unknown. Yields tokens and seconds, updated while the block
    runs and final when it ends.
    """
    speed = Speed()
    done, tokens_before = _total(folder)
    stop, started = threading.Event(), time.monotonic()
    most = math.inf if documents is None else documents
    with progress(documents, label, "documents", min(done, most)) as work:

        def refresh() -> None:
            now, tokens = _total(folder)
            speed.tokens, speed.seconds = tokens - tokens_before, time.monotonic() - started
            rate = speed.tokens / max(speed.seconds, 1e-9)
            work.rate = f"{rate:,.0f} tokens/s" if speed.tokens > 0 else ""
            work.done = min(now, most)

        def poll() -> None:
            while not stop.wait(INTERVAL):
                refresh()

        thread = threading.Thread(target=poll, daemon=True)
        thread.start()
        try:
            yield speed
        finally:
            stop.set()
            thread.join()
            refresh()
