"""Compare source documents with their edited versions, as segments of text."""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from toedit.corpora.columns import CHANGE
from toedit.corpora.documents import Reading
from toedit.corpora.files import damaged_as, parquet_files
from toedit.corpora.sources import local_documents
from toedit.errors import UserError

WORD = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True)
class Segment:
    """A piece of text, unchanged if ``old`` equals ``new``.

    Attributes:
        old: text of the source.
        new: edited text.
        probability: of the old token under the prior, if the edit recorded it.
        candidates: alternatives and their probabilities, if the edit recorded them.
    """

    old: str
    new: str
    probability: float | None = None
    candidates: list[tuple[str, float]] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether the two differ."""
        return self.old != self.new


@dataclass(frozen=True)
class Difference:
    """The segments of a document."""

    id: str
    segments: list[Segment]

    @property
    def share(self) -> float:
        """Share of the source's characters that changed."""
        total = sum(len(s.old) for s in self.segments)
        return sum(len(s.old) for s in self.segments if s.changed) / max(total, 1)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"id": self.id, "share": self.share, "segments": [asdict(s) for s in self.segments]}


def from_changes(source: str, changes: Sequence[dict[str, Any]]) -> list[Segment]:
    """Divide a source text into segments by its recorded changes, rows of :data:`CHANGE`.

    Raises:
        ValueError: a change does not fit the text.
    """
    segments, position = [], 0
    for change in sorted(changes, key=lambda change: change["start"]):
        start, old = change["start"], change["old"]
        if start < position or source[start : start + len(old)] != old:
            raise ValueError(f"no {old!r} at character {start}")
        if source[position:start]:
            segments.append(Segment(source[position:start], source[position:start]))
        alternatives = list(zip(change["candidates"], change["probabilities"], strict=True))
        segments.append(Segment(old, change["new"], change["probability"], alternatives))
        position = start + len(old)
    if source[position:]:
        segments.append(Segment(source[position:], source[position:]))
    return segments


def from_texts(source: str, edited: str) -> list[Segment]:
    """Divide two texts into segments by a diff of their words."""
    old, new = WORD.findall(source), WORD.findall(edited)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return [
        Segment("".join(old[a:b]), "".join(new[c:d])) for _, a, b, c, d in matcher.get_opcodes()
    ]


def differences(
    source: str | Path,
    edited: str | Path,
    reading: Reading = Reading(unpack=False),  # noqa: B008
) -> Iterator[Difference]:
    """Compare every edited document with the source document of the same id.

    ``source`` is a file or folder; ``edited`` is one too, or an output of ``toedit edit``.

    Raises:
        UserError: an edited document has no source document.
    """
    folder = Path(edited)
    changes = read_changes(folder / "changes")
    texts = folder / "data" if (folder / "data").is_dir() else folder
    sources = local_documents([source], reading)
    unmatched: dict[str, str] = {}
    for document in local_documents([texts], reading):
        while document.id not in unmatched:
            original = next(sources, None)
            if original is None:
                raise UserError(
                    f"document {document.id!r} of {str(texts)!r} is not in {str(source)!r}"
                )
            unmatched[original.id] = original.text
        text = unmatched.pop(document.id)
        yield Difference(document.id, _segments(text, document.text, changes.get(document.id)))


def _segments(source: str, edited: str, changes: list[dict[str, Any]] | None) -> list[Segment]:
    if source == edited:
        return [Segment(source, source)]
    if changes:
        with suppress(ValueError):
            segments = from_changes(source, changes)
            if "".join(s.new for s in segments) == edited:
                return segments  # else the texts were edited more than once
    return from_texts(source, edited)


def read_changes(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Recorded changes by document id; empty if the folder holds none."""
    changes = defaultdict(list)
    for path in parquet_files(folder):
        with damaged_as(path):
            for row in pq.read_table(path, schema=CHANGE).to_pylist():
                changes[row["id"]].append(row)
    return changes
