"""Which items of a benchmark or of held-out text belong together: errors are clustered by them.

Items of one cluster share a text (an article, a passage, a report) or a template, so that a model
that does well on one does well on the others. A standard error over items that ignores this is too
small.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from toedit.corpora.split import connected_groups
from toedit.document import Document

CLUSTER = "cluster"
"""Column of a corpus, or field of an item, that names the cluster itself."""

SHARED_TEXT = ("passage", "source_id", "goal", "context")
"""Fields of tasks that several items share: BoolQ, HellaSwag, PIQA, Social IQa and PubMedQA."""

PREFIX = 200
"""Characters at the beginning of a ConvFinQA prompt by which a financial report is told."""

MOST_TEXTS = 50_000
"""Held-out documents up to which shared runs of words are searched for; beyond, only the clusters
that a corpus names itself count."""


def item_cluster(document: dict[str, Any], item: str) -> str:
    """The cluster of a benchmark item; the item itself where nothing is known to be shared.

    Args:
        document: the item's fields, of an embedded task or of lm-eval's own.
        item: its id.
    """
    if CLUSTER in document:
        return str(document[CLUSTER])
    if {"option1", "option2"} <= document.keys():  # twin sentences of Winogrande
        return options_cluster(document["option1"], document["option2"])
    for name in SHARED_TEXT:
        if isinstance(document.get(name), str) and document[name].strip():
            return text_cluster(document[name])
    if isinstance(document.get("input"), str) and {"input", "label"} == document.keys() - {"id"}:
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
    keys = [d.metadata.get(CLUSTER, _seed(d.metadata.get("seed"))) for d in documents]
    if len(documents) <= MOST_TEXTS:
        groups = connected_groups([d.text for d in documents], keys=keys)
        return [documents[first].id for first in groups]
    names: dict[Any, str] = {}
    return [
        d.id if key is None else names.setdefault(key, d.id)
        for d, key in zip(documents, keys, strict=True)
    ]


def _seed(seed: Any) -> tuple[str, ...] | None:
    """The passage after which a text was written, as a key."""
    return None if seed is None else tuple(map(str, seed))
