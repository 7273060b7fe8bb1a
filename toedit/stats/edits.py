"""What an editing rule did to a text, in sums that add up over documents, shards and workers.

Sums of real numbers are kept exactly, as fractions (a float is one), so that they do not depend on
how documents were grouped or in which order they came.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from fractions import Fraction
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
        failed: ids of documents that could not be scored and were kept as they were.
        tokens: tokens of the prior's tokenizer.
        scored: tokens that the prior gave a probability.
        eligible: tokens the rule applied to.
        changed: tokens that became another token.
        deleted: tokens removed.
        log_likelihood: sum of log p over scored tokens.
        smoothing: sum over eligible tokens of the exact probability that the token changes: the
            label smoothing that editing amounts to.
        kl: sum of KL(source one-hot || replacement distribution), nats, over eligible tokens that
            can stay.
        cannot_stay: eligible tokens that must change; their KL is infinite.
        rounds: proposals drawn; one an eligible token, but in rejection sampling.
        gave_up: eligible tokens where rejection sampling accepted none.
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
    log_likelihood: Fraction = Fraction(0)
    smoothing: Fraction = Fraction(0)
    kl: Fraction = Fraction(0)
    cannot_stay: int = 0
    rounds: int = 0
    gave_up: int = 0
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)
    changed_histogram: list[int] = field(default_factory=lambda: [0] * BINS)

    @classmethod
    def of(cls, scores: TokenScores, edit: Edit) -> EditStats:
        """The statistics of one edited document."""
        changed = (edit.ids != scores.tokens.ids) & (edit.ids != DELETED)
        stay = edit.stay[edit.eligible].clip(0, 1)
        possible = stay[stay > 0]
        return cls(
            documents=1,
            tokens=len(edit.ids),
            scored=int(scores.scored.sum()),
            eligible=int(edit.eligible.sum()),
            changed=int(changed.sum()),
            deleted=int((edit.ids == DELETED).sum()),
            log_likelihood=Fraction(float(np.nansum(scores.logprobs.astype(np.float64)))),
            smoothing=Fraction(float((1 - stay).sum())),
            kl=Fraction(float(-np.log(possible).sum())),
            cannot_stay=len(stay) - len(possible),
            rounds=int(edit.rounds.sum()),
            gave_up=int(edit.gave_up.sum()),
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

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, fractions as text."""
        return {k: str(v) if isinstance(v, Fraction) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> EditStats:
        """Reads what :meth:`to_json` gave."""
        exact = {"log_likelihood", "smoothing", "kl"}
        read: dict[str, Any] = {k: Fraction(v) if k in exact else v for k, v in values.items()}
        return cls(**read)

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
            "smoothing": float(self.smoothing / eligible),
            "kl": None if self.cannot_stay else float(self.kl / eligible),
            "perplexity": math.exp(-self.log_likelihood / self.scored) if self.scored else None,
            "documents": self.documents,
            "failed": len(self.failed),
            "failed_ids": self.failed[:20],
            "tokens": self.tokens,
            "scored": self.scored,
            "eligible": self.eligible,
            "changed": self.changed,
            "deleted": self.deleted,
            "rounds": self.rounds,
            "gave_up": self.gave_up,
            "histogram": [count / total for count in self.histogram],
            "changed_histogram": self.changed_histogram,
        }
