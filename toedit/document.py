"""A document, its tokens, the windows they are scored in, and the way back to a string.

Edits return to text by splicing: the source string is kept and only the spans of changed tokens are
replaced. What is not edited is therefore byte-identical, whatever the tokenizer normalises.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Document:
    """A text with its id and everything else its source said about it.

    Attributes:
        id: names the document and keys its randomness.
        text: the text.
        metadata: the other columns of its record.
        editable: spans of characters that may change; None for the whole text. What lies outside,
            such as a prompt, is context.
    """

    id: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    editable: tuple[tuple[int, int], ...] | None = None


@dataclass
class Tokens:
    """A document's tokens and where each stands in its text.

    Attributes:
        ids: int32 ``[n]``.
        starts: int32 ``[n]``, first character of each token.
        ends: int32 ``[n]``, one past its last character.
        whole: bool ``[n]``: the token's own text stands at its span, so that the span can be
            replaced. False for special tokens, for tokens that are not valid UTF-8 alone, and where
            the tokenizer normalised the text.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    whole: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def locate(
    text: str, ids: Sequence[int], offsets: Sequence[tuple[int, int]], pieces: Sequence[str | None]
) -> Tokens:
    """Finds the span of each token, trusting only what stands in the text.

    A tokenizer's offsets may leave out a leading space or cover the whole of a character that
    several tokens share, so a span counts as the token's own only where the text there, ending at
    the token's last character, is the token's own text.

    Args:
        text: the document.
        ids: token ids ``[n]``.
        offsets: character offsets of each token, as the tokenizer reports them.
        pieces: the text of each token id alone, None where it has none.

    Returns:
        The located tokens.
    """
    starts = np.zeros(len(ids), np.int32)
    ends = np.zeros(len(ids), np.int32)
    whole = np.zeros(len(ids), bool)
    previous_end = 0
    for i, (token, (start, end)) in enumerate(zip(ids, offsets, strict=True)):
        piece = pieces[token] if token < len(pieces) else None
        if piece:
            own = end - len(piece)
            if own >= previous_end and text[own:end] == piece:
                start, whole[i] = own, True
        starts[i], ends[i] = start, end
        previous_end = max(previous_end, end)
    return Tokens(np.asarray(ids, np.int32), starts, ends, whole)


def splice(text: str, tokens: Tokens, replacements: dict[int, str]) -> str:
    """The text with some tokens replaced.

    Args:
        text: the source document.
        tokens: its located tokens.
        replacements: token index to new text; an empty string deletes the token.

    Returns:
        The edited text; everything outside the replaced spans is unchanged.

    Raises:
        ValueError: a token to be replaced does not own its span.
    """
    parts, position = [], 0
    for index in sorted(replacements):
        if not tokens.whole[index]:
            raise ValueError(f"token {index} does not own its span and cannot be replaced")
        parts += [text[position : tokens.starts[index]], replacements[index]]
        position = int(tokens.ends[index])
    return "".join([*parts, text[position:]])


def inside(tokens: Tokens, spans: Sequence[tuple[int, int]] | None) -> np.ndarray | None:
    """bool ``[n]``: tokens that lie in one of the spans as a whole; None where spans are None."""
    if spans is None:
        return None
    mask = np.zeros(len(tokens), bool)
    for start, end in spans:
        mask |= (tokens.starts >= start) & (tokens.ends <= end)
    return mask


def shifted(
    spans: Sequence[tuple[int, int]] | None, tokens: Tokens, replacements: dict[int, str]
) -> tuple[tuple[int, int], ...] | None:
    """Where spans of the source stand after :func:`splice` with the same replacements."""
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
    """A run of a document's tokens scored in one forward pass.

    Tokens ``start`` to ``stop`` are the input; those from ``score_from`` on are scored here, the
    ones before it only give context.
    """

    start: int
    stop: int
    score_from: int


def windows(n: int, size: int, overlap: int) -> Iterator[Window]:
    """Overlapping windows in which every token is scored exactly once.

    A document that fits is one window. In a longer one every later token sees at least ``overlap``
    tokens of context.

    Args:
        n: tokens in the document.
        size: most tokens in a window.
        overlap: tokens of context that a later window repeats; less than ``size``.

    Yields:
        Windows in order; their ``[score_from, stop)`` ranges partition ``[0, n)``.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"overlap {overlap} must be at least 0 and less than the window of {size} tokens"
        )
    scored = 0
    while scored < n:
        start = max(0, scored - overlap) if scored else 0
        stop = min(n, start + size)
        yield Window(start, stop, scored)
        scored = stop
