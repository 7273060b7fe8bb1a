"""Statistics of scores: perplexity and histogram of token probabilities."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toedit.priors.base import TokenScores
from toedit.stats.sums import BINS, Sums, empty_histogram, perplexity, probability_bins, real, units


@dataclass
class ScoreStats(Sums):
    """Sums over scored documents.

    Attributes:
        documents: number of documents, failed ones included.
        failed: ids of documents that could not be scored.
        tokens: tokens of the prior's tokenizer.
        scored: tokens with a probability.
        log_likelihood: sum of log p over scored tokens, nats.
        histogram: scored tokens by probability, ten bins of width 0.1.
        above_99: scored tokens with p >= 0.99.
        above_999: scored tokens with p >= 0.999.
        flops: floating-point operations of the prior's matrix products.
    """

    documents: int = 0
    failed: list[str] = field(default_factory=list)
    tokens: int = 0
    scored: int = 0
    _log_likelihood: int = 0
    histogram: list[int] = field(default_factory=empty_histogram)
    above_99: int = 0
    above_999: int = 0
    flops: int = 0

    @classmethod
    def of(cls, identity: str, scores: TokenScores | None) -> "ScoreStats":
        """Compute the statistics of one document, whose scores are None if scoring failed."""
        if scores is None:
            return cls(documents=1, failed=[identity])
        logprobs = scores.logprobs.astype(np.float64)
        bins = np.bincount(probability_bins(scores.logprobs), minlength=BINS + 1)
        return cls(
            documents=1,
            tokens=len(logprobs),
            scored=int(scores.scored.sum()),
            _log_likelihood=int(units(logprobs).sum()),
            histogram=bins[:BINS].tolist(),
            above_99=int((logprobs >= math.log(0.99)).sum()),
            above_999=int((logprobs >= math.log(0.999)).sum()),
            flops=scores.flops,
        )

    log_likelihood = real("_log_likelihood")

    @property
    def perplexity(self) -> float | None:
        """exp of the mean negative log-likelihood of scored tokens; None if there are none."""
        return perplexity(self._log_likelihood, self.scored)

    def summary(self) -> dict[str, Any]:
        """Return counts, and shares of scored tokens, as JSON values."""
        scored = max(self.scored, 1)
        return {
            "documents": self.documents,
            "failed": len(self.failed),
            "failed_ids": self.failed[:20],
            "tokens": self.tokens,
            "scored": self.scored,
            "perplexity": self.perplexity,
            "histogram": [count / scored for count in self.histogram],
            "share_above_99": self.above_99 / scored,
            "share_above_999": self.above_999 / scored,
            "flops": self.flops,
        }
