"""Split text into training and held-out documents that share no 13-gram, also with benchmarks.

Documents that share a run of 13 words are connected; a connected group goes to one side as a whole.
The side depends on the ids in the group alone, not on order or on the rest of the corpus.

Words are compared without regard to case (case folding), to composed and compatibility forms (NFKC:
full-width letters, ligatures), to white space and punctuation of any kind, and to invisible
characters (soft hyphens, zero-width characters, direction marks, variation selectors). Only the
search does so; the text stays as it is.
"""

import hashlib
import re
import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np

ORDER = 13
"""Words in a run, as in the decontamination of GPT-3 (Brown et al., 2020, appendix C)."""

SPLIT_SEED = "toedit-split-1"
"""Fixed, so that no run's seed moves a document to the other side."""

_WORD = re.compile(r"\w+")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""Unicode's Default_Ignorable_Code_Point."""

_BASE = np.uint64(0x9E3779B97F4A7C15)


@lru_cache(maxsize=1 << 20)
def _word_hash(word: str) -> int:
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def normalized(text: str, invisible: str = "") -> str:
    """Return a text in NFKC and with folded case, without invisible characters.

    ``invisible`` stands in place of each of those.
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub(invisible, text)).casefold()
    return unicodedata.normalize("NFKC", folded)


def ngrams(text: str) -> np.ndarray:
    """Hash all runs of :data:`ORDER` words, in each form that a copy of them may have.

    A text that is not ASCII has up to three forms: in lower case as it stands, :func:`normalized`,
    and the same with spaces for invisible characters, which may join words or part them.

    Returns:
        uint64, sorted and unique.
    """
    if text.isascii():
        return hashed_runs(text.lower(), ORDER)
    forms = {text.lower(), normalized(text), normalized(text, " ")}
    return _unique(hashed_runs(form, ORDER) for form in forms)


def hashed_runs(text: str, order: int) -> np.ndarray:
    """Hash all runs of ``order`` words, or a shorter text as one run.

    A run's hash is a polynomial in its words' hashes modulo 2^64.

    Returns:
        uint64, sorted and unique.
    """
    words = _WORD.findall(text)
    if not words:
        return np.zeros(0, np.uint64)
    hashes = np.fromiter(map(_word_hash, words), np.uint64, len(words))
    size = min(order, len(words))
    runs = np.zeros(len(words) - size + 1, np.uint64)
    for offset in range(size):
        runs = runs * _BASE + hashes[offset : offset + len(runs)]
    return np.unique(runs)


def connected_groups(
    texts: Sequence[str | np.ndarray], keys: Sequence[Hashable | None] = ()
) -> list[int]:
    """Group texts that are connected by shared n-grams.

    Args:
        texts: the documents, or their n-grams (:func:`ngrams`).
        keys: optional key per document; equal keys connect too, None connects nothing.

    Returns:
        For each text the smallest index in its group.
    """
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    grams = [_as_ngrams(text) for text in texts]
    text_of = np.repeat(np.arange(len(texts)), np.array([len(g) for g in grams], np.int64))
    hashes = np.concatenate([*grams, np.zeros(0, np.uint64)])
    order = np.argsort(hashes, kind="stable")
    equal = np.flatnonzero(np.diff(hashes[order]) == 0)
    pairs = [(int(text_of[order[i]]), int(text_of[order[i + 1]])) for i in equal]
    first: dict[Hashable, int] = {}
    pairs += [(first.setdefault(key, i), i) for i, key in enumerate(keys) if key is not None]
    for pair in pairs:
        a, b = map(root, pair)
        parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(len(texts))]


def _as_ngrams(text: str | np.ndarray) -> np.ndarray:
    return ngrams(text) if isinstance(text, str) else text


def _uniform(key: str) -> float:
    """Map a key to a number in [0, 1)."""
    seeded = f"{SPLIT_SEED}\x1f{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(seeded, digest_size=8).digest()) / 2**64


def held_out_mask(ids: Sequence[str], groups: Sequence[int], share: float) -> list[bool]:
    """Select whole groups of :func:`connected_groups` to hold out, about ``share`` in [0, 1)."""
    names: dict[int, str] = {}
    for identity, group in zip(ids, groups, strict=True):
        names[group] = min(names.get(group, identity), identity)
    return [_uniform(names[group]) < share for group in groups]


def shuffled(ids: Iterable[str]) -> np.ndarray:
    """Indices of documents in a pseudo-random order that depends on their ids alone, int64."""
    keys = np.fromiter((_uniform(f"order {identity}") for identity in ids), float)
    return np.argsort(keys, kind="stable")


def ngram_index(texts: Iterable[str]) -> np.ndarray:
    """The n-grams of all texts together, uint64, sorted and unique."""
    return _unique(map(ngrams, texts))


def _unique(grams: Iterable[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *grams]))


def overlapping(texts: Iterable[str], index: np.ndarray) -> list[bool]:
    """Whether each text shares an n-gram with an index of :func:`ngram_index`."""
    return [len(shared(ngrams(text), index)) > 0 for text in texts]


def overlap(
    texts: Iterable[str | np.ndarray], items: Mapping[str, Sequence[tuple[str, str]]]
) -> tuple[list[bool], dict[str, dict[str, int]]]:
    """Find texts that share an n-gram with items of benchmarks.

    Args:
        texts: the documents, or their n-grams (:func:`ngrams`).
        items: (id, text) of the items of each benchmark; an item may have several texts.

    Returns:
        For each text whether it does, and for each benchmark how many ``documents`` and ``items``
        do, and how many items are ``short``: none of their texts has :data:`ORDER` words, so only
        an identical text overlaps.
    """
    indexes = {name: ngram_index(text for _, text in pairs) for name, pairs in items.items()}
    matches: dict[str, list[np.ndarray]] = {name: [] for name in items}
    overlaps = []
    for text in texts:
        runs = _as_ngrams(text)
        common = {name: shared(runs, index) for name, index in indexes.items()}
        for name, grams in common.items():
            if len(grams):
                matches[name].append(grams)
        overlaps.append(any(map(len, common.values())))
    counts = {}
    for name, pairs in items.items():
        hits = _unique(matches[name])
        ids = {i for i, text in pairs if len(hits) and len(shared(ngrams(text), hits))}
        documents = len(matches[name])
        counts[name] = {"documents": documents, "items": len(ids), "short": short(pairs)}
    return overlaps, counts


def short(items: Sequence[tuple[str, str]]) -> int:
    """Number of items without a text of at least :data:`ORDER` words."""
    ids = {identity for identity, _ in items}
    words = ((i, _WORD.findall(unicodedata.normalize("NFC", text))) for i, text in items)
    return len(ids - {identity for identity, own in words if len(own) >= ORDER})


def shared(runs: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The n-grams of a text that are in an index, by binary search: the index may be
    a thousand times as long."""
    if not len(index):
        return runs[:0]
    positions = np.searchsorted(index, runs).clip(max=len(index) - 1)
    return runs[index[positions] == runs]
