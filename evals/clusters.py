"""Clusters of benchmark items and held-out documents, for clustered standard errors.

Items of a cluster share a text (an article, a passage, a report) or a template, so a model that
does well on one does well on the others. A standard error over items that ignores this is too
small.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from toedit.corpora.split import connected_groups
from toedit.document import Document

CLUSTER = "cluster"
"""Column of a corpus, or field of an item, that names the cluster."""

SHARED_TEXT = ("passage", "source_id", "goal", "context")
"""Fields of tasks that several items share: BoolQ, HellaSwag, PIQA, Social IQa and PubMedQA."""

CONVFINQA, PREFIX = "adaptllm_convfinqa", 200
"""The task whose prompts begin with a financial report, identified by this many characters."""

MOST_TEXTS = 50_000
"""Maximum number of held-out documents in which shared n-grams are searched; in more, only the
clusters named in the corpus count."""


def item_cluster(document: dict[str, Any], item: str, task: str = "") -> str:
    """Return the cluster of a benchmark item; its id ``item`` if it is known to share nothing.

    ``document`` has the item's fields, of an embedded task or of a task of lm-eval.
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
    """Return the cluster of items about one text."""
    return hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).hexdigest()[:16]


def options_cluster(first: str, second: str) -> str:
    """Return the cluster of twin sentences: those with the same two options."""
    return text_cluster("\x1f".join(sorted((first.strip().lower(), second.strip().lower()))))


def document_clusters(documents: Sequence[Document]) -> list[str]:
    """Return the cluster of each held-out document: the id of its first document.

    Documents are in a cluster if they share a 13-gram, if their metadata name the same cluster (an
    article), or if they were generated from the same passage.
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
    """Return the cluster in the metadata, or the passage (source and id) that was the seed.

    A column ``seed`` of any other form is not ours, such as one of random numbers.
    """
    named, seed = metadata.get(CLUSTER), metadata.get("seed")
    if named is not None:
        return json.dumps(named, sort_keys=True, default=str)
    passage = isinstance(seed, list | tuple) and all(isinstance(part, str) for part in seed)
    return json.dumps(seed) if passage and seed else None
