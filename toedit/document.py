"""Documents, their tokens with character spans, scoring windows, and splicing of edited tokens.

Edited tokens return to the text by splicing: only the spans of changed tokens are replaced in the
source string. The rest stays byte-identical, even where the tokenizer normalises text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Document:
    """A text with an id and metadata.

    Attributes:
        id: identifies the document and keys its random numbers.
        text: the text.
        metadata: the other columns of its record.
        editable: character spans that may change, such as those of responses; the rest is context.
            None if the whole text may change.
    """

    id: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    editable: tuple[tuple[int, int], ...] | None = None


@dataclass
class Tokens:
    """The tokens of a document and their character spans.

    Attributes:
        ids: int32 ``[n]``.
        starts: int32 ``[n]``, first character of each token.
        ends: int32 ``[n]``, one past its last character.
        has_exact_span: bool ``[n]``, the text at the span is the token's text, so that the token
            can be replaced. False for special tokens, tokens that are not valid UTF-8 alone, and
            text that the tokenizer normalised.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    has_exact_span: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def locate(
    text: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]], pieces: Sequence[str | None]
) -> Tokens:
    """Find the character span of each token.

    A tokenizer's offsets may omit a leading space, or cover a character that several tokens share.
    A span is therefore exact only if the document has the token's text there, ending at the token's
    last character.

    Args:
        text: the document.
        ids: token ids ``[n]``.
        offsets: character offsets of each token, as the tokenizer reports them.
        pieces: text of each token id on its own, None if it has none.
    """
    starts = np.zeros(len(ids), np.int32)
    ends = np.zeros(len(ids), np.int32)
    exact = np.zeros(len(ids), bool)
    previous_end = 0
    for i, (token, (start, end)) in enumerate(zip(ids, offsets, strict=True)):
        piece = pieces[token] if token < len(pieces) else None
        if piece:
            piece_start = end - len(piece)
            if piece_start >= previous_end and text[piece_start:end] == piece:
                start, exact[i] = piece_start, True
        starts[i], ends[i] = start, end
        previous_end = max(previous_end, end)
    return Tokens(np.asarray(ids, np.int32), starts, ends, exact)


def splice(text: str, tokens: Tokens, replacements: dict[int, str]) -> str:
    """Replace some tokens of a text.

    Args:
        text: the source document.
        tokens: its located tokens.
        replacements: new text by token index; an empty string deletes the token.

    Raises:
        ValueError: a token to be replaced has no exact span.
    """
    parts, position = [], 0
    for index in sorted(replacements):
        if not tokens.has_exact_span[index]:
            raise ValueError(f"token {index} does not own its span and cannot be replaced")
        parts += [text[position : tokens.starts[index]], replacements[index]]
        position = int(tokens.ends[index])
    return "".join([*parts, text[position:]])


def inside(tokens: Tokens, spans: Sequence[tuple[int, int]] | None) -> np.ndarray:
    """Mark the tokens that lie entirely in one of the spans, bool ``[n]``; all if spans is None."""
    if spans is None:
        return np.ones(len(tokens), bool)
    mask = np.zeros(len(tokens), bool)
    for start, end in spans:
        mask |= (tokens.starts >= start) & (tokens.ends <= end)
    return mask


def shifted(
    spans: Sequence[tuple[int, int]] | None, tokens: Tokens, replacements: dict[int, str]
) -> tuple[tuple[int, int], ...] | None:
    """Move spans of the source to their position after :func:`splice`."""
    if spans is None:
        return None
    growth = [
        (int(tokens.ends[i]), len(piece) - int(tokens.ends[i] - tokens.starts[i]))
        for i, piece in replacements.items()
    ]

    def moved(position: int) -> int:
        return position + sum(by for end, by in growth if end <= position)

    return tuple((moved(start), moved(end)) for start, end in spans)


@dataclass(frozen=True)
class Window:
    """Tokens of a document that are scored in one forward pass.

    The input is tokens ``start`` to ``stop``. Those before ``score_from`` only give context.
    """

    start: int
    stop: int
    score_from: int


def windows(n: int, size: int, overlap: int) -> Iterator[Window]:
    """Split a document into overlapping windows that score every token exactly once.

    Args:
        n: tokens in the document.
        size: maximum tokens in a window.
        overlap: tokens of context that each later window repeats; less than ``size``.

    Yields:
        Windows in order; their ``[score_from, stop)`` ranges partition ``[0, n)``.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"overlap {overlap} must be at least 0 and less than the window of {size} tokens"
        )
    scored = 0
    while scored < n:
        start = max(0, scored - overlap)
        stop = min(n, start + size)
        yield Window(start, stop, scored)
        scored = stop
