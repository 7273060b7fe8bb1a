"""What changed between a source text and its edited version, as segments."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from toedit.corpora.columns import CHANGE
from toedit.corpora.documents import Reading
from toedit.corpora.files import damaged_as, parquet_files
from toedit.corpora.sources import local_documents
from toedit.document import Document
from toedit.errors import UserError

WORD = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True)
class Segment:
    """A run of text: unchanged where ``old`` equals ``new``.

    Attributes:
        old: what the source says.
        new: what the edited text says.
        probability: of the old token under the prior, where the edit recorded it.
        candidates: alternatives and their probabilities, where the edit recorded them.
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
    """One document's segments, and the share of its characters that changed."""

    id: str
    segments: list[Segment]

    @property
    def share(self) -> float:
        """Characters of the source that changed, as a share."""
        total = sum(len(s.old) for s in self.segments)
        return sum(len(s.old) for s in self.segments if s.changed) / max(total, 1)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"id": self.id, "share": self.share, "segments": [asdict(s) for s in self.segments]}


def from_changes(source: str, changes: Sequence[dict[str, Any]]) -> list[Segment]:
    """Segments of a text from its recorded changes.

    Args:
        source: the source text.
        changes: rows of ``changes``, for this document.

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
    """Segments of two texts by words, where no changes were recorded."""
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
    """Compares every edited document with the source of the same id.

    Args:
        source: files or a folder.
        edited: an output of ``toedit edit``, or files or a folder.
        reading: columns of text and id, in both.

    Raises:
        UserError: an edited document has no source.
    """
    folder = Path(edited)
    changes = recorded(folder / "changes")
    texts = folder / "data" if (folder / "data").is_dir() else folder
    sources = local_documents([source], reading)
    waiting: dict[str, Document] = {}
    for document in local_documents([texts], reading):
        original = waiting.pop(document.id, None)
        while original is None:
            candidate = next(sources, None)
            if candidate is None:
                raise UserError(
                    f"document {document.id!r} of {str(texts)!r} is not in {str(source)!r}"
                )
            if candidate.id == document.id:
                original = candidate
            else:
                waiting[candidate.id] = candidate
        yield Difference(
            document.id, _segments(original.text, document.text, changes.get(document.id))
        )


def _segments(source: str, edited: str, changes: list[dict[str, Any]] | None) -> list[Segment]:
    if source == edited:
        return [Segment(source, source)]
    if changes:
        try:
            segments = from_changes(source, changes)
        except ValueError:
            return from_texts(source, edited)
        if "".join(s.new for s in segments) == edited:
            return segments  # else the texts were edited more than once
    return from_texts(source, edited)


def recorded(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of ``changes`` by document id; empty where none were written."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in parquet_files(folder):
        with damaged_as(path):
            for row in pq.read_table(path, schema=CHANGE).to_pylist():
                found.setdefault(row["id"], []).append(row)
    return found
