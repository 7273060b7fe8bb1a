"""What an editing rule did to a text, in sums that add up over documents, shards and workers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from toedit.edit import DELETED, Edit
from toedit.priors.base import TokenScores

BINS = 10
"""Bins of width 0.1 of the token probability, as in the paper's Table 6."""


def probability_histogram(logprobs: np.ndarray) -> np.ndarray:
    """Counts ``[10]`` of exp(logprobs) in bins of width 0.1; NaN is left out, 1 is in the last."""
    probabilities = np.exp(logprobs[~np.isnan(logprobs)].astype(np.float64))
    return np.bincount(np.minimum((probabilities * BINS).astype(int), BINS - 1), minlength=BINS)


@dataclass
class EditStats:
    """Sums over edited documents.

    Attributes:
        documents: documents seen, failed ones included.
        failed: ids of documents that could not be scored or edited and were kept as they were.
        tokens: tokens of the prior's tokenizer.
        scored: tokens that the prior gave a probability.
        eligible: tokens the rule applied to.
        changed: tokens that became another token.
        deleted: tokens removed.
        log_likelihood: sum of log p over scored tokens.
        smoothing: sum over eligible tokens of the exact probability that the token changes: the
            label smoothing that editing amounts to.
        kl: sum over eligible tokens of KL(source one-hot || replacement distribution), nats,
            infinite where a token cannot stay.
        histogram: scored tokens by probability, ten bins of width 0.1.
        changed_histogram: changed tokens by the probability of the source token.
    """

    documents: int = 0
    failed: list[str] = field(default_factory=list)
    tokens: int = 0
    scored: int = 0
    eligible: int = 0
    changed: int = 0
    deleted: int = 0
    log_likelihood: float = 0.0
    smoothing: float = 0.0
    kl: float = 0.0
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)
    changed_histogram: list[int] = field(default_factory=lambda: [0] * BINS)

    @classmethod
    def of(cls, scores: TokenScores, edit: Edit) -> EditStats:
        """The statistics of one edited document."""
        changed = (edit.ids != scores.tokens.ids) & (edit.ids != DELETED)
        stay = edit.stay[edit.eligible]
        with np.errstate(divide="ignore"):
            kl = float(-np.log(np.clip(stay, 0, 1)).sum())
        return cls(
            documents=1,
            tokens=len(edit.ids),
            scored=int(scores.scored.sum()),
            eligible=int(edit.eligible.sum()),
            changed=int(changed.sum()),
            deleted=int((edit.ids == DELETED).sum()),
            log_likelihood=float(np.nansum(scores.logprobs.astype(np.float64))),
            smoothing=float((1 - stay).sum()),
            kl=kl,
            histogram=probability_histogram(scores.logprobs).tolist(),
            changed_histogram=probability_histogram(scores.logprobs[changed]).tolist(),
        )

    def __add__(self, other: EditStats) -> EditStats:
        mine, theirs = asdict(self), asdict(other)
        for name, value in theirs.items():
            if name.endswith("histogram"):
                mine[name] = [a + b for a, b in zip(mine[name], value, strict=True)]
            else:
                mine[name] += value
        return EditStats(**mine)

    def summary(self) -> dict[str, Any]:
        """Counts and shares as plain JSON values; what is infinite or undefined is None.

        ``changed_per_10k`` counts tokens changed per 10,000 tokens of text; ``smoothing`` and
        ``kl`` are means over eligible tokens.
        """
        eligible, tokens = max(self.eligible, 1), max(self.tokens, 1)
        total = sum(self.histogram) or 1
        return {
            "changed_per_10k": 1e4 * self.changed / tokens,
            "eligible_share": self.eligible / tokens,
            "deleted_per_10k": 1e4 * self.deleted / tokens,
            "smoothing": self.smoothing / eligible,
            "kl": self.kl / eligible if math.isfinite(self.kl) else None,
            "perplexity": math.exp(-self.log_likelihood / self.scored) if self.scored else None,
            "documents": self.documents,
            "failed": len(self.failed),
            "failed_ids": self.failed[:20],
            "tokens": self.tokens,
            "scored": self.scored,
            "eligible": self.eligible,
            "changed": self.changed,
            "deleted": self.deleted,
            "histogram": [count / total for count in self.histogram],
            "changed_histogram": self.changed_histogram,
        }
