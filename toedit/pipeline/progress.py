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

COUNTS = re.compile(rb"(\d{1,18}) (\d{1,18})")
"""Documents and tokens, as a worker writes them."""


MEASURED = "measured"
"""Folder next to the counts with what each unit used."""


class CountProgress(FolderStep):
    """Count documents and tokens as they pass; write the counts to a file of this worker's unit,
    and at its end what it used (:func:`toedit.machine.measured`)."""

    name, type = "progress", "counter"

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        path = Path(self.folder) / f"{rank:05d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0 0")
        started = written = time.monotonic()
        tokens = count = 0
        for count, document in enumerate(data, 1):
            edited, scores = document.metadata.get(EDITED), document.metadata.get(SCORES)
            known = scores.tokens if scores else document.metadata.get(TOKENS, ())
            tokens += edited.stats.tokens if edited else len(known)
            if time.monotonic() - written > INTERVAL:
                path.write_text(f"{count} {tokens}")
                written = time.monotonic()
            yield document
        path.write_text(f"{count} {tokens}")
        used = measured(time.monotonic() - started)
        write_json(path.parents[1] / MEASURED / path.name, used)


def _total(folder: Path) -> tuple[int, int]:
    """Documents and tokens counted by all workers; ignores a file that is not (yet) two counts."""
    files = (path.read_bytes() for path in folder.glob("*") if path.is_file())
    counts = [tuple(map(int, found.groups())) for found in map(COUNTS.fullmatch, files) if found]
    return sum(count[0] for count in counts), sum(count[1] for count in counts)


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
            work.rate = f"{speed.tokens / max(speed.seconds, 1e-9):,.0f} tokens/s"
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
