"""Figures of all runs, drawn again where what they show has changed."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.analysis.evidence import Evidence
from experiments.reports.report import figures_of
from experiments.store.runs import RESULTS, Run
from toedit.corpora.files import atomic_path

DRAWN = ".drawn"
"""Holds the hash of what the figures beside it show."""

SHOWS = {
    "1": ("theory", "generations"),
    "2, 9": ("pretrain", "perplexity"),
    "3, 10": ("statistics", "perplexity"),
    "4A": ("selection", "arms"),
    "4B": ("statistics", "map"),
    "5, 6": ("statistics", "probability"),
    "7, 8": ("pretrain", "loss"),
    "11": ("statistics", "ngrams"),
    "12, 13": ("statistics", "pairs"),
    "14": ("statistics", "density"),
}
"""Figures of the paper by what of ours stands for them: a plan, and a file of its pictures."""


@dataclass(frozen=True)
class Picture:
    """A figure of a run: its file, and the figures of the paper that it stands for, if any."""

    run: Run
    path: Path
    number: str


def draw(evidence: Evidence, folder: Path) -> tuple[list[Picture], int]:
    """Draws what has changed.

    Args:
        evidence: the runs.
        folder: where figures go, in a folder a run.

    Returns:
        All figures that are there now, and how many runs were drawn again.
    """
    again = 0
    pictures: list[Picture] = []
    folders: set[Path] = set()
    for run in evidence.distinct:
        draws = figures_of(run.plan)
        source = run.folder / RESULTS
        if not draws or not source.is_file():
            continue
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        own = folder / run.folder.name
        if own in folders:  # another store has other numbers under this name
            own = folder / f"{run.folder.name}-{digest[:6]}"
        folders.add(own)
        mark = own / DRAWN
        if not mark.is_file() or mark.read_text() != digest:
            values = read_page(run, evidence)
            if not values:
                continue
            again += 1
            own.mkdir(parents=True, exist_ok=True)
            try:
                for make in draws:
                    make(values, own)
            except (KeyError, TypeError):  # written by another version
                evidence.refused[str(source)] = "lacks what its figures show; run it again"
                continue
            with atomic_path(mark) as temporary:
                temporary.write_text(digest)
        pictures += _pictures(run, own)
    return pictures, again


def read_page(run: Run, evidence: Evidence, name: str = RESULTS) -> dict[str, Any]:
    """What the page of a run shows, or the edits beside it; nothing where there is no such file, or
    a damaged one, which is then noted as refused."""
    path = run.folder / name
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        evidence.refused[str(path)] = "is damaged"
        return {}
    return found if isinstance(found, dict) else {}


def _pictures(run: Run, folder: Path) -> Iterator[Picture]:
    numbers = {stem: number for number, (plan, stem) in SHOWS.items() if plan == run.plan}
    for path in sorted(folder.glob("*.png")):
        yield Picture(run, path, numbers.get(path.stem, ""))
