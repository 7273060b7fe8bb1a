"""What editing needs of a prior language model: the scores of one forward pass."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from toedit.document import Tokens


@dataclass(frozen=True)
class CandidateRange:
    """Where the prior's alternatives are kept, and how many.

    Attributes:
        k: alternatives a position, most probable first; 0 keeps none.
        above: keep them where the token's probability is at least this (None: nowhere).
        below: keep them where it is at most this (None: nowhere).
    """

    k: int = 0
    above: float | None = None
    below: float | None = None

    def log_bounds(self) -> tuple[float, float]:
        """(lower, upper): alternatives are kept where log p >= lower or log p <= upper."""
        lower = math.inf if self.above is None or not self.k else math.log(self.above)
        upper = -math.inf if self.below is None or not self.k else math.log(self.below)
        return lower, upper

    def covers(self, need: "CandidateRange") -> bool:
        """Whether scores kept with this range hold all that ``need`` asks for."""
        if self.above is not None and self.below is not None and self.above <= self.below:
            return self.k >= need.k  # kept everywhere
        from_above = need.above is None or (self.above is not None and need.above >= self.above)
        from_below = need.below is None or (self.below is not None and need.below <= self.below)
        return self.k >= need.k and (not need.k or (from_above and from_below))


@dataclass(frozen=True)
class Vocabulary:
    """What a prior's token ids write into a text.

    Attributes:
        pieces: text of each token id alone; None where it has none (special, or not valid UTF-8
            alone).
        proposable: bool ``[vocabulary of the model]``: ids that may be written into a text.
    """

    pieces: Sequence[str | None]
    proposable: np.ndarray


@dataclass
class TokenScores:
    """One forward pass of a prior over one document.

    Attributes:
        tokens: ids and spans ``[n]``.
        logprobs: float32 ``[n]``, natural log P(x_i | x_<i), at most 0; NaN where the prior has no
            context (the first token of a prior without a beginning-of-sequence token).
        rows: int32 ``[m]``, ascending: positions whose alternatives are kept.
        candidate_ids: int32 ``[m, k]``, most probable first.
        candidate_logprobs: float32 ``[m, k]``.
        flops: floating-point operations of the pass's matrix products, 2 a weight and token;
            0 where the scores were read from a file or nobody counted.
    """

    tokens: Tokens
    logprobs: np.ndarray
    rows: np.ndarray
    candidate_ids: np.ndarray
    candidate_logprobs: np.ndarray
    flops: int = 0

    @property
    def scored(self) -> np.ndarray:
        """bool ``[n]``: the prior assigned this token a probability."""
        return ~np.isnan(self.logprobs)

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood over scored tokens; NaN where there are none."""
        scored = self.logprobs[self.scored]
        return float(np.exp(-scored.astype(np.float64).mean())) if len(scored) else math.nan


def join_scores(parts: Sequence[TokenScores]) -> TokenScores:
    """The scores of several documents in a row; character spans stay those of each document."""
    starts = np.cumsum([0, *(len(part.tokens) for part in parts)])
    tokens = [
        np.concatenate([getattr(part.tokens, name) for part in parts])
        for name in ("ids", "starts", "ends", "whole")
    ]
    return TokenScores(
        Tokens(*tokens),
        np.concatenate([part.logprobs for part in parts]),
        np.concatenate([part.rows + start for part, start in zip(parts, starts, strict=False)]),
        _stacked([part.candidate_ids for part in parts], 0),
        _stacked([part.candidate_logprobs for part in parts], -np.inf),
    )


def _stacked(parts: Sequence[np.ndarray], fill: float) -> np.ndarray:
    """Rows of several arrays; a prior may give some documents fewer columns."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate(
        [
            part
            if part.shape[1] == width
            else np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=fill)
            for part in parts
        ]
    )


class Prior(Protocol):
    """A language model seen from editing.

    A new prior is a class with these members; see :class:`toedit.priors.table.TablePrior` for the
    smallest one.
    """

    vocabulary: Vocabulary

    def tokenize(self, text: str) -> Tokens:
        """The document's tokens, without any the tokenizer would add around it."""
        ...

    def score(self, texts: Sequence[str], candidates: CandidateRange) -> Iterator[TokenScores]:
        """Scores documents, in order, one forward pass over each."""
        ...

    def score_tokens(
        self, documents: Sequence[Tokens], candidates: CandidateRange
    ) -> Iterator[TokenScores]:
        """The same for documents that are tokens already."""
        ...
