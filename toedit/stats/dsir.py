"""Data selection by importance resampling (Xie et al., 2023, arXiv 2302.03169).

The weight of a raw document is its likelihood ratio between bag-of-n-grams models of the target
and of the raw corpus. Weights, filter and sampling are those of the package ``data-selection``
1.0.3.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from toedit.errors import UserError
from toedit.stats.ngrams import HashedNgrams

SMOOTHING = 1e-8
MIN_WORDS = 100
"""Minimum length of a document that the package samples."""


@dataclass(frozen=True)
class ImportanceModel:
    """Log-likelihood ratio of each n-gram bucket between the target and the raw corpus.

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
        """Fit the model to two corpora, read one document at a time.

        Raises:
            UserError: a corpus contains no word.
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
        """Return the log importance weight of a document, summed over n-grams, and its words.

        The sum is extreme for long documents; :meth:`mean_weight` does not depend on length.
        """
        buckets = self.ngrams.of(text)
        return float(self.log_ratio[buckets].sum()), self.ngrams.words(len(buckets))

    def mean_weight(self, text: str) -> tuple[float, int]:
        """Return the weight per n-gram, which the package lacks, and the document's words."""
        buckets = self.ngrams.of(text)
        total = float(self.log_ratio[buckets].sum())
        return total / max(len(buckets), 1), self.ngrams.words(len(buckets))


def gumbel(number: int, seed: int | Sequence[int]) -> np.ndarray:
    """Draw standard Gumbel noise, float64 ``[number]``: the largest noisy weights are a sample."""
    return np.random.default_rng(seed).gumbel(size=number)


def choose(
    log_weights: Sequence[float] | np.ndarray,
    words: Sequence[int] | np.ndarray,
    number: int,
    noise: np.ndarray | None = None,
    min_words: int = MIN_WORDS,
) -> np.ndarray:
    """Sample documents without replacement, in proportion to their weights (Gumbel top-k).

    Args:
        log_weights: log weight of every document.
        words: length of every document; those below ``min_words`` are dropped.
        number: documents to sample; fewer if fewer are long enough.
        noise: one draw for each document that is long enough, in order; None takes the largest
            weights.
        min_words: minimum length of a document.

    Returns:
        Indices, the largest noisy weight first.
    """
    long_enough = np.flatnonzero(np.asarray(words) >= min_words)
    noisy = np.asarray(log_weights, np.float64)[long_enough]
    if noise is not None:
        noisy = noisy + noise[: len(long_enough)]
    return long_enough[np.argsort(-noisy, kind="stable")[:number]]
