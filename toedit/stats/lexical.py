"""How varied the words of a corpus are, on chunks of equal size.

A larger sample holds more kinds of words and repeats more of them, so shares such as the type-token
ratio can be compared at equal sizes only: documents are dealt out in turn to chunks, each of which
is cut at exactly so many words. How far the chunks of a corpus lie apart is the error of their
mean.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise

import numpy as np

from toedit.stats.ngrams import words_of

ZIPF_RANKS = 1000
"""Ranks that the slope is fitted to; beyond them counts of one and two make steps."""

REPEATED = 4
"""Words in a run that counts as repeated."""

Words = Sequence[str]


@dataclass(frozen=True)
class Lexical:
    """Measures of a sample; None where it is too small for one.

    Attributes:
        words: how many.
        type_token_ratio: different words a word.
        entropy: of the distribution of words, bits.
        zipf_slope: of log count against log rank, least squares over :data:`ZIPF_RANKS` ranks;
            about -1 in human text.
        distinct_2: different pairs of words a pair (Li et al., 2016).
        distinct_3: the same for runs of three.
        self_repetition: share of runs of :data:`REPEATED` words that stand in another document of
            the sample too (after Salkar et al., 2022).
    """

    words: int
    type_token_ratio: float | None
    entropy: float | None
    zipf_slope: float | None
    distinct_2: float | None
    distinct_3: float | None
    self_repetition: float | None


def lexical(documents: Sequence[Words]) -> Lexical:
    """Measures a sample.

    Args:
        documents: words of each; runs do not reach from one into the next.
    """
    counts = Counter(word for document in documents for word in document)
    found = np.array(sorted(counts.values(), reverse=True), float)
    total = int(found.sum())
    return Lexical(
        total,
        _ratio(len(found), total),
        _entropy(found / total) if total else None,
        _slope(found[:ZIPF_RANKS]),
        _distinct(documents, 2),
        _distinct(documents, 3),
        _self_repetition(documents),
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _entropy(shares: np.ndarray) -> float:
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no -0.0


def _slope(counts: np.ndarray) -> float | None:
    """Slope over ranks; None for fewer than two words, a line of one point."""
    if len(counts) < 2:
        return None
    return float(np.polyfit(np.log(np.arange(1, len(counts) + 1)), np.log(counts), 1)[0]) + 0.0


def _runs(words: Words, size: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[i:] for i in range(size)), strict=False))


def _distinct(documents: Sequence[Words], size: int) -> float | None:
    runs = [run for document in documents for run in _runs(document, size)]
    return _ratio(len(set(runs)), len(runs))


def _self_repetition(documents: Sequence[Words]) -> float | None:
    by_document = [_runs(document, REPEATED) for document in documents]
    holders = Counter(run for runs in by_document for run in set(runs))
    every = [holders[run] > 1 for runs in by_document for run in runs]
    return _ratio(sum(every), len(every))


def chunks(texts: Iterable[str], number: int, words: int) -> list[list[list[str]]]:
    """Samples of equal size.

    Args:
        texts: documents, dealt out in turn; read until every chunk is full.
        number: chunks.
        words: words of each, to which its last document is cut.

    Returns:
        The full chunks, each a list of documents, each a list of words. Memory goes with
        ``number * words``, not with the corpus.
    """
    found: list[list[list[str]]] = [[] for _ in range(number)]
    left = [words] * number
    turn = cycle(range(number))
    for text in texts:
        if not any(left):
            break
        at = next(i for i in turn if left[i])
        part = words_of(text)[: left[at]]
        if part:
            found[at].append(part)
            left[at] -= len(part)
    return [chunk for chunk, missing in zip(found, left, strict=True) if not missing]


class FrequentPairs:
    """The commonest pairs of neighbouring words, in memory that does not grow with the corpus.

    Counts are exact until there are more different pairs than fit; then the rarest go (Misra &
    Gries, 1982, merged as Agarwal et al., 2012), and no count lacks more than ``missing``.

    Args:
        capacity: different pairs that are kept.
    """

    def __init__(self, capacity: int = 1_000_000) -> None:
        self.capacity = capacity
        self.counts: Counter[tuple[str, str]] = Counter()
        self.total = self.missing = 0

    def add(self, text: str) -> None:
        """Counts the pairs of a document."""
        words = words_of(text)
        self.counts.update(pairwise(words))
        self.total += max(0, len(words) - 1)
        if len(self.counts) > 2 * self.capacity:
            values = np.fromiter(self.counts.values(), np.int64, len(self.counts))
            cut = int(np.partition(values, -self.capacity - 1)[-self.capacity - 1])
            self.missing += cut
            kept = {pair: count - cut for pair, count in self.counts.items() if count > cut}
            self.counts = Counter(kept)

    def top(self, number: int) -> list[tuple[str, int]]:
        """The commonest pairs and their counts, equal ones in alphabetical order."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return [(" ".join(pair), count) for pair, count in ranked[:number]]
