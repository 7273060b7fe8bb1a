"""Interface of prior language models, and the scores of one forward pass."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from toedit.document import Tokens


@dataclass(frozen=True)
class CandidateRange:
    """Positions at which a prior returns alternatives, and their number.

    Attributes:
        k: alternatives per position, most probable first; 0 for none.
        above: return them if the token's probability is at least this; None ignores it.
        below: return them if it is at most this; None ignores it.
    """

    k: int = 0
    above: float | None = None
    below: float | None = None

    def log_bounds(self) -> tuple[float, float]:
        """Return (lower, upper): there are alternatives if log p >= lower or log p <= upper."""
        lower = math.inf if self.above is None or not self.k else math.log(self.above)
        upper = -math.inf if self.below is None or not self.k else math.log(self.below)
        return lower, upper

    def covers(self, need: "CandidateRange") -> bool:
        """Whether scores with this range include all alternatives of ``need``."""
        if self.above is not None and self.below is not None and self.above <= self.below:
            return self.k >= need.k  # at every position
        from_above = need.above is None or (self.above is not None and need.above >= self.above)
        from_below = need.below is None or (self.below is not None and need.below <= self.below)
        return self.k >= need.k and (not need.k or (from_above and from_below))

    def including(self, need: "CandidateRange") -> "CandidateRange":
        """Return this range if it covers ``need``, else the smallest that covers both."""
        if self.covers(need):
            return self
        above = [bound for bound in (self.above, need.above) if bound is not None]
        below = [bound for bound in (self.below, need.below) if bound is not None]
        return CandidateRange(
            max(self.k, need.k), min(above, default=None), max(below, default=None)
        )


@dataclass(frozen=True)
class Vocabulary:
    """The texts of a prior's token ids.

    Attributes:
        pieces: text of each token id on its own; None if it has none (special tokens, and tokens
            that are not valid UTF-8 alone).
        proposable: bool ``[vocabulary of the model]``, ids that may be written into a text.
    """

    pieces: Sequence[str | None]
    proposable: np.ndarray


@dataclass
class TokenScores:
    """Scores of a document by one forward pass of a prior.

    Attributes:
        tokens: ids and spans ``[n]``.
        logprobs: float32 ``[n]``, natural log P(x_i | x_<i), at most 0; NaN without context (the
            first token, if the prior has no beginning-of-sequence token).
        rows: int32 ``[m]``, ascending positions that have alternatives.
        candidate_ids: int32 ``[m, k]``, most probable first.
        candidate_logprobs: float32 ``[m, k]``.
        flops: floating-point operations of matrix products, 2 per weight and token; 0 if unknown,
            as for scores read from a file.
    """

    tokens: Tokens
    logprobs: np.ndarray
    rows: np.ndarray
    candidate_ids: np.ndarray
    candidate_logprobs: np.ndarray
    flops: int = 0

    @property
    def scored(self) -> np.ndarray:
        """Tokens that have a probability, bool ``[n]``."""
        return ~np.isnan(self.logprobs)

    def narrowed(self, need: CandidateRange) -> "TokenScores":
        """Return the scores with the alternatives of ``need`` alone, as a prior returns them."""
        lower, upper = need.log_bounds()
        logprobs = self.logprobs[self.rows]
        kept = (logprobs >= lower) | (logprobs <= upper)
        ids, values = (a[kept, : need.k] for a in (self.candidate_ids, self.candidate_logprobs))
        return replace(self, rows=self.rows[kept], candidate_ids=ids, candidate_logprobs=values)

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood over scored tokens; NaN if there are none."""
        scored = self.logprobs[self.scored]
        return float(np.exp(-scored.astype(np.float64).mean())) if len(scored) else math.nan


def join_scores(parts: Sequence[TokenScores]) -> TokenScores:
    """Join the scores of several documents; character spans stay relative to each document."""
    starts = np.cumsum([0, *(len(part.tokens) for part in parts)])
    tokens = [
        np.concatenate([getattr(part.tokens, name) for part in parts])
        for name in ("ids", "starts", "ends", "has_exact_span")
    ]
    return TokenScores(
        Tokens(*tokens),
        np.concatenate([part.logprobs for part in parts]),
        np.concatenate([part.rows + start for part, start in zip(parts, starts, strict=False)]),
        _stack_rows([part.candidate_ids for part in parts], 0),
        _stack_rows([part.candidate_logprobs for part in parts], -np.inf),
    )


def _stack_rows(parts: Sequence[np.ndarray], fill: float) -> np.ndarray:
    """Stack the rows of arrays; a prior may return fewer columns for some documents."""
    width = max(part.shape[1] for part in parts)
    padded = [
        part
        if part.shape[1] == width
        else np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=fill)
        for part in parts
    ]
    return np.concatenate(padded)


class Prior(Protocol):
    """Interface of a prior; the smallest is :class:`toedit.priors.table.TablePrior`."""

    vocabulary: Vocabulary

    def tokenize(self, text: str) -> Tokens:
        """Tokenize a document, without special tokens around it."""
        ...

    def score(self, texts: Sequence[str], candidates: CandidateRange) -> Iterator[TokenScores]:
        """Score documents in order, by one forward pass over each."""
        ...

    def score_tokens(
        self, documents: Sequence[Tokens], candidates: CandidateRange
    ) -> Iterator[TokenScores]:
        """Score tokenized documents."""
        ...
