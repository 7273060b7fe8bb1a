"""Words and runs of words hashed into buckets: features of a text that need no vocabulary.

As the package ``data-selection`` 1.0.3 computes them: lower-cased text, cut into runs of word
characters and runs of neither word characters nor space; the bucket of a run of words is the
SHA-256 of the words joined by a space, as a number, modulo the number of buckets.
"""

import hashlib
from collections.abc import Iterable
from itertools import chain, islice

import numpy as np
import regex

WORDS = regex.compile(r"\w+|[^\w\s]+")
"""As nltk's ``WordPunctTokenizer`` does it through the package ``regex``, for which a fraction as ½
is no word character; to Python's own ``re`` it is one."""

BUCKETS = 10_000
CACHED = 1_000_000
"""Runs of words whose bucket is remembered; more start again with none, so memory is bounded."""

GROUP = 512
"""Documents counted together."""


class HashedNgrams:
    """Counts of hashed n-grams.

    Args:
        order: longest run of words that counts; 2 for words and pairs.
        buckets: number of buckets.
    """

    def __init__(self, order: int = 2, buckets: int = BUCKETS) -> None:
        if order < 1 or buckets < 1:
            raise ValueError(f"order={order} and buckets={buckets} must be at least 1")
        self.order, self.buckets = order, buckets
        self._known = _Buckets(buckets)

    def of(self, text: str) -> list[int]:
        """The bucket of every n-gram of a text: its words first, then pairs, and so on."""
        words = words_of(text)
        bucket = self._known.__getitem__
        found = list(map(bucket, words))
        for size in range(2, self.order + 1):
            found += map(bucket, zip(*(words[i:] for i in range(size)), strict=False))
        return found

    def grouped(self, texts: Iterable[str], groups: int) -> np.ndarray:
        """Counts by group, of documents dealt out in turn: what the bootstrap resamples.

        Args:
            texts: the documents.
            groups: how many groups; with no more documents than groups each has its own.

        Returns:
            int32 ``[orders, groups, buckets]``: words, pairs, and so on. Memory does not grow with
            the number of documents; groups past the last document are left out.
        """
        counts = np.zeros((self.order, groups, self.buckets), np.int32)
        stream, number = iter(texts), 0
        while batch := list(islice(stream, GROUP)):
            found = list(map(self.of, batch))
            words = np.array([self.words(len(ngrams)) if ngrams else 0 for ngrams in found])
            # n words have n - 1 pairs, n - 2 runs of three, and none where that is negative.
            sizes = (words[:, None] - np.arange(self.order)).clip(0)
            group = np.arange(number, number + len(batch)) % groups
            place = group[:, None] + groups * np.arange(self.order)
            rows = np.repeat(place.ravel(), sizes.ravel())
            flat = np.fromiter(chain.from_iterable(found), np.int64, len(rows))
            np.add.at(counts.reshape(-1), rows * self.buckets + flat, np.int32(1))
            number += len(batch)
        return counts[:, :number]

    def words(self, ngrams: int) -> int:
        """How many words a text with so many n-grams has, by the package's arithmetic."""
        return int((ngrams + self.order * (self.order - 1) / 2) // self.order)

    def counts(self, texts: Iterable[str]) -> np.ndarray:
        """Counts over all texts, int64 ``[buckets]``; memory does not grow with their number."""
        total = np.zeros(self.buckets, np.int64)
        stream = iter(texts)
        while group := list(islice(stream, GROUP)):
            found = np.fromiter(chain.from_iterable(map(self.of, group)), np.int64)
            total += np.bincount(found, minlength=self.buckets)
        return total


class _Buckets(dict):  # type: ignore[type-arg]
    """Bucket of a word, or of a tuple of words."""

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
    """The words of a text as all statistics here count them, punctuation included."""
    return WORDS.findall(text.lower())
