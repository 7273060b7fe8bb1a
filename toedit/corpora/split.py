"""Training and held-out text that share no 13-gram with each other, nor with a benchmark.

Documents that share a run of 13 words are connected; a connected group goes to one side as a whole.
Which side depends on the ids in it alone, so neither order nor the rest of the corpus matters.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

ORDER = 13
"""Words in a run, as in the decontamination of GPT-3 (Brown et al., 2020, appendix C)."""

SPLIT_SEED = "toedit-split-1"
"""Fixed: no run's seed ever moves a document to the other side."""

_WORD = re.compile(r"\w+")


def ngrams(text: str, order: int = ORDER) -> set[bytes]:
    """Digests of all runs of ``order`` words, lower-cased; of a shorter text, of the whole."""
    words = _WORD.findall(text.lower())
    last = max(len(words) - order + 1, 1 if words else 0)
    return {
        hashlib.blake2b(
            " ".join(words[i : i + order]).encode("utf-8", "surrogatepass"), digest_size=8
        ).digest()
        for i in range(last)
    }


def connected_groups(texts: Sequence[str], order: int = ORDER) -> list[int]:
    """Groups of texts connected by shared n-grams.

    Args:
        texts: the documents.
        order: words in a run.

    Returns:
        For each text the smallest index in its group.
    """
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[bytes, int] = {}
    for i, text in enumerate(texts):
        for gram in ngrams(text, order):
            a, b = root(first.setdefault(gram, i)), root(i)
            parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(len(texts))]


def _uniform(key: str) -> float:
    return (
        int.from_bytes(hashlib.blake2b(f"{SPLIT_SEED}\x1f{key}".encode(), digest_size=8).digest())
        / 2**64
    )


def held_out_mask(ids: Sequence[str], groups: Sequence[int], share: float) -> list[bool]:
    """Which documents are held out: whole groups, about ``share`` of them.

    Args:
        ids: document ids.
        groups: group of each document, from :func:`connected_groups`.
        share: share of groups to hold out, in [0, 1).
    """
    name: dict[int, str] = {}
    for identity, group in zip(ids, groups, strict=True):
        name[group] = min(name.get(group, identity), identity)
    return [_uniform(name[group]) < share for group in groups]


def shuffled(ids: Sequence[str]) -> list[int]:
    """Indices of the documents in a fixed order that is unrelated to their content."""
    return sorted(range(len(ids)), key=lambda i: _uniform(f"order {ids[i]}"))


def overlapping(texts: Iterable[str], benchmark: set[bytes], order: int = ORDER) -> list[bool]:
    """Which texts share an n-gram with a benchmark's items.

    Args:
        texts: the documents.
        benchmark: n-grams of its items.
        order: words in a run.
    """
    return [not ngrams(text, order).isdisjoint(benchmark) for text in texts]
