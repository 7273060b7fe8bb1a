"""Compare source documents with their edited versions, as segments of text.

The recorded changes of every generation are composed into spans of the source, or the words of the
two texts are aligned where the records do not lead from one to the other. Either takes time linear
in the length of the text.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from toedit.alignment import aligned
from toedit.corpora import SHARDS
from toedit.corpora.columns import CHANGE
from toedit.corpora.conversations import turns
from toedit.corpora.documents import Reading
from toedit.corpora.files import damaged_as, parquet_files
from toedit.corpora.remote import copied
from toedit.corpora.sources import local_documents
from toedit.document import Document
from toedit.errors import UserError, short

WORD = re.compile(r"\s*\S+|\s+$")
EXPLAINED = 10_000
"""Changes of a document, from its beginning, that come with probability and candidates."""


class Segment(NamedTuple):
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
    candidates: Sequence[tuple[str, float]] = ()

    @property
    def changed(self) -> bool:
        """Whether the two differ."""
        return self.old != self.new


@dataclass(frozen=True)
class Difference:
    """The segments of a document.

    Attributes:
        id: of the document.
        segments: of its text.
        recorded: they are the changes that the edit recorded.
        turns: of a conversation or a pair, the character of the source at which each begins, and
            whose it is.
    """

    id: str
    segments: list[Segment]
    recorded: bool
    turns: Sequence[tuple[int, str]] = ()

    @cached_property
    def share(self) -> float:
        """Share of the source's characters that changed."""
        total = sum(len(s.old) for s in self.segments)
        return sum(len(s.old) for s in self.segments if s.changed) / max(total, 1)

    def by_turn(self) -> Iterator[tuple[str, list[Segment]]]:
        """The segments of each turn and whose it is; all of them, without a name, if it has none.

        A change that reaches into the next turn belongs to the one in which it begins.
        """
        waiting = deque(self.turns)
        speaker, found, position = "", list[Segment](), 0
        for segment in self.segments:
            while True:
                if waiting and waiting[0][0] <= position:
                    if found:
                        yield speaker, found
                    (_, speaker), found = waiting.popleft(), []
                    continue
                cut = waiting[0][0] - position if waiting else len(segment.old)
                if segment.changed or cut >= len(segment.old):
                    break
                found.append(Segment(segment.old[:cut], segment.new[:cut]))
                segment = Segment(segment.old[cut:], segment.new[cut:])
                position += cut
            found.append(segment)
            position += len(segment.old)
        yield speaker, found

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: an unchanged segment is its text, any other a list; ``{"role": ...}``
        stands before each turn."""
        segments: list[Any] = []
        for speaker, part in self.by_turn():
            segments += [{"role": speaker}] if speaker else []
            segments += [
                s.old if s.old == s.new else s[:2] if s.probability is None else s for s in part
            ]
        return {"id": self.id, "share": self.share, "recorded": self.recorded, "segments": segments}


def from_changes(source: str, edited: str, generations: Sequence[pa.Table]) -> list[Segment]:
    """Divide two texts into segments by recorded changes.

    Args:
        source: the text before the first generation.
        edited: the text after the last one.
        generations: the changes of each generation, rows of :data:`CHANGE`; their positions are
            those in the text that the generation read.

    Raises:
        ValueError: the changes do not lead from one text to the other.
    """
    spans, rows = np.empty((0, 4), np.int64), np.empty(0, np.int64)
    total = 0
    for table in generations:
        lengths = pc.utf8_length(table["old"]), pc.utf8_length(table["new"])
        start, old, new = (
            column.to_numpy().astype(np.int64) for column in (table["start"], *lengths)
        )
        if (start[1:] < (start + old)[:-1]).any():
            raise ValueError("changes of a generation overlap")
        later = np.stack([start, start + old, new - old], axis=1)
        spans, rows = _composed(spans, rows, later, np.arange(total, total + len(table)))
        total += len(table)
    return _divided(source, edited, spans, _explained(source, spans, rows, generations))


def _composed(
    spans: np.ndarray, rows: np.ndarray, later: np.ndarray, later_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compose changes of a text with later changes of the result; what overlaps becomes one span.

    Args:
        spans: int64 ``[n, 4]``, start and stop of each change in the source and in the result.
        rows: int64 ``[n]``, the recorded change that each span is; -1 for several.
        later: int64 ``[m, 3]``, start, stop and growth of each later change, in the result.
        later_rows: int64 ``[m]``.

    Returns:
        The spans of both, and the row of those that are as one change left or found them.
    """
    grown = (spans[:, 3] - spans[:, 2]) - (spans[:, 1] - spans[:, 0])
    start, stop = np.concatenate([spans[:, 2:], later[:, :2]]).T
    order = np.lexsort((stop, start))
    start, stop = start[order], stop[order]
    growth = np.zeros((len(order) + 1, 2), np.int64)  # by the earlier and the later changes
    growth[1 : len(spans) + 1, 0], growth[len(spans) + 1 :, 1] = grown, later[:, 2]
    growth[1:] = growth[1:][order]
    growth = growth.cumsum(axis=0)
    reach = np.maximum.accumulate(stop)
    first = np.flatnonzero(np.append(True, start[1:] >= reach[:-1])[: len(order)])
    after = np.append(first, len(order))[1:]
    begin, end = start[first], reach[after - 1]
    before_growth, after_growth = growth[first], growth[after]
    composed = [begin - before_growth[:, 0], end - after_growth[:, 0],
                begin + before_growth[:, 1], end + after_growth[:, 1]]  # fmt: skip
    span = np.repeat(np.arange(len(first)), after - first)
    alone = (after - first == 1)[span]
    whole = (order < len(spans)) & (start == begin[span]) & (stop == end[span])
    known = alone | whole
    found = np.full(len(first), -1)
    found[span[known]] = np.concatenate([rows, later_rows])[order][known]
    return np.stack(composed, axis=1), found


Explanation = tuple[float | None, Sequence[tuple[str, float]]]
"""Probability and candidates of a change."""


def _explained(
    source: str, spans: np.ndarray, rows: np.ndarray, generations: Sequence[pa.Table]
) -> list[Explanation]:
    """What was recorded of the first :data:`EXPLAINED` spans."""
    rows = rows[:EXPLAINED]
    table = pa.concat_tables(generations).take(rows[rows >= 0])
    recorded = iter(table.to_pylist())
    found: list[Explanation] = []
    for row, (start, stop) in zip(rows.tolist(), spans[:EXPLAINED, :2].tolist(), strict=True):
        change = next(recorded) if row >= 0 else None
        if change is None or change["old"] != source[start:stop]:
            found.append((None, ()))
        else:
            pairs = zip(change["candidates"], change["probabilities"], strict=True)
            found.append((change["probability"], list(pairs)))
    return found


def from_texts(source: str, edited: str) -> list[Segment]:
    """Divide two texts into segments by aligning their words."""
    words = WORD.findall(source), WORD.findall(edited)
    numbers: defaultdict[str, int] = defaultdict(lambda: len(numbers))
    items = [np.array([numbers[word] for word in text], np.int64) for text in words]
    ends = [np.cumsum([0, *map(len, text)]) for text in words]
    pairs = aligned(*items)
    before = np.concatenate([[[-1, -1]], pairs]) + 1  # where what follows an equal word begins
    after = np.concatenate([pairs, [[len(text) for text in words]]])
    differing = (before < after).any(axis=1)
    old, new = (
        ends[k][np.stack([before[differing, k], after[differing, k]], axis=1)] for k in (0, 1)
    )
    return _divided(source, edited, np.concatenate([old, new], axis=1))


def _divided(
    source: str, edited: str, spans: np.ndarray, explained: Sequence[Explanation] = ()
) -> list[Segment]:
    """Divide two texts at the spans that changed.

    Args:
        spans: int64 ``[n, 4]``, start and stop of each in the source and in the edited text.
        explained: what is known of the first of them.

    Raises:
        ValueError: the texts between the spans are not equal.
    """
    segments: list[Segment] = []
    position = new_position = 0
    ends = [len(source), len(source), len(edited), len(edited)]
    known = chain(explained, repeat((None, ())))
    for span, explanation in zip([*spans.tolist(), ends], known, strict=False):
        start, stop, new_start, new_stop = span
        text = source[position:start]
        if start < position or edited[new_position:new_start] != text:
            raise ValueError(f"the texts differ before character {start} of the source")
        if text:
            segments.append(Segment(text, text))
        segments.append(Segment(source[start:stop], edited[new_start:new_stop], *explanation))
        position, new_position = stop, new_stop
    return segments[:-1]


def differences(
    source: str | Path,
    edited: str | Path,
    reading: Reading = Reading(unpack=False),  # noqa: B008
) -> Iterator[Difference]:
    """Compare every edited document with the source document of the same id.

    ``source`` is a file, a folder or an address; ``edited`` too, or an output of ``toedit edit``.

    Raises:
        UserError: an edited document has no source document.
    """
    with copied(str(edited)) as place:
        yield from _differences(source, place, reading)


def _differences(source: str | Path, edited: str, reading: Reading) -> Iterator[Difference]:
    folder = Path(edited)
    changes = read_changes(folder / "changes")
    parts = (folder / name for name in ("data", SHARDS))  # of an output, of an edit stage
    texts = next((part for part in parts if part.is_dir()), edited)
    sources = local_documents([source], reading)
    unmatched: dict[str, Document] = {}
    original: Document | None = None
    for document in local_documents([texts], reading):
        while document.id not in unmatched:
            last, original = original, next(sources, None)
            if original is None:
                sides = [(str(source), last), (str(texts), document)]
                raise UserError(
                    f"document {document.id!r} of {str(texts)!r} is not in {str(source)!r}"
                    f"{_without_ids(sides, reading.id_column)}"
                )
            unmatched[original.id] = original
        known = unmatched.pop(document.id)
        segments, recorded = _segments(known.text, document.text, changes.get(document.id))
        yield Difference(document.id, segments, recorded, _turns(known, reading))


def _without_ids(sides: Sequence[tuple[str, Document | None]], column: str) -> str:
    """Which side has no column of ids, and what to do; empty if both have it."""
    for place, document in sides:
        if document is not None and column not in document.metadata:
            names = short(", ".join(map(str, document.metadata)), 400) or "none"
            return (
                f": {place!r} has no column {column!r} (its others: {names}), so its ids are file "
                "and row; name the column of ids that both have with --id-column"
            )
    return ""


def _turns(document: Document, reading: Reading) -> Sequence[tuple[int, str]]:
    """Where the turns of a document begin, and whose they are; nothing for a plain text."""
    if reading.prompt_column is not None and document.editable:
        return [(0, reading.prompt_column), (document.editable[0][0], reading.text_column)]
    if reading.messages_column is None or not document.text:
        return []
    return turns(document.metadata[reading.messages_column])


def _segments(
    source: str, edited: str, generations: list[pa.Table] | None
) -> tuple[list[Segment], bool]:
    """The segments of two texts, and whether they are recorded changes."""
    if source == edited:
        return [Segment(source, source)], True
    if generations:
        with suppress(ValueError):
            return from_changes(source, edited, generations), True
    return from_texts(source, edited), False


def read_changes(folder: Path) -> dict[str, list[pa.Table]]:
    """Recorded changes by document id, a table per generation; empty if the folder holds none."""
    changes = defaultdict(list)
    for path in parquet_files(folder):
        with damaged_as(path):
            table = pq.read_table(path, schema=CHANGE)
        keys = table["id"], table["generation"].fill_null(0)  # old outputs hold the last one alone
        equal = pc.and_(*(pc.equal(key[1:], key[:-1]) for key in keys)).to_numpy()
        edges = [0, *(np.flatnonzero(~equal) + 1).tolist(), len(table)] if len(table) else []
        for start, stop in pairwise(edges):
            changes[keys[0][start].as_py()].append(table.slice(start, stop - start))
    return changes
