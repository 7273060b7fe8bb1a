"""Packing documents into blocks of equal length for training."""

from __future__ import annotations

from collections.abc import Iterable
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

    Returns:
        int32 ``[tokens // block_size, block_size]``.

    Raises:
        UserError: the text holds fewer tokens, so arms could not be compared at equal tokens.
    """
    wanted = tokens // block_size * block_size
    stream = np.empty(wanted, np.int32)
    filled = 0
    for text in texts:
        ids = [*tokenizer(text, add_special_tokens=False, verbose=False).input_ids, separator]
        take = min(len(ids), wanted - filled)
        stream[filled : filled + take] = ids[:take]
        filled += take
        if filled == wanted:
            return stream.reshape(-1, block_size)
    raise UserError(
        f"{what} holds {filled} tokens but train.tokens asks for {wanted}; lower train.tokens "
        "or give more text (corpus.train_characters)"
    )
