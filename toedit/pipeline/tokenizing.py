"""The steps that turn text into tokens, a shard a unit."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from datatrove.data import Document as StepDocument
from datatrove.pipeline.base import PipelineStep

from toedit.corpora.tokens import write_tokens
from toedit.pipeline.base import TOKENS
from toedit.priors.loading import load_tokenizer

GROUP = 256
"""Documents tokenized together."""


@lru_cache(maxsize=1)
def _tokenizer(name: str) -> Any:
    return load_tokenizer(name)


class Tokenize(PipelineStep):
    """Adds the tokens of a text, with the token that ends a document.

    Args:
        tokenizer: folder of the tokenizer.
    """

    name, type = "tokenize", "tokenizer"

    def __init__(self, tokenizer: str) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[StepDocument]:
        tokenizer = _tokenizer(self.tokenizer)
        stream = iter(data)
        while carriers := list(islice(stream, GROUP)):
            texts = [carrier.text for carrier in carriers]
            found = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
            for carrier, ids in zip(carriers, found, strict=True):
                carrier.metadata[TOKENS] = [*ids, tokenizer.eos_token_id]
                yield carrier


class WriteTokens(PipelineStep):
    """Writes the tokens of a unit as one shard.

    Args:
        folder: where the shards go.
        tokenizer: folder of the tokenizer.
        columns: metadata that the index keeps beside the id.
    """

    name, type = "tokens", "writer"

    def __init__(self, folder: str, tokenizer: str, columns: Sequence[str]) -> None:
        super().__init__()
        self.folder, self.tokenizer, self.columns = folder, tokenizer, list(columns)

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        documents = (
            (
                {"id": carrier.id, **{c: carrier.metadata[c] for c in self.columns}},
                carrier.metadata[TOKENS],
            )
            for carrier in data
        )
        vocabulary = len(_tokenizer(self.tokenizer))
        columns = ["id", *self.columns]
        write_tokens(Path(self.folder), f"{rank:05d}", documents, columns, vocabulary)
