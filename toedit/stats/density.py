"""MinHash signatures, density of a corpus around a document, and near-duplicates.

MinHash of the word pairs of a document (Broder, 1997) is a locality-sensitive hash: two documents
get the same value with the probability of their Jaccard similarity. Values are counted in
``repetitions`` tables of ``buckets`` counters, the sketch of Coleman & Shrivastava (2020), with
which Sachdeva et al. (arXiv 2402.09668) sample by density. The response of a document is the mean
share of the corpus in its buckets, an estimate of its mean similarity to the corpus. Sampling in
inverse proportion to it thins out common text. It takes two passes and constant memory.
"""

from collections.abc import Iterable

import numpy as np

from toedit.corpora.split import hashed_runs

ORDER = 2
"""Words in an n-gram."""

BLOCK = 1 << 22
"""Hash values computed at once."""

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class MinHash:
    """MinHash signatures of texts.

    Args:
        repetitions: values in a signature.
        seed: of the hash functions.
    """

    def __init__(self, repetitions: int = 128, seed: int = 0) -> None:
        self.keys = np.random.default_rng(seed).integers(
            0, 2**64, repetitions, np.uint64, endpoint=False
        )

    def of(self, text: str) -> np.ndarray:
        """Return the signature of a text, uint32 ``[repetitions]``; all ones if it has no words."""
        pairs = hashed_runs(text.lower(), ORDER)
        signature = np.full(len(self.keys), np.iinfo(np.uint32).max, np.uint32)
        step = max(1, BLOCK // max(len(self.keys), 1))
        for start in range(0, len(pairs), step):
            mixed = pairs[None, start : start + step] ^ self.keys[:, None]
            for factor, shift in zip(_MIX, (30, 27), strict=True):
                mixed ^= mixed >> np.uint64(shift)
                mixed *= factor
            minimum = (mixed >> np.uint64(32)).min(axis=1).astype(np.uint32)
            np.minimum(signature, minimum, out=signature)
        return signature


class Density:
    """The sketch of a corpus.

    Args:
        repetitions: number of tables (1,000 at the paper's scale).
        buckets: counters in a table (20,000 at the paper's scale).
        seed: of the hash functions.
    """

    def __init__(self, repetitions: int = 128, buckets: int = 20_000, seed: int = 0) -> None:
        self.hash, self.buckets = MinHash(repetitions, seed), buckets
        self.counts = np.zeros((repetitions, buckets), np.int32)
        self.documents = 0
        self._rows = np.arange(repetitions)

    def add(self, texts: Iterable[str]) -> None:
        """Count documents."""
        for text in texts:
            self.counts[self._rows, self.hash.of(text) % self.buckets] += 1
            self.documents += 1

    def response(self, text: str) -> float:
        """Return the mean share of counted documents in the buckets of a text, in [0, 1]."""
        counts = self.counts[self._rows, self.hash.of(text) % self.buckets]
        return float(counts.mean()) / self.documents


def near_duplicates(signatures: np.ndarray, similarity: float = 0.8) -> list[bool]:
    """Mark documents that are similar to an earlier document, itself no duplicate.

    Args:
        signatures: uint32 ``[n, repetitions]`` from :class:`MinHash`.
        similarity: minimum share of equal values, an estimate of the Jaccard similarity.
    """
    unique = np.zeros((0, signatures.shape[1]), np.uint32)
    is_duplicate = []
    for row in signatures:
        equal = (unique == row).mean(axis=1)
        is_duplicate.append(bool((equal >= similarity).any()))
        if not is_duplicate[-1]:
            unique = np.concatenate([unique, row[None]])
    return is_duplicate
