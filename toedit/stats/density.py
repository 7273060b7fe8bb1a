"""How densely a corpus covers the neighbourhood of each of its documents, and sampling against it.

MinHash of the pairs of words in a document (Broder, 1997) is a locality-sensitive hash: two
documents get the same value with the probability of their Jaccard similarity. Values are counted
in ``repetitions`` tables of ``buckets`` counters: the sketch of Coleman & Shrivastava (2020), with
which Sachdeva et al. (arXiv 2402.09668) sample by density. A document's response is the mean share
of the corpus that its buckets hold: an estimate of its mean similarity to the corpus. Sampling in
inverse proportion to it thins out what is common. Two passes, memory independent of the corpus.
"""

from collections.abc import Iterable

import numpy as np

from toedit.corpora.split import ngrams

ORDER = 2
BLOCK = 1 << 22
"""Hash values computed together."""

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class MinHash:
    """MinHash signatures of texts.

    Args:
        repetitions: values in a signature.
        seed: of the hash functions.
        order: words in a run.
    """

    def __init__(self, repetitions: int = 128, seed: int = 0, order: int = ORDER) -> None:
        self.order = order
        self.keys = np.random.default_rng(seed).integers(
            0, 2**64, repetitions, np.uint64, endpoint=False
        )

    def of(self, text: str) -> np.ndarray:
        """uint32 ``[repetitions]``; a text without a word has a signature of its own, all ones."""
        runs = ngrams(text, self.order)
        signature = np.full(len(self.keys), np.iinfo(np.uint32).max, np.uint32)
        step = max(1, BLOCK // max(len(self.keys), 1))
        for start in range(0, len(runs), step):
            mixed = runs[None, start : start + step] ^ self.keys[:, None]
            for factor, shift in zip(_MIX, (30, 27), strict=True):
                mixed ^= mixed >> np.uint64(shift)
                mixed *= factor
            found = (mixed >> np.uint64(32)).min(axis=1).astype(np.uint32)
            np.minimum(signature, found, out=signature)
        return signature


class Density:
    """Counters of the sketch.

    Args:
        repetitions: tables (1,000 at the paper's scale).
        buckets: counters a table (20,000 at the paper's scale).
        seed: of the hash functions.
    """

    def __init__(self, repetitions: int = 128, buckets: int = 20_000, seed: int = 0) -> None:
        self.hash, self.buckets = MinHash(repetitions, seed), buckets
        self.counts = np.zeros((repetitions, buckets), np.int32)
        self.documents = 0
        self._rows = np.arange(repetitions)

    def add(self, texts: Iterable[str]) -> None:
        """Counts documents."""
        for text in texts:
            self.counts[self._rows, self.hash.of(text) % self.buckets] += 1
            self.documents += 1

    def response(self, text: str) -> float:
        """Mean share of the counted documents in the buckets of a text, in [0, 1]."""
        held = self.counts[self._rows, self.hash.of(text) % self.buckets]
        return float(held.mean()) / self.documents


def near_duplicates(signatures: np.ndarray, similarity: float = 0.8) -> list[bool]:
    """Which documents resemble an earlier one.

    Args:
        signatures: uint32 ``[n, repetitions]`` from :class:`MinHash`.
        similarity: share of equal values, an estimate of the Jaccard similarity, from which on
            the later of two documents is a duplicate.

    Returns:
        For every document whether one before it, itself no duplicate, is that similar.
    """
    kept = np.zeros((0, signatures.shape[1]), np.uint32)
    found = []
    for row in signatures:
        found.append(bool(len(kept)) and bool(((kept == row).mean(axis=1) >= similarity).any()))
        if not found[-1]:
            kept = np.concatenate([kept, row[None]])
    return found
