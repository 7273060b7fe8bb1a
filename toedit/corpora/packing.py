"""Pack documents into blocks of equal length for training."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from toedit.errors import UserError
from toedit.offsets import exact_offsets

MARKED = np.dtype([("input_ids", np.int32), ("smoothed", np.bool_)])


def pack(
    texts: Iterable[str],
    tokenizer: Any,
    separator: int,
    block_size: int,
    tokens: int,
    what: str = "the text",
    spans: Iterable[Sequence[tuple[int, int]]] | None = None,
) -> np.ndarray:
    """Tokenize documents, join them by a separator and cut the first ``tokens`` into blocks.

    Documents follow each other in one stream, as in the pre-training of GPT-2 and OLMo: a block may
    hold several, and attention masks between them are up to training.

    Args:
        tokenizer: a tokenizer of transformers.
        separator: token id written after every document.
        block_size: tokens in a block.
        tokens: tokens to pack; the last partial block is dropped.
        what: name of the text, for the error message.
        spans: character spans of each document whose tokens are marked.

    Returns:
        int32 ``[tokens // block_size, block_size]``; with spans, of dtype :data:`MARKED`.

    Raises:
        UserError: the text holds fewer tokens, so arms could not be compared at equal tokens.
    """
    required = tokens // block_size * block_size
    stream = np.zeros(required, np.int32 if spans is None else MARKED)
    packed = stream if spans is None else stream["input_ids"]
    if spans is not None:
        tokenizer = exact_offsets(tokenizer)
    filled = 0
    for text, marks in zip(texts, repeat(()) if spans is None else spans, strict=False):
        encoding = tokenizer(
            text, add_special_tokens=False, verbose=False, return_offsets_mapping=bool(marks)
        )
        ids = [*encoding.input_ids, separator]
        end = min(filled + len(ids), required)
        packed[filled:end] = ids[: end - filled]
        if marks:
            marked = [*_overlap(np.array(encoding.offset_mapping), marks), False]
            stream["smoothed"][filled:end] = marked[: end - filled]
        filled = end
        if filled == required:
            return stream.reshape(-1, block_size)
    raise UserError(
        f"{what} holds {filled} tokens but train.tokens asks for {required}; lower train.tokens "
        "or give more text (corpus.train_characters)"
    )


def _overlap(offsets: np.ndarray, spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """bool ``[n]``: tokens that share a character with one of the spans, which are in order."""
    starts, ends = np.array(spans).T
    first = np.searchsorted(ends, offsets[:, 0], side="right")
    starts = np.append(starts, np.iinfo(starts.dtype).max)
    return starts[first] < offsets[:, 1]


@dataclass(frozen=True)
class Example:
    """A record of which some tokens are context and some are trained on.

    Attributes:
        ids: int32 ``[n]``, token ids.
        learned: bool ``[n]``, tokens that training predicts; the others are context.
    """

    id: str
    ids: np.ndarray
    learned: np.ndarray


IGNORED = -100
"""Label of a token that is not predicted, as in transformers."""

FIELDS = np.dtype([("input_ids", np.int32), ("labels", np.int32), ("position_ids", np.int32)])


def pack_examples(
    examples: Iterable[Example], block_size: int, blocks: int, padding: int, what: str = "the text"
) -> tuple[np.ndarray, dict[str, int]]:
    """Pack records into blocks without splitting one or letting one attend to another.

    Records follow each other in order, a new block begins where one does not fit, and the rest of a
    block is padded. Positions restart at every record, from which transformers' attention masks
    separate them; a record's first token has no context and is never learned.

    Args:
        examples: records, in order; one longer than a block is cut at its end.
        block_size: tokens in a block.
        blocks: number of blocks to fill.
        padding: token id that fills a block up.
        what: name of the text, for the error message.

    Returns:
        ``[blocks, block_size]`` of :data:`FIELDS`, and counts: ``records``, ``learned`` (tokens
        predicted), ``padding`` (tokens), ``cut`` (records that were too long) and ``left_out``
        (records without a learned token in the first block_size tokens).

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
        target = packed[block, filled : filled + len(ids)]
        target["input_ids"], target["position_ids"] = ids, np.arange(len(ids))
        target["labels"] = np.where(learned, ids, IGNORED)
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
    """Number the positions of the padding at a block's end from 0, as those of a record."""
    block["position_ids"][filled:] = np.arange(len(block) - filled)
    counts["padding"] += len(block) - filled
