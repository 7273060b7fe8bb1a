"""Training and held-out text that share no 13-gram with each other, nor with a benchmark.

Documents that share a run of 13 words are connected; a connected group goes to one side as a whole.
Which side depends on the ids in it alone, so neither order nor the rest of the corpus matters.
"""

import hashlib
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np

ORDER = 13
"""Words in a run, as in the decontamination of GPT-3 (Brown et al., 2020, appendix C)."""

SPLIT_SEED = "toedit-split-1"
"""Fixed: no run's seed ever moves a document to the other side."""

_WORD = re.compile(r"\w+")
_BASE = np.uint64(0x9E3779B97F4A7C15)


@lru_cache(maxsize=1 << 20)
def _word_hash(word: str) -> int:
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def ngrams(text: str, order: int = ORDER) -> np.ndarray:
    """Hashes of all runs of ``order`` words, lower-cased; of a shorter text, of the whole.

    A run's hash is a polynomial in its words' hashes modulo 2^64.

    Returns:
        uint64, sorted, each once.
    """
    words = _WORD.findall(text.lower())
    if not words:
        return np.zeros(0, np.uint64)
    hashes = np.fromiter(map(_word_hash, words), np.uint64, len(words))
    size = min(order, len(words))
    runs = np.zeros(len(words) - size + 1, np.uint64)
    for offset in range(size):
        runs = runs * _BASE + hashes[offset : offset + len(runs)]
    return np.unique(runs)


def connected_groups(
    texts: Sequence[str], order: int = ORDER, keys: Sequence[Hashable | None] = ()
) -> list[int]:
    """Groups of texts connected by shared n-grams.

    Args:
        texts: the documents.
        order: words in a run.
        keys: a key a document, where given; equal keys connect too, None connects nothing.

    Returns:
        For each text the smallest index in its group.
    """
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    grams = [ngrams(text, order) for text in texts]
    owner = np.repeat(np.arange(len(texts)), np.array([len(g) for g in grams], np.int64))
    every = np.concatenate([*grams, np.zeros(0, np.uint64)])
    order_ = np.argsort(every, kind="stable")
    shared = np.flatnonzero(np.diff(every[order_]) == 0)
    pairs = [(int(owner[order_[i]]), int(owner[order_[i + 1]])) for i in shared]
    first: dict[Hashable, int] = {}
    pairs += [(first.setdefault(key, i), i) for i, key in enumerate(keys) if key is not None]
    for one, other in pairs:
        a, b = root(one), root(other)
        parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(len(texts))]


def _uniform(key: str) -> float:
    return (
        int.from_bytes(
            hashlib.blake2b(
                f"{SPLIT_SEED}\x1f{key}".encode("utf-8", "surrogatepass"), digest_size=8
            ).digest()
        )
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


def shuffled(ids: Iterable[str]) -> np.ndarray:
    """Indices of the documents in a fixed order that is unrelated to their content, int64."""
    keys = np.fromiter((_uniform(f"order {identity}") for identity in ids), float)
    return np.argsort(keys, kind="stable")


def ngram_index(texts: Iterable[str], order: int = ORDER) -> np.ndarray:
    """The n-grams of all texts together, uint64, sorted, each once."""
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *(ngrams(t, order) for t in texts)]))


def overlapping(texts: Iterable[str], index: np.ndarray, order: int = ORDER) -> list[bool]:
    """Which texts share an n-gram with an index.

    Args:
        texts: the documents.
        index: from :func:`ngram_index`.
        order: words in a run.
    """
    return [len(shared(ngrams(text, order), index)) > 0 for text in texts]


def overlap(
    texts: Iterable[str], items: Mapping[str, Sequence[tuple[str, str]]], order: int = ORDER
) -> tuple[list[bool], dict[str, dict[str, int]]]:
    """Which texts share an n-gram with items of benchmarks.

    Args:
        texts: the documents.
        items: (id, text) of the items of each benchmark; an item may have several texts.
        order: words in a run.

    Returns:
        For each text whether it does, and for each benchmark how many ``documents`` and ``items``
        have one in common, and how many items are ``short``: none of their texts has so many words,
        so that only a text which is the same as a whole is found.
    """
    indexes = {name: ngram_index(text for _, text in own) for name, own in items.items()}
    found: dict[str, list[np.ndarray]] = {name: [] for name in items}
    touched = []
    for text in texts:
        runs = ngrams(text, order)
        common = {name: shared(runs, index) for name, index in indexes.items()}
        for name, same in common.items():
            if len(same):
                found[name].append(same)
        touched.append(any(len(same) for same in common.values()))
    counts = {}
    for name, own in items.items():
        hits = np.unique(np.concatenate([np.zeros(0, np.uint64), *found[name]]))
        read = own if len(hits) else ()
        ids = {identity for identity, text in read if len(shared(ngrams(text, order), hits))}
        counts[name] = {
            "documents": len(found[name]),
            "items": len(ids),
            "short": short(own, order),
        }
    return touched, counts


def short(items: Sequence[tuple[str, str]], order: int = ORDER) -> int:
    """How many items have no text of at least ``order`` words."""
    known = {identity for identity, _ in items}
    return len(known - {i for i, text in items if len(_WORD.findall(text)) >= order})


def shared(runs: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The n-grams of a text that are in an index, by binary search: the index may be
    a thousand times as long."""
    if not len(index):
        return runs[:0]
    places = np.searchsorted(index, runs).clip(max=len(index) - 1)
    return runs[index[places] == runs]
