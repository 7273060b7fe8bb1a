"""A sample of a corpus: documents in a random order until they hold so many words."""

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
from toedit.corpora import WORK, split
from toedit.corpora.documents import write_shards
from toedit.corpora.sources import local_documents
from toedit.document import Document
from toedit.errors import UserError
from toedit.stats.ngrams import WORDS

PARTS = f"{WORK}/parts"
PART_WORDS = 10_000_000
"""Words of a part that is put in order in memory, while there are no more parts than these."""

MOST_PARTS = 64


@dataclass
class SampleStage(StageConfig, kind="sample", scratch=(WORK,)):
    """What a sample is taken from, and its size.

    Attributes:
        kind: ``human`` or ``synthetic``; empty for any.
        words: how many; the last document of each domain is cut.
        held_out: whether it is taken from held-out text.
        domains: equal shares of the words from each; empty for documents as they come.
        document_words: words of a document that are used; null for all.
        skip: words in the same order before the sample, for two that share no document.
    """

    kind: str
    words: int
    held_out: bool = False
    domains: list[str] = field(default_factory=list)
    document_words: int | None = None
    skip: int = 0

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes shards in random order; returns documents, words and quartiles of their length.

        The text is read twice: ids and lengths decide what is taken, then what is taken is sorted
        into parts that fit in memory. Some forty bytes a document are kept.

        Raises:
            UserError: there are too few words, or two documents have one id.
        """
        from toedit.pipeline import SHARDS

        wanted = self.domains or [""]
        codes = {name: code for code, name in enumerate(wanted, 1)}
        lengths, domains = array("I"), array("H")

        def ids() -> Iterator[str]:
            for document in _pool(context):
                text = _cut(document.text, self.document_words)
                lengths.append(sum(1 for _ in WORDS.finditer(text)))
                domains.append(codes.get(_domain(document, self), 0))
                yield document.id

        order = split.shuffled(ids())
        length, domain = np.array(lengths, np.int64), np.array(domains, np.int32)
        kept = np.zeros(len(order), np.int64)
        for name, code in codes.items():
            own = order[domain[order] == code]
            rows, words = _some(own, length, self, name, context.stage.name)
            kept[rows] = words
        rank = np.zeros(len(order), np.int64)
        rank[order] = np.arange(len(order))
        taken = kept > 0
        number = min(MOST_PARTS, int(kept.sum()) // PART_WORDS + 1)
        # Ranks of what is taken, cut into parts of about equal size.
        edges = np.quantile(rank[taken], np.linspace(0, 1, number + 1)[1:-1])
        folder = context.folder / PARTS
        folder.mkdir(parents=True, exist_ok=True)
        parts = [folder / f"{i:05d}.jsonl" for i in range(number)]
        with ExitStack() as stack:
            handles = [stack.enter_context(path.open("w")) for path in parts]
            for place, document in enumerate(_pool(context)):
                if taken[place]:
                    text = _cut(document.text, int(kept[place]))
                    row = [int(rank[place]), document.id, text, document.metadata]
                    part = int(np.searchsorted(edges, rank[place]))
                    handles[part].write(json.dumps(row, default=str) + "\n")
        digest = write_shards(context.folder / SHARDS, _in_order(parts, context.stage.name))
        return {
            "documents": int(taken.sum()),
            "words": int(kept.sum()),
            "words_quartiles": np.quantile(kept[taken], [0.25, 0.5, 0.75]).tolist(),
            "domains": {name: int(kept[domain == codes[name]].sum()) for name in self.domains},
            "sha256": digest,
        }


def stage(texts: Sequence[Stage], name: str, config: SampleStage) -> Stage:
    """A sample of texts."""
    return Stage(config, name, text_inputs(texts))


def _in_order(parts: list[Path], name: str) -> Iterator[Document]:
    """Documents of all parts; equal ids have equal ranks but one and stand side by side."""
    last = None
    for path in parts:
        with path.open() as handle:
            rows = sorted(map(json.loads, handle))
        for _, identity, text, metadata in rows:
            if identity == last:
                raise UserError(
                    f"the sample {name!r} holds two documents with the id {identity!r}; make ids "
                    "unique, or name another id_column"
                )
            last = identity
            yield Document(identity, text, metadata)


def _pool(context: StageContext) -> Iterator[Document]:
    config: SampleStage = context.stage.config
    documents = training_text(context)
    if config.held_out:
        documents = local_documents([context.inputs["text"] / HELD_OUT])
    return (d for d in documents if not config.kind or d.metadata.get("kind") == config.kind)


def _domain(document: Document, config: SampleStage) -> str:
    return str(document.metadata.get("domain")) if config.domains else ""


def _cut(text: str, words: int | None) -> str:
    """The first words of a text."""
    if words is None:
        return text
    for number, match in enumerate(WORDS.finditer(text), 1):
        if number == words:
            return text[: match.end()]
    return text


def _some(
    rows: np.ndarray, length: np.ndarray, config: SampleStage, domain: str, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """The first rows, after those that are skipped, that hold a domain's part of the words, and how
    many of each; the last one is cut."""
    parts = max(1, len(config.domains))
    wanted, skip = round(config.words / parts), config.skip / parts
    rows = rows[length[rows] > 0]
    before = np.cumsum(length[rows]) - length[rows]
    first = int(np.searchsorted(before, skip))
    rows, before, total = rows[first:], before[first:], int(length[rows].sum())
    if not len(rows) or total - before[0] < wanted:
        what = f"{config.kind} {'held-out' if config.held_out else 'training'} text".strip()
        raise UserError(
            f"{what}{' of ' + domain if domain else ''} holds {total} words where the sample "
            f"{name!r} needs {wanted + skip:.0f}; lower statistics.words, or give more text"
        )
    left = wanted - (before - before[0])
    return rows[left > 0], np.minimum(length[rows], left)[left > 0]
