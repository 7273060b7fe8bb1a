"""Which items of a benchmark or of held-out text belong together: errors are clustered by them.

Items of one cluster share a text (an article, a passage, a report) or a template, so that a model
that does well on one does well on the others. A standard error over items that ignores this is too
small.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from toedit.corpora.split import connected_groups
from toedit.document import Document

CLUSTER = "cluster"
"""Column of a corpus, or field of an item, that names the cluster itself."""

SHARED_TEXT = ("passage", "source_id", "goal", "context")
"""Fields of tasks that several items share: BoolQ, HellaSwag, PIQA, Social IQa and PubMedQA."""

CONVFINQA, PREFIX = "adaptllm_convfinqa", 200
"""The task whose prompts begin with a financial report, told by so many characters."""

MOST_TEXTS = 50_000
"""Held-out documents up to which shared runs of words are searched for; beyond, only the clusters
that a corpus names itself count."""


def item_cluster(document: dict[str, Any], item: str, task: str = "") -> str:
    """The cluster of a benchmark item; the item itself where nothing is known to be shared.

    Args:
        document: the item's fields, of an embedded task or of lm-eval's own.
        item: its id.
        task: name of its task.
    """
    if CLUSTER in document:
        return str(document[CLUSTER])
    if {"option1", "option2"} <= document.keys():  # twin sentences of Winogrande
        return options_cluster(document["option1"], document["option2"])
    for name in SHARED_TEXT:
        if isinstance(document.get(name), str) and document[name].strip():
            return text_cluster(document[name])
    if task == CONVFINQA:
        return text_cluster(document["input"][:PREFIX])
    return item


def text_cluster(text: str) -> str:
    """The cluster of items about one text."""
    return hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).hexdigest()[:16]


def options_cluster(first: str, second: str) -> str:
    """The cluster of twin sentences: those with the same two options."""
    return text_cluster("\x1f".join(sorted((first.strip().lower(), second.strip().lower()))))


def document_clusters(documents: Sequence[Document]) -> list[str]:
    """The cluster of each held-out document: the id of the first of its cluster.

    Documents belong together that share a run of 13 words, that name one cluster in their metadata
    (an article), or that were written after the same passage.
    """
    keys = [_key(d.metadata) for d in documents]
    if len(documents) <= MOST_TEXTS:
        groups = connected_groups([d.text for d in documents], keys=keys)
        return [documents[first].id for first in groups]
    names: dict[str, str] = {}
    return [
        d.id if key is None else names.setdefault(key, d.id)
        for d, key in zip(documents, keys, strict=True)
    ]


def _key(metadata: dict[str, Any]) -> str | None:
    """The article that a document names, or the passage after which it was written: source and id.
    A column ``seed`` of any other form is not of ours, as one of random numbers."""
    named, seed = metadata.get(CLUSTER), metadata.get("seed")
    if named is not None:
        return json.dumps(named, sort_keys=True, default=str)
    passage = isinstance(seed, list | tuple) and all(isinstance(part, str) for part in seed)
    return json.dumps(seed) if passage and seed else None
