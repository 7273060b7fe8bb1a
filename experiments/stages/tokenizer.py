"""Train a byte-level BPE tokenizer on equal parts of human and synthetic text, or copy one.

A tokenizer trained on one kind of text needs more tokens for the other, so that a comparison by
token would favour the kind it was trained on.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import text_inputs, training_text
from experiments.stages.domains import SYNTHETIC
from toedit.errors import UserError
from toedit.priors.loading import load_tokenizer, rows_for

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END = "<|endoftext|>"
SPECIAL = {"eos_token": END, "bos_token": END}
FOLDER = "tokenizer"


@dataclass
class TokenizerStage(StageConfig, kind="tokenizer"):
    """Vocabulary size, and characters of each kind of text to train on."""

    vocabulary: int
    characters: int

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write ``tokenizer/`` for transformers; return characters per token of each kind."""
        texts: dict[bool, list[str]] = {False: [], True: []}
        sizes = {False: 0, True: 0}
        for document in training_text(context):
            kind = document.metadata["kind"] == SYNTHETIC
            if sizes[kind] < self.characters:
                part = document.text[: self.characters - sizes[kind]]
                texts[kind].append(part)
                sizes[kind] += len(part)
        smaller = min(sizes.values())
        if not smaller:
            raise UserError("a tokenizer needs training text of both kinds, human and synthetic")
        fast = byte_level_bpe(_equal(texts, smaller), self.vocabulary)
        fast.save_pretrained(context.folder / FOLDER)
        lengths = {
            name: sizes[kind] / sum(len(ids) for ids in fast(texts[kind])["input_ids"])
            for name, kind in (("human", False), (SYNTHETIC, True))
        }
        return {"vocabulary": len(fast), "characters_of_each_kind": smaller,
                "characters_per_token": lengths}  # fmt: skip


def stage(texts: Sequence[Stage], vocabulary: int, characters: int) -> Stage:
    """The tokenizer of texts that are human and synthetic."""
    config = TokenizerStage(vocabulary, characters)
    return Stage(config, f"bpe{vocabulary}", text_inputs(texts))


@dataclass
class PretrainedTokenizerStage(StageConfig, kind="tokenizer"):
    """A tokenizer that exists: a folder, or a hub id and its commit."""

    tokenizer: str = field(metadata={"identity": "model"})
    revision: str | None = None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Copy it to ``tokenizer/``.

        Raises:
            UserError: it has no token that ends a text, or more tokens than the embedding has rows.
        """
        tokenizer = load_tokenizer(self.tokenizer, self.revision)
        if tokenizer.eos_token_id is None:
            raise UserError(
                f"mixture.tokenizer={self.tokenizer!r} has no end-of-sequence token, which ends a "
                "document; choose another"
            )
        rows = context.stage.runtime
        if rows is not None and rows_for(tokenizer) > rows:
            raise UserError(
                f"mixture.tokenizer={self.tokenizer!r} has {rows_for(tokenizer)} tokens, more than "
                f"model.scratch.vocabulary={rows}"
            )
        tokenizer.save_pretrained(context.folder / FOLDER)
        return {"vocabulary": len(tokenizer)}


def pretrained(name: str, revision: str | None, rows: int | None = None) -> Stage:
    """A tokenizer that exists, for a model whose embedding has ``rows``; None for no limit."""
    return Stage(PretrainedTokenizerStage(name, revision), Path(name).name, runtime=rows)


def byte_level_bpe(
    texts: Iterable[str], vocabulary: int, special: Mapping[str, str | None] = SPECIAL
) -> "PreTrainedTokenizerFast":
    """Train a byte-level BPE tokenizer of so many tokens, with special tokens by role."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(dict.fromkeys(filter(None, special.values()))),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def _equal(texts: dict[bool, list[str]], size: int) -> Iterator[str]:
    """The first ``size`` characters of each kind."""
    for kind_texts in texts.values():
        remaining = size
        for text in kind_texts:
            yield text[:remaining]
            remaining -= len(text)
            if remaining <= 0:
                break
