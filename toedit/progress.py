"""Progress of work that many processes share: workers write counts, the driver adds them up."""

import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

INTERVAL = 0.5
"""Seconds between what a worker writes down."""


class Count:
    """A worker's count of documents and tokens, kept in a file that the driver reads."""

    def __init__(self, folder: str | Path, rank: int) -> None:
        self.path = Path(folder) / f"{rank:05d}"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.documents = self.tokens = 0
        self.write()

    def add(self, tokens: int) -> None:
        """Counts one document; the file follows now and then."""
        self.documents += 1
        self.tokens += tokens
        if time.monotonic() - self.written > INTERVAL:
            self.write()

    def write(self) -> None:
        """Writes the count down."""
        self.written = time.monotonic()
        self.path.write_text(f"{self.documents} {self.tokens}")


def _total(folder: Path) -> tuple[int, int]:
    pairs = (
        [path.read_text().split() for path in sorted(folder.glob("*"))] if folder.is_dir() else []
    )
    counts = [(int(pair[0]), int(pair[1])) for pair in pairs if len(pair) == 2]
    return sum(c[0] for c in counts), sum(c[1] for c in counts)


@dataclass
class Speed:
    """Tokens and seconds of a piece of work."""

    tokens: int = 0
    seconds: float = 0.0


@contextmanager
def watch(folder: str | Path, documents: int | None, label: str) -> Iterator[Speed]:
    """Shows one bar over all workers, with tokens/s and the time left, while the block runs.

    Args:
        folder: where the workers count.
        documents: how many there are; None where nobody knows.
        label: what the bar says.

    Yields:
        Tokens and seconds, filled when the block ends.
    """
    speed = Speed()
    folder = Path(folder)
    done, tokens_before = _total(folder)
    stop, started = threading.Event(), time.monotonic()
    interval = 0.5 if sys.stderr.isatty() else 10.0  # a log file wants few lines
    most = math.inf if documents is None else documents
    with tqdm(
        total=documents, initial=min(done, most), unit="doc", desc=label, mininterval=interval
    ) as bar:

        def refresh() -> None:
            now, tokens = _total(folder)
            rate = (tokens - tokens_before) / max(time.monotonic() - started, 1e-9)
            bar.set_postfix_str(f"{rate:,.0f} tokens/s", refresh=False)
            bar.update(max(0, min(now, most) - bar.n))

        def poll() -> None:
            while not stop.wait(interval):
                refresh()

        thread = threading.Thread(target=poll, daemon=True)
        thread.start()
        try:
            yield speed
        finally:
            stop.set()
            thread.join()
            refresh()
            speed.tokens = _total(folder)[1] - tokens_before
            speed.seconds = time.monotonic() - started
