"""What jobs of a sweep note of themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toedit.corpora.files import read_json

NOTE, LOG = "job.json", "job.log"
DONE, CACHED, PLANNED = "done", "cached", "planned"
FAILED, SUBMITTED, INTERRUPTED = "failed", "submitted", "interrupted"
RUNNING, LOST, WAITING = "running", "lost", "not begun"


@dataclass
class Note:
    """What became of a job; see :data:`NOTE`.

    Attributes:
        number: of the job, from 0.
        overrides: all that was given to it.
        state: one of the states above.
        seconds: it took.
        reason: why it failed.
        log: file with the rest of what is to be said about that.
        report: folder of its report.
        experiment: its name.
        objective: metric that a search goes by, and whether it is to be large.
        value: of the metric.
        tracker: where it was logged.
    """

    number: int
    overrides: list[str]
    state: str = RUNNING
    seconds: float = 0.0
    reason: str = ""
    log: str = ""
    report: str = ""
    experiment: str = ""
    objective: str | None = None
    maximise: bool = False
    value: float | None = None
    tracker: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        """Values by field."""
        return dict(override.lstrip("+").partition("=")[::2] for override in self.overrides)


def notes(folder: Path, expected: Sequence[Sequence[str]] | None = None) -> list[Note]:
    """What became of the jobs of a sweep that has ended, by number.

    Args:
        folder: of the sweep.
        expected: overrides of every job, where they are known, to name those that did not begin.
    """
    found = [Note(**read_json(path)) for path in folder.glob(f"*/{NOTE}")]
    for note in found:
        if note.state == RUNNING:  # it would have said more
            note.state = LOST
            note.reason = "its process was killed or lost, or the memory ran out"
            log = folder / str(note.number) / LOG
            note.log = str(log) if log.exists() else ""
    begun = {note.number for note in found}
    for number, overrides in enumerate(expected or ()):
        if number not in begun:
            found.append(Note(number, list(overrides), WAITING))
    return sorted(found, key=lambda note: note.number)
