"""Tokenizers of the kinds in use, trained on a few sentences."""

import json
import string
from functools import cache

from conftest import SENTENCES
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
BYTES = [f"<0x{i:02X}>" for i in range(256)]
TEXTS = [*SENTENCES, string.printable, "naïve café “quoted” ﬁne ½ 日本 \U0001f600 ﬁ½日本"] * 3

FAITHFUL = ("byte_level", "trimmed", "trimmed_merges", "trimmed_lines", "trimmed_prefix")
"""Kinds that decode every text as it was."""

KINDS = (*FAITHFUL, "nfkc", "trimmed_nfkc", "prepended", "metaspace", "unigram", "word_piece")


def _byte_level(trim=False, prefix=False, nfkc=False, ignore_merges=False, **options) -> Tokenizer:
    """As GPT-2; with ``trim`` as GPT-NeoX and Pythia."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix, **options)
    tokenizer.decoder = decoders.ByteLevel()
    if nfkc:
        tokenizer.normalizer = normalizers.NFKC()
    if trim:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=True, add_prefix_space=prefix)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def _byte_fallback(prepend: bool) -> Tokenizer:
    """As Llama-2, whose normalizer writes a space before a text, and Mistral with Metaspace."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    if prepend:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=SPECIAL + BYTES, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    state = json.loads(tokenizer.to_str())  # bytes are no tokens of a text's own
    state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] in SPECIAL]
    return Tokenizer.from_str(json.dumps(state))


def _unigram() -> Tokenizer:
    """As T5: the text is normalized and runs of spaces are one."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def _word_piece() -> Tokenizer:
    """As BERT: spaces are in no token."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


@cache
def tokenizer_of(kind: str) -> PreTrainedTokenizerFast:
    """One of :data:`KINDS` as transformers has it."""
    make = {
        "byte_level": _byte_level,
        "trimmed": lambda: _byte_level(trim=True),
        "trimmed_merges": lambda: _byte_level(trim=True, ignore_merges=True),
        "trimmed_lines": lambda: _byte_level(trim=True, use_regex=False),
        "trimmed_prefix": lambda: _byte_level(trim=True, prefix=True),
        "nfkc": lambda: _byte_level(nfkc=True),
        "trimmed_nfkc": lambda: _byte_level(trim=True, nfkc=True),
        "prepended": lambda: _byte_fallback(prepend=True),
        "metaspace": lambda: _byte_fallback(prepend=False),
        "unigram": _unigram,
        "word_piece": _word_piece,
    }[kind]
    return PreTrainedTokenizerFast(
        tokenizer_object=make(), bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        pad_token="</s>",
    )  # fmt: skip
