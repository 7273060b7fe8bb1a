"""Hashed n-grams of words: features of a text without a vocabulary.

They are those of the package ``data-selection`` 1.0.3. Text is lower-cased and split into runs of
word characters and runs of neither word characters nor space. The bucket of an n-gram is the
SHA-256 of its words joined by a space, as a number, modulo the number of buckets.
"""

import hashlib
from collections.abc import Iterable
from itertools import chain, islice

import numpy as np
import regex

WORDS = regex.compile(r"\w+|[^\w\s]+")
"""Words as in nltk's ``WordPunctTokenizer``. Unlike Python's ``re``, the package ``regex`` does not
count a fraction such as ½ as a word character."""

BUCKETS = 10_000
CACHED = 1_000_000
"""N-grams whose bucket is cached; a full cache is cleared, so memory is bounded."""

GROUP = 512
"""Documents counted at once."""


class HashedNgrams:
    """Hash and count n-grams of up to ``order`` words into ``buckets``."""

    def __init__(self, order: int = 2, buckets: int = BUCKETS) -> None:
        if order < 1 or buckets < 1:
            raise ValueError(f"order={order} and buckets={buckets} must be at least 1")
        self.order, self.buckets = order, buckets
        self._known = _Buckets(buckets)

    def of(self, text: str) -> list[int]:
        """Return the bucket of each n-gram of a text: first the words, then pairs, and so on."""
        words = words_of(text)
        bucket = self._known.__getitem__
        buckets = list(map(bucket, words))
        for size in range(2, self.order + 1):
            buckets += map(bucket, zip(*(words[i:] for i in range(size)), strict=False))
        return buckets

    def grouped(self, texts: Iterable[str], groups: int) -> np.ndarray:
        """Count n-grams by group of documents, for the bootstrap.

        Documents are dealt out in turn to the groups; empty groups are dropped. Memory is constant.

        Returns:
            int32 ``[orders, groups, buckets]``: words, pairs, and so on.
        """
        counts = np.zeros((self.order, groups, self.buckets), np.int32)
        stream, number = iter(texts), 0
        while batch := list(islice(stream, GROUP)):
            buckets = list(map(self.of, batch))
            words = np.array([self.words(len(ngrams)) if ngrams else 0 for ngrams in buckets])
            # n words have n - 1 pairs, n - 2 trigrams, and so on.
            sizes = (words[:, None] - np.arange(self.order)).clip(0)
            group = np.arange(number, number + len(batch)) % groups
            row_of_order = group[:, None] + groups * np.arange(self.order)
            rows = np.repeat(row_of_order.ravel(), sizes.ravel())
            flat = np.fromiter(chain.from_iterable(buckets), np.int64, len(rows))
            np.add.at(counts.reshape(-1), rows * self.buckets + flat, np.int32(1))
            number += len(batch)
        return counts[:, :number]

    def words(self, ngrams: int) -> int:
        """Return the number of words of a text with so many n-grams, as the package computes it."""
        return int((ngrams + self.order * (self.order - 1) / 2) // self.order)

    def counts(self, texts: Iterable[str]) -> np.ndarray:
        """Count n-grams over all texts, int64 ``[buckets]``, in constant memory."""
        total = np.zeros(self.buckets, np.int64)
        stream = iter(texts)
        while group := list(islice(stream, GROUP)):
            buckets = np.fromiter(chain.from_iterable(map(self.of, group)), np.int64)
            total += np.bincount(buckets, minlength=self.buckets)
        return total


class _Buckets(dict):  # type: ignore[type-arg]
    """Cache of the bucket of each word or tuple of words."""

    def __init__(self, buckets: int) -> None:
        super().__init__()
        self.buckets = buckets

    def __missing__(self, ngram: str | tuple[str, ...]) -> int:
        text = ngram if isinstance(ngram, str) else " ".join(ngram)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        if len(self) >= CACHED:
            self.clear()
        self[ngram] = bucket = int.from_bytes(digest) % self.buckets
        return bucket


def words_of(text: str) -> list[str]:
    """Split a text into words, punctuation included."""
    return WORDS.findall(text.lower())
