"""What a prior thinks of a text, in sums that add up over documents, shards and workers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from toedit.priors.base import TokenScores
from toedit.stats.edits import BINS, probability_histogram


@dataclass
class ScoreStats:
    """Sums over scored documents.

    Attributes:
        documents: documents seen, failed ones included.
        failed: ids of documents that could not be scored.
        tokens: tokens of the prior's tokenizer.
        scored: tokens that the prior gave a probability.
        log_likelihood: sum of log p over scored tokens, exact.
        histogram: scored tokens by probability, ten bins of width 0.1.
        above_99: scored tokens with p >= 0.99.
        above_999: scored tokens with p >= 0.999.
    """

    documents: int = 0
    failed: list[str] = field(default_factory=list)
    tokens: int = 0
    scored: int = 0
    log_likelihood: Fraction = Fraction(0)
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)
    above_99: int = 0
    above_999: int = 0

    @classmethod
    def of(cls, identity: str, scores: TokenScores | None) -> ScoreStats:
        """The statistics of one document; None where it could not be scored."""
        if scores is None:
            return cls(documents=1, failed=[identity])
        logprobs = scores.logprobs.astype(np.float64)
        return cls(
            documents=1,
            tokens=len(logprobs),
            scored=int(scores.scored.sum()),
            log_likelihood=Fraction(float(np.nansum(logprobs))),
            histogram=probability_histogram(scores.logprobs).tolist(),
            above_99=int((logprobs >= math.log(0.99)).sum()),
            above_999=int((logprobs >= math.log(0.999)).sum()),
        )

    def __add__(self, other: ScoreStats) -> ScoreStats:
        mine, theirs = asdict(self), asdict(other)
        for name, value in theirs.items():
            if name == "histogram":
                mine[name] = [a + b for a, b in zip(mine[name], value, strict=True)]
            else:
                mine[name] += value
        return ScoreStats(**mine)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the fraction as text."""
        return {**asdict(self), "log_likelihood": str(self.log_likelihood)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ScoreStats:
        """Reads what :meth:`to_json` gave."""
        return cls(**{**values, "log_likelihood": Fraction(values["log_likelihood"])})

    def summary(self) -> dict[str, Any]:
        """Counts and shares as plain JSON values; shares are of scored tokens."""
        scored = max(self.scored, 1)
        return {
            "documents": self.documents,
            "failed": len(self.failed),
            "failed_ids": self.failed[:20],
            "tokens": self.tokens,
            "scored": self.scored,
            "perplexity": math.exp(-self.log_likelihood / self.scored) if self.scored else None,
            "histogram": [count / scored for count in self.histogram],
            "share_above_99": self.above_99 / scored,
            "share_above_999": self.above_999 / scored,
        }
