"""Packing documents into blocks of equal length for training."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from toedit.errors import UserError


def pack(
    texts: Iterable[str],
    tokenizer: Any,
    separator: int,
    block_size: int,
    tokens: int,
    what: str = "the text",
    spans: Iterable[Sequence[tuple[int, int]]] | None = None,
) -> np.ndarray:
    """The first ``tokens`` tokens of the documents, joined by a separator and cut into blocks.

    Documents follow each other in one stream, as in the pre-training of GPT-2 and OLMo: a block may
    hold several, and attention masks between them are up to training.

    Args:
        texts: documents, in order.
        tokenizer: a tokenizer of transformers.
        separator: token id written after every document.
        block_size: tokens in a block.
        tokens: tokens wanted; the last partial block is dropped.
        what: name of the text, for the error message.
        spans: spans of characters of each document, whose tokens are marked.

    Returns:
        int32 ``[tokens // block_size, block_size]``; with spans of :data:`MARKED`.

    Raises:
        UserError: the text holds fewer tokens, so arms could not be compared at equal tokens.
    """
    wanted = tokens // block_size * block_size
    stream = np.empty(wanted, np.int32)
    marked = np.zeros(0 if spans is None else wanted, bool)
    filled = 0
    for text, marks in zip(texts, repeat(()) if spans is None else spans, strict=False):
        found = tokenizer(
            text, add_special_tokens=False, verbose=False, return_offsets_mapping=bool(marks)
        )
        ids = [*found.input_ids, separator]
        take = min(len(ids), wanted - filled)
        stream[filled : filled + take] = ids[:take]
        if marks:
            inside = [*_overlap(np.array(found.offset_mapping), marks), False]
            marked[filled : filled + take] = inside[:take]
        filled += take
        if filled == wanted:
            return _blocks(stream, marked, block_size)
    raise UserError(
        f"{what} holds {filled} tokens but train.tokens asks for {wanted}; lower train.tokens "
        "or give more text (corpus.train_characters)"
    )


MARKED = np.dtype([("input_ids", np.int32), ("smoothed", np.bool_)])


def _blocks(stream: np.ndarray, marked: np.ndarray, block_size: int) -> np.ndarray:
    if not len(marked):
        return stream.reshape(-1, block_size)
    blocks = np.empty(len(stream), MARKED)
    blocks["input_ids"], blocks["smoothed"] = stream, marked
    return blocks.reshape(-1, block_size)


def _overlap(offsets: np.ndarray, spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """bool ``[n]``: tokens that share a character with one of the spans, which are in order."""
    starts, ends = np.array(spans).T
    first = np.searchsorted(ends, offsets[:, 0], side="right")
    known = np.append(starts, np.iinfo(starts.dtype).max)
    return known[first] < offsets[:, 1]


@dataclass(frozen=True)
class Example:
    """A record whose tokens are not all learned.

    Attributes:
        id: names it.
        ids: int32 ``[n]``.
        learned: bool ``[n]``, tokens that training predicts; of the others only context is made.
    """

    id: str
    ids: np.ndarray
    learned: np.ndarray


IGNORED = -100
"""Label of a token that is not predicted, as in transformers."""

FIELDS = np.dtype([("input_ids", np.int32), ("labels", np.int32), ("position_ids", np.int32)])


def pack_examples(
    examples: Iterable[Example],
    block_size: int,
    blocks: int,
    padding: int,
    what: str = "the text",
) -> tuple[np.ndarray, dict[str, int]]:
    """The first blocks of records that stay whole, so that none sees another.

    Records follow each other in order, a new block begins where one does not fit, and the rest of a
    block is padded. Positions begin anew with every record, by which transformers' attention masks
    tell them apart; a record's first token, which it does not predict, is never learned.

    Args:
        examples: records, in order; one longer than a block is cut at its end.
        block_size: tokens in a block.
        blocks: blocks wanted.
        padding: token id that fills a block up.
        what: name of the text, for the error message.

    Returns:
        ``[blocks, block_size]`` of :data:`FIELDS`, and counts: ``records``, ``learned`` (tokens
        predicted), ``padding`` (tokens), ``cut`` (records that were too long) and ``left_out``
        (records of which no learned token was left).

    Raises:
        UserError: there are too few records.
    """
    packed = np.zeros((blocks, block_size), FIELDS)
    packed["input_ids"], packed["labels"] = padding, IGNORED
    counts = dict.fromkeys(("records", "learned", "padding", "cut", "left_out"), 0)
    block = filled = 0
    for example in examples:
        ids, learned = example.ids[:block_size], example.learned[:block_size].copy()
        learned[0] = False
        if not learned.any():
            counts["left_out"] += 1
            continue
        if filled + len(ids) > block_size:
            _pad(packed[block], filled, counts)
            block, filled = block + 1, 0
        if block == blocks:
            return packed, counts
        place = packed[block, filled : filled + len(ids)]
        place["input_ids"], place["position_ids"] = ids, np.arange(len(ids))
        place["labels"] = np.where(learned, ids, IGNORED)
        filled += len(ids)
        counts["records"] += 1
        counts["learned"] += int(learned.sum())
        counts["cut"] += len(example.ids) > block_size
    if block == blocks - 1 and filled:
        _pad(packed[block], filled, counts)
        return packed, counts
    raise UserError(
        f"{what} fills {block} blocks of {block_size} tokens but train.tokens asks for {blocks}; "
        "lower train.tokens or give more records (corpus.train_characters)"
    )


def _pad(block: np.ndarray, filled: int, counts: dict[str, int]) -> None:
    """Positions of the padding, which begins anew like a record; it is a block's end."""
    block["position_ids"][filled:] = np.arange(len(block) - filled)
    counts["padding"] += len(block) - filled
