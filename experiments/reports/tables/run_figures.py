"""Draw the figures of all runs whose results have changed since the last time."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.analysis.evidence import Evidence
from experiments.reports.plots import STYLE, paper_figure
from experiments.reports.report import figures_of
from experiments.store.runs import RESULTS, Run
from toedit.corpora.files import atomic_path

DRAWN = ".drawn"
"""File with the hash of the results that the figures in its folder show, and of their style."""


@dataclass(frozen=True)
class Picture:
    """A figure of a run: its file, and the number of the corresponding figure of the paper."""

    run: Run
    path: Path
    number: str


def draw(evidence: Evidence, folder: Path) -> tuple[list[Picture], int]:
    """Draw the figures of runs with new results into subfolders of ``folder``, one per run.

    Returns:
        All figures in the subfolders, and the number of runs whose figures were drawn now.
    """
    redrawn = 0
    pictures: list[Picture] = []
    folders: set[Path] = set()
    for run in evidence.distinct:
        functions = figures_of(run.plan)
        source = run.folder / RESULTS
        if not functions or not source.is_file():
            continue
        digest = hashlib.sha256(source.read_bytes() + bytes([STYLE])).hexdigest()
        target = folder / run.folder.name
        if target in folders:  # another store has other numbers under this name
            target = folder / f"{run.folder.name}-{digest[:6]}"
        folders.add(target)
        mark = target / DRAWN
        if not mark.is_file() or mark.read_text() != digest:
            values = evidence.page(run)
            if not values:
                continue
            redrawn += 1
            target.mkdir(parents=True, exist_ok=True)
            with evidence.refusing(run):
                for function in functions:
                    function(values, target)
                with atomic_path(mark) as temporary:
                    temporary.write_text(digest)
            if str(source) in evidence.refused:
                continue
        for path in sorted(target.glob("*.png")):
            pictures.append(Picture(run, path, paper_figure(run.plan, path.stem)))
    return pictures, redrawn


def redraw(evidence: Evidence, folder: Path) -> None:
    """Draw the figures ``PLAN_NAME.png`` of a folder again, of the newest run of each plan."""
    with TemporaryDirectory() as drawn:
        for picture in sorted(draw(evidence, Path(drawn))[0], key=lambda own: own.run.finished):
            target = folder / f"{picture.run.plan}_{picture.path.name}"
            if target.is_file():
                target.write_bytes(picture.path.read_bytes())
