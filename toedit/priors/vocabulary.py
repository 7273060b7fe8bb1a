"""The text of each token id of a Hugging Face tokenizer on its own."""

import json
from typing import Any

import numpy as np

from toedit.errors import UserError
from toedit.priors.base import Vocabulary


def byte_alphabet() -> dict[str, int]:
    """Map the characters of byte-level BPE to bytes (GPT-2, ``bytes_to_unicode`` inverted)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    unprintable = [b for b in range(256) if b not in printable]
    characters = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(unprintable))]
    return dict(zip(characters, [*printable, *unprintable], strict=True))


def _decoder_types(decoder: dict[str, Any] | None) -> set[str]:
    if decoder is None:
        return set()
    return {decoder["type"]}.union(*(_decoder_types(part) for part in decoder.get("decoders", [])))


def token_pieces(tokenizer: Any) -> list[str | None]:
    """Return the text of every token id on its own.

    It is None for added and special tokens, and for tokens that are not valid UTF-8 alone.

    Raises:
        UserError: the tokenizer has no fast version, or a decoder that is not supported.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UserError(
            f"the prior's tokenizer ({type(tokenizer).__name__}) has no fast version, so edits "
            "cannot be placed in the text; use a prior with a tokenizer.json"
        )
    kinds = _decoder_types(json.loads(backend.to_str())["decoder"])
    alphabet = byte_alphabet()
    vocabulary = tokenizer.get_vocab()
    pieces: list[str | None] = [None] * (max(vocabulary.values()) + 1)
    for token, index in vocabulary.items():
        if "ByteLevel" in kinds:
            try:
                pieces[index] = bytes(alphabet[c] for c in token).decode("utf-8")
            except (KeyError, UnicodeDecodeError):
                continue
        elif kinds & {"ByteFallback", "Metaspace"}:
            is_byte = len(token) == 6 and token.startswith("<0x") and token.endswith(">")
            pieces[index] = None if is_byte else token.replace("\u2581", " ")
        else:
            raise UserError(
                f"the prior's tokenizer decodes by {sorted(kinds) or 'no rule'}; allowed: "
                "byte-level BPE (GPT-2, Llama-3, OLMo) or SentencePiece with byte fallback "
                "(Llama-2, Mistral)"
            )
    for index in {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids}:
        pieces[index] = None
    return pieces


def hf_vocabulary(tokenizer: Any, size: int) -> Vocabulary:
    """Return the vocabulary of a fast tokenizer and a model with ``size`` output rows.

    An id may be proposed if it has a text on its own without U+FFFD.

    Raises:
        UserError: the tokenizer has more tokens than the model, or is of an unsupported kind.
    """
    pieces = token_pieces(tokenizer)
    if len(pieces) > size:
        raise UserError(
            f"the prior's tokenizer has {len(pieces)} tokens but its model only {size}; "
            "use the tokenizer that belongs to the model"
        )
    proposable = np.zeros(size, bool)
    proposable[: len(pieces)] = [bool(p) and "\ufffd" not in str(p) for p in pieces]
    return Vocabulary(pieces, proposable)
