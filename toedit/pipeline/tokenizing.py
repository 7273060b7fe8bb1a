"""Steps that tokenize texts and write the tokens, one shard a unit."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from toedit.corpora.tokens import write_tokens
from toedit.document import Document
from toedit.pipeline.base import TOKENS
from toedit.priors.loading import load_tokenizer, rows_for

GROUP = 256
"""Documents tokenized together."""


@lru_cache(maxsize=1)
def _tokenizer(name: str) -> Any:
    return load_tokenizer(name)


class Tokenize(PipelineStep):
    """Add the tokens of each text and the end-of-document token; ``tokenizer`` is a folder."""

    name, type = "tokenize", "tokenizer"

    def __init__(self, tokenizer: str) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        tokenizer = _tokenizer(self.tokenizer)
        stream = iter(data)
        while documents := list(islice(stream, GROUP)):
            texts = [document.text for document in documents]
            ids_by_text = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
            for document, ids in zip(documents, ids_by_text, strict=True):
                document.metadata[TOKENS] = [*ids, tokenizer.eos_token_id]
                yield document


class WriteTokens(PipelineStep):
    """Write the tokens of a unit as one shard.

    Args:
        folder: folder of the shards.
        tokenizer: folder of the tokenizer.
        columns: metadata columns that the index keeps in addition to the id.
    """

    name, type = "tokens", "writer"

    def __init__(self, folder: str, tokenizer: str, columns: Sequence[str]) -> None:
        super().__init__()
        self.folder, self.tokenizer, self.columns = folder, tokenizer, list(columns)

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        documents = (
            ({"id": d.id, **{c: d.metadata[c] for c in self.columns}}, d.metadata[TOKENS])
            for d in data
        )
        vocabulary = rows_for(_tokenizer(self.tokenizer))
        columns = ["id", *self.columns]
        write_tokens(Path(self.folder), f"{rank:05d}", documents, columns, vocabulary)
