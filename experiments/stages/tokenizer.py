"""A byte-level BPE tokenizer trained on equal parts of human and synthetic text.

A tokenizer of one kind alone would spend more tokens on the other, and a comparison by token would
favour the kind it was trained on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import text_inputs, training_text
from experiments.stages.domains import SYNTHETIC
from toedit.errors import UserError
from toedit.priors.loading import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END = "<|endoftext|>"
FOLDER = "tokenizer"


@dataclass
class TokenizerStage(StageConfig, kind="tokenizer"):
    """Size, and characters of each kind it is trained on."""

    vocabulary: int
    characters: int

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes ``tokenizer/`` for transformers; returns characters a token of each kind."""
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
    """The tokenizer of text of both kinds."""
    config = TokenizerStage(vocabulary, characters)
    return Stage(config, f"bpe{vocabulary}", text_inputs(texts))


@dataclass
class GivenTokenizer(StageConfig, kind="tokenizer"):
    """A tokenizer as it is: a folder, or a hub id and its commit."""

    tokenizer: str = field(metadata={"identity": "model"})
    revision: str | None = None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes ``tokenizer/``.

        Raises:
            UserError: it has no token that ends a text, or more tokens than the model has rows.
        """
        tokenizer = load_tokenizer(self.tokenizer, self.revision)
        if tokenizer.eos_token_id is None:
            raise UserError(
                f"mixture.tokenizer={self.tokenizer!r} has no end-of-sequence token, which ends a "
                "document; choose another"
            )
        most = context.stage.runtime
        if most is not None and len(tokenizer) > most:
            raise UserError(
                f"mixture.tokenizer={self.tokenizer!r} has {len(tokenizer)} tokens, more than "
                f"model.scratch.vocabulary={most}"
            )
        tokenizer.save_pretrained(context.folder / FOLDER)
        return {"vocabulary": len(tokenizer)}


def given(name: str, revision: str | None, most: int | None = None) -> Stage:
    """A tokenizer that is not trained here; ``most`` is how many tokens the model has rows for."""
    return Stage(GivenTokenizer(name, revision), Path(name).name, runtime=most)


def byte_level_bpe(texts: Iterable[str], vocabulary: int) -> "PreTrainedTokenizerFast":
    """A byte-level BPE tokenizer of so many tokens, one of which ends a document."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END, bos_token=END)


def _equal(texts: dict[bool, list[str]], size: int) -> Iterator[str]:
    for parts in texts.values():
        left = size
        for text in parts:
            yield text[:left]
            left -= len(text)
            if left <= 0:
                break
