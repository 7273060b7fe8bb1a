"""Lexical diversity of chunks of equal size, and frequent word pairs.

A larger sample has more distinct words and repeats more of them, so measures such as the type-token
ratio are comparable at equal sizes only. Documents are therefore dealt out in turn to chunks, each
cut at a fixed number of words. The spread of the chunks gives the error of their mean.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise

import numpy as np

from toedit.stats.ngrams import words_of

ZIPF_RANKS = 1000
"""Ranks that the slope is fitted to; at later ranks small counts form steps."""

REPEATED = 4
"""Length of the n-grams of self-repetition."""

Words = Sequence[str]


@dataclass(frozen=True)
class Lexical:
    """Lexical measures of a sample; None if it is too small.

    Attributes:
        words: number of words.
        type_token_ratio: distinct words per word.
        entropy: entropy of the distribution of words, bits.
        zipf_slope: slope of log count against log rank, least squares over :data:`ZIPF_RANKS`
            ranks; about -1 in human text.
        distinct_2: distinct bigrams per bigram (Li et al., 2016).
        distinct_3: distinct trigrams per trigram.
        self_repetition: share of :data:`REPEATED`-grams that also occur in another document of the
            sample (after Salkar et al., 2022).
    """

    words: int
    type_token_ratio: float | None
    entropy: float | None
    zipf_slope: float | None
    distinct_2: float | None
    distinct_3: float | None
    self_repetition: float | None


def lexical(documents: Sequence[Words]) -> Lexical:
    """Compute the measures of a sample of documents; n-grams do not span documents."""
    counts_by_word = Counter(word for document in documents for word in document)
    counts = np.array(sorted(counts_by_word.values(), reverse=True), float)
    total = int(counts.sum())
    shares = counts / total if total else counts
    return Lexical(
        total,
        _ratio(len(counts), total),
        float(-(shares * np.log2(shares)).sum()) + 0.0 if total else None,  # + 0.0: no -0.0
        _zipf_slope(counts[:ZIPF_RANKS]),
        _distinct(documents, 2),
        _distinct(documents, 3),
        _self_repetition(documents),
    )


def _ratio(part: float, total: float) -> float | None:
    return part / total if total else None


def _zipf_slope(counts: np.ndarray) -> float | None:
    if len(counts) < 2:
        return None
    return float(np.polyfit(np.log(np.arange(1, len(counts) + 1)), np.log(counts), 1)[0]) + 0.0


def _ngrams(words: Words, size: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[i:] for i in range(size)), strict=False))


def _distinct(documents: Sequence[Words], size: int) -> float | None:
    ngrams = [ngram for document in documents for ngram in _ngrams(document, size)]
    return _ratio(len(set(ngrams)), len(ngrams))


def _self_repetition(documents: Sequence[Words]) -> float | None:
    by_document = [_ngrams(document, REPEATED) for document in documents]
    document_counts = Counter(ngram for ngrams in by_document for ngram in set(ngrams))
    repeated = [document_counts[ngram] > 1 for ngrams in by_document for ngram in ngrams]
    return _ratio(sum(repeated), len(repeated))


def chunks(texts: Iterable[str], number: int, words: int) -> list[list[list[str]]]:
    """Deal documents out in turn to samples of equal size, until all are full.

    Args:
        texts: the documents.
        number: number of chunks.
        words: words of each chunk, to which its last document is cut.

    Returns:
        The full chunks, each a list of documents, each a list of words. Memory is proportional to
        ``number * words``, not to the corpus.
    """
    samples: list[list[list[str]]] = [[] for _ in range(number)]
    missing = [words] * number
    turn = cycle(range(number))
    for text in texts:
        if not any(missing):
            break
        at = next(i for i in turn if missing[i])
        part = words_of(text)[: missing[at]]
        if part:
            samples[at].append(part)
            missing[at] -= len(part)
    return [sample for sample, words in zip(samples, missing, strict=True) if not words]


class FrequentPairs:
    """The most frequent word bigrams of a corpus, in constant memory.

    Counts are exact until there are more than twice ``capacity`` distinct pairs. Then the rarest
    are dropped (Misra & Gries, 1982, merged as Agarwal et al., 2012), and no count is too small by
    more than ``missing``.
    """

    def __init__(self, capacity: int = 1_000_000) -> None:
        self.capacity = capacity
        self.counts: Counter[tuple[str, str]] = Counter()
        self.total = self.missing = 0

    def add(self, text: str) -> None:
        """Count the pairs of a document."""
        words = words_of(text)
        self.counts.update(pairwise(words))
        self.total += max(0, len(words) - 1)
        if len(self.counts) > 2 * self.capacity:
            values = np.fromiter(self.counts.values(), np.int64, len(self.counts))
            cut = int(np.partition(values, -self.capacity - 1)[-self.capacity - 1])
            self.missing += cut
            self.counts = Counter({pair: n - cut for pair, n in self.counts.items() if n > cut})

    def top(self, number: int) -> list[tuple[str, int]]:
        """Return the most frequent pairs and their counts, equal ones in alphabetical order."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return [(" ".join(pair), count) for pair, count in ranked[:number]]
