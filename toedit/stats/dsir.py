"""Data selection by importance resampling (Xie et al., 2023, arXiv 2302.03169).

A document of a raw corpus weighs what a bag-of-n-grams model of the target makes of it against one
of the raw corpus. Weights, filter and choice are those of the package ``data-selection`` 1.0.3.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from toedit.errors import UserError
from toedit.stats.ngrams import HashedNgrams

SMOOTHING = 1e-8
MIN_WORDS = 100
"""The package's shortest document that can be chosen."""


@dataclass(frozen=True)
class ImportanceModel:
    """How much likelier each n-gram bucket is in the target than in the raw corpus.

    Attributes:
        ngrams: the features.
        log_ratio: float64 ``[buckets]``.
    """

    ngrams: HashedNgrams
    log_ratio: np.ndarray

    @classmethod
    def fit(
        cls, target: Iterable[str], raw: Iterable[str], order: int = 2, buckets: int = 10_000
    ) -> "ImportanceModel":
        """Counts both corpora, one document at a time.

        Raises:
            UserError: a corpus holds no word.
        """
        ngrams = HashedNgrams(order, buckets)
        shares = []
        for name, texts in (("target", target), ("raw", raw)):
            counts = ngrams.counts(texts)
            if not counts.any():
                raise UserError(f"the {name} corpus of DSIR holds no word")
            shares.append(counts / counts.sum())
        return cls(ngrams, np.log(shares[0] + SMOOTHING) - np.log(shares[1] + SMOOTHING))

    def weight(self, text: str) -> tuple[float, int]:
        """Log importance weight of a document, a sum over its n-grams, and its words.

        Since the weight is a sum, long documents get extreme ones. Divided by the n-grams,
        :meth:`mean_weight`, it says how the document is written and not how long it is.
        """
        found = self.ngrams.of(text)
        return float(self.log_ratio[found].sum()), self.ngrams.words(len(found))

    def mean_weight(self, text: str) -> tuple[float, int]:
        """The weight by n-gram (ours, not the package's), and the document's words."""
        found = self.ngrams.of(text)
        total = float(self.log_ratio[found].sum())
        return total / max(len(found), 1), self.ngrams.words(len(found))


def gumbel(number: int, seed: int | Sequence[int]) -> np.ndarray:
    """Standard Gumbel noise, float64 ``[number]``: the largest noisy weights are a sample."""
    return np.random.default_rng(seed).gumbel(size=number)


def choose(
    log_weights: Sequence[float] | np.ndarray,
    words: Sequence[int] | np.ndarray,
    number: int,
    noise: np.ndarray | None = None,
    min_words: int = MIN_WORDS,
) -> np.ndarray:
    """Samples documents without replacement, in proportion to their weights (Gumbel top-k).

    Args:
        log_weights: of every document.
        words: of every document; the package silently drops those below ``min_words``.
        number: documents chosen; fewer where fewer are long enough.
        noise: one draw a document that is long enough, in order; None takes the largest weights.
        min_words: the shortest document.

    Returns:
        Indices, the largest noisy weight first.
    """
    kept = np.flatnonzero(np.asarray(words) >= min_words)
    noisy = np.asarray(log_weights, np.float64)[kept]
    if noise is not None:
        noisy = noisy + noise[: len(kept)]
    return kept[np.argsort(-noisy, kind="stable")[:number]]
