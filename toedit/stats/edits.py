"""Statistics of edits: counts, histograms, smoothing and KL divergence."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toedit.edit import DELETED, Edit
from toedit.priors.base import TokenScores
from toedit.stats import sums
from toedit.stats.scores import ScoreStats
from toedit.stats.sums import Sums, empty_histogram, perplexity, units

COUNTS = ("tokens", "scored", "eligible", "changed", "deleted", "rounds", "gave_up")


@dataclass
class EditStats(Sums):
    """Sums over edited documents; histograms have ten bins of the source token's probability.

    Attributes:
        documents: number of documents, failed ones included.
        failed: ids of documents that could not be scored and did not change.
        tokens: tokens of the prior's tokenizer.
        scored: tokens with a probability.
        eligible: tokens the rule applied to.
        changed: tokens that became another token.
        deleted: deleted tokens.
        log_likelihood: sum of log p over scored tokens, nats.
        smoothing: sum over eligible tokens of the exact probability that the token changes: the
            label smoothing that editing amounts to.
        kl: sum of KL(source one-hot || replacement distribution), nats, over eligible tokens that
            can stay.
        highest_probability: of a scored token; 0 without one.
        cannot_stay: eligible tokens that must change; their KL is infinite.
        rounds: proposals drawn, one per eligible token except in rejection sampling.
        gave_up: eligible tokens at which rejection sampling accepted no proposal.
        histogram: scored tokens.
        eligible_histogram: eligible tokens.
        changed_histogram: changed tokens.
        deleted_histogram: deleted tokens.
        flops: floating-point operations of the prior's matrix products.
        rescored: documents that were scored again after editing.
        rescored_tokens: their tokens after editing.
        log_likelihood_before: sum of log p of their source, nats.
        log_likelihood_after: the same after editing.
        log_perplexity_change: sum over documents of the change of log perplexity, nats.
        scored_before: their scored tokens before editing.
        scored_after: their scored tokens after editing.
        counted_before: tokens of the source under a second tokenizer.
        counted_after: tokens of the edited text under it.
    """

    documents: int = 0
    failed: list[str] = field(default_factory=list)
    tokens: int = 0
    scored: int = 0
    eligible: int = 0
    changed: int = 0
    deleted: int = 0
    _log_likelihood: int = 0
    _smoothing: int = 0
    _kl: int = 0
    highest_probability: float = 0.0
    cannot_stay: int = 0
    rounds: int = 0
    gave_up: int = 0
    histogram: list[int] = field(default_factory=empty_histogram)
    eligible_histogram: list[int] = field(default_factory=empty_histogram)
    changed_histogram: list[int] = field(default_factory=empty_histogram)
    deleted_histogram: list[int] = field(default_factory=empty_histogram)
    flops: int = 0
    rescored: int = 0
    rescored_tokens: int = 0
    _log_likelihood_before: int = 0
    _log_likelihood_after: int = 0
    _log_perplexity_change: int = 0
    scored_before: int = 0
    scored_after: int = 0
    counted_before: int = 0
    counted_after: int = 0

    @classmethod
    def of(
        cls, scores: TokenScores, edit: Edit, ends: np.ndarray | None = None
    ) -> "list[EditStats]":
        """Compute the statistics of each document.

        Args:
            scores: scores of one document, or of several joined together.
            edit: the edit of the same tokens.
            ends: int ``[documents]``, end of the tokens of each; None for a single document.
        """
        ends = np.array([len(edit.ids)] if ends is None else ends)
        count, document = len(ends), np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
        bins = sums.probability_bins(scores.logprobs)
        values: dict[str, list[Any]] = {
            "tokens": np.diff(ends, prepend=0).tolist(),
            "scored": sums.sums_by_document(scores.scored, ends),
            "_log_likelihood": sums.sums_by_document(units(scores.logprobs), ends),
            "histogram": sums.histograms_by_document(bins, document, count),
        }
        highest, known = np.zeros(count), scores.scored
        p = np.exp(scores.logprobs[known].astype(np.float64))
        np.maximum.at(highest, document[known], p)
        values["highest_probability"] = highest.tolist()
        deleted = edit.ids == DELETED
        kinds = {
            "eligible": edit.eligible,
            "changed": (edit.ids != scores.tokens.ids) & ~deleted,
            "deleted": deleted,
        }
        for name, mask in kinds.items():
            at = mask.nonzero()[0]
            values[name] = np.bincount(document[at], minlength=count).tolist()
            values[f"{name}_histogram"] = sums.histograms_by_document(bins[at], document[at], count)
        at = edit.eligible.nonzero()[0]
        stay, eligible_ends = edit.stay[at].clip(0, 1), np.searchsorted(at, ends)
        kl = -np.log(stay, where=stay > 0, out=np.zeros(len(stay)))
        columns = {
            "_smoothing": units(1 - stay),
            "_kl": units(kl),
            "cannot_stay": stay == 0,
            "rounds": edit.rounds[at],
            "gave_up": edit.gave_up[at],
        }
        for name, column in columns.items():
            values[name] = sums.sums_by_document(column, eligible_ends)
        values["documents"] = [1] * count
        rows = zip(*values.values(), strict=True)
        return [cls(**dict(zip(values, row, strict=True))) for row in rows]

    log_likelihood = sums.real("_log_likelihood")
    smoothing = sums.real("_smoothing")
    kl = sums.real("_kl")
    log_likelihood_before = sums.real("_log_likelihood_before")
    log_likelihood_after = sums.real("_log_likelihood_after")
    log_perplexity_change = sums.real("_log_perplexity_change")

    def add_rescored(self, before: ScoreStats, after: ScoreStats) -> None:
        """Note the scores of the document before and after editing, if both have any."""
        if before.scored and after.scored:
            self.rescored, self.rescored_tokens = 1, after.tokens
            self.scored_before, self.scored_after = before.scored, after.scored
            self._log_likelihood_before = before._log_likelihood
            self._log_likelihood_after = after._log_likelihood
            change = before._log_likelihood / before.scored - after._log_likelihood / after.scored
            self._log_perplexity_change = round(change)

    def summary(self) -> dict[str, Any]:
        """Return counts and shares as JSON values; infinite and undefined ones are None.

        ``changed_per_10k`` is per 10,000 tokens of text; ``smoothing`` and ``kl`` are means over
        eligible tokens; ``perplexity_change`` is the geometric mean over documents of the ratio of
        perplexities after and before.
        """
        eligible, tokens = max(self.eligible, 1), max(self.tokens, 1)
        total = sum(self.histogram) or 1
        measured: dict[str, Any] = {}
        if self.rescored:
            measured |= {
                "rescored": self.rescored,
                "rescored_tokens": self.rescored_tokens,
                "perplexity_before": perplexity(self._log_likelihood_before, self.scored_before),
                "perplexity_after": perplexity(self._log_likelihood_after, self.scored_after),
                "perplexity_change": math.exp(self.log_perplexity_change / self.rescored),
            }
        if self.counted_before:
            measured["counted_before"] = self.counted_before
            measured["counted_after"] = self.counted_after
        return {
            "changed_per_10k": 1e4 * self.changed / tokens,
            "eligible_share": self.eligible / tokens,
            "deleted_per_10k": 1e4 * self.deleted / tokens,
            "smoothing": self.smoothing / eligible,
            "kl": None if self.cannot_stay else self.kl / eligible,
            "perplexity": perplexity(self._log_likelihood, self.scored),
            "documents": self.documents,
            "failed": len(self.failed),
            "failed_ids": self.failed[:20],
            **{name: getattr(self, name) for name in COUNTS},
            "histogram": [count / total for count in self.histogram],
            "eligible_histogram": self.eligible_histogram,
            "changed_histogram": self.changed_histogram,
            "deleted_histogram": self.deleted_histogram,
            "flops": self.flops,
            **measured,
        }
