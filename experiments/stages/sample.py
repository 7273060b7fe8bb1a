"""Sample a corpus: documents in random order up to a number of words."""

import json
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import HELD_OUT, text_inputs, training_text
from toedit.corpora import SHARDS, WORK, split
from toedit.corpora.documents import write_shards
from toedit.corpora.sources import local_documents
from toedit.document import Document
from toedit.errors import UserError
from toedit.stats.ngrams import WORDS

PARTS = f"{WORK}/parts"
PART_WORDS = 10_000_000
"""Words of a part that is sorted in memory; parts are larger once there are MOST_PARTS."""

MOST_PARTS = 64


@dataclass
class SampleStage(StageConfig, kind="sample", scratch=(WORK,)):
    """Source and size of a sample.

    Attributes:
        kind: ``human`` or ``synthetic``; empty for any.
        words: size; the last document of each domain is cut.
        held_out: sample held-out text instead of training text.
        domains: equal shares of the words from each; empty to ignore domains.
        document_words: words used of each document; null for all.
        skip: words to skip in the random order, for two samples that share no document.
    """

    kind: str
    words: int
    held_out: bool = False
    domains: list[str] = field(default_factory=list)
    document_words: int | None = None
    skip: int = 0

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write shards in random order; return documents, words and quartiles of their length.

        The text is read twice: ids and lengths decide which documents are selected, then these are
        sorted in parts that fit in memory. About 40 bytes per document stay in memory.

        Raises:
            UserError: there are too few words, or two documents have one id.
        """
        codes = {name: code for code, name in enumerate(self.domains or [""], 1)}
        word_counts, domain_codes = array("I"), array("H")

        def ids() -> Iterator[str]:
            for document in _pool(context):
                text = _cut(document.text, self.document_words)
                word_counts.append(sum(1 for _ in WORDS.finditer(text)))
                domain = str(document.metadata.get("domain")) if self.domains else ""
                domain_codes.append(codes.get(domain, 0))
                yield document.id

        order = split.shuffled(ids())
        lengths, domains = np.array(word_counts, np.int64), np.array(domain_codes, np.int32)
        words = np.zeros(len(order), np.int64)
        for name, code in codes.items():
            candidates = order[domains[order] == code]
            rows, row_words = _first_words(candidates, lengths, self, name, context.stage.name)
            words[rows] = row_words
        rank = np.zeros(len(order), np.int64)
        rank[order] = np.arange(len(order))
        selected = words > 0
        number = min(MOST_PARTS, int(words.sum()) // PART_WORDS + 1)
        # Ranks at which parts of about equal size begin.
        edges = np.quantile(rank[selected], np.linspace(0, 1, number + 1)[1:-1])
        folder = context.folder / PARTS
        folder.mkdir(parents=True, exist_ok=True)
        parts = [folder / f"{i:05d}.jsonl" for i in range(number)]
        with ExitStack() as stack:
            handles = [stack.enter_context(path.open("w")) for path in parts]
            for index, document in enumerate(_pool(context)):
                if selected[index]:
                    text = _cut(document.text, int(words[index]))
                    row = [int(rank[index]), document.id, text, document.metadata]
                    part = int(np.searchsorted(edges, rank[index]))
                    handles[part].write(json.dumps(row, default=str) + "\n")
        digest = write_shards(context.folder / SHARDS, _in_order(parts, context.stage.name))
        return {
            "documents": int(selected.sum()),
            "words": int(words.sum()),
            "words_quartiles": np.quantile(words[selected], [0.25, 0.5, 0.75]).tolist(),
            "domains": {name: int(words[domains == codes[name]].sum()) for name in self.domains},
            "sha256": digest,
        }


def stage(texts: Sequence[Stage], name: str, config: SampleStage) -> Stage:
    """A sample of texts."""
    return Stage(config, name, text_inputs(texts))


def _in_order(parts: list[Path], name: str) -> Iterator[Document]:
    """Documents of all parts by rank; documents with the same id have adjacent ranks."""
    last = None
    for path in parts:
        with path.open() as handle:
            rows = sorted(map(json.loads, handle))
        for _, identity, text, metadata in rows:
            if identity == last:
                raise UserError(
                    f"the sample {name!r} holds two documents with the id {identity!r}; make ids "
                    "unique, or set id_column=null for file and row"
                )
            last = identity
            yield Document(identity, text, metadata)


def _pool(context: StageContext) -> Iterator[Document]:
    """Documents that the sample is drawn from."""
    config: SampleStage = context.stage.config
    documents = training_text(context)
    if config.held_out:
        documents = local_documents([context.inputs["text"] / HELD_OUT])
    return (d for d in documents if not config.kind or d.metadata.get("kind") == config.kind)


def _cut(text: str, words: int | None) -> str:
    """The first words of a text."""
    if words is None:
        return text
    for number, match in enumerate(WORDS.finditer(text), 1):
        if number == words:
            return text[: match.end()]
    return text


def _first_words(
    rows: np.ndarray, lengths: np.ndarray, config: SampleStage, domain: str, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """The first rows, after those to skip, with the words that a domain contributes, and the number
    of words to use of each row."""
    parts = max(1, len(config.domains))
    size, skip = round(config.words / parts), config.skip / parts
    rows = rows[lengths[rows] > 0]
    before = np.cumsum(lengths[rows]) - lengths[rows]
    first = int(np.searchsorted(before, skip))
    rows, before, total = rows[first:], before[first:], int(lengths[rows].sum())
    if not len(rows) or total - before[0] < size:
        what = f"{config.kind} {'held-out' if config.held_out else 'training'} text".strip()
        raise UserError(
            f"{what}{' of ' + domain if domain else ''} holds {total} words where the sample "
            f"{name!r} needs {size + skip:.0f}; lower statistics.words, or give more text"
        )
    remaining = size - (before - before[0])
    return rows[remaining > 0], np.minimum(lengths[rows], remaining)[remaining > 0]
