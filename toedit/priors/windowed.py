"""Base class of priors with a Hugging Face tokenizer that score documents in windows."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toedit.document import Tokens, Window, locate, windows
from toedit.errors import UserError
from toedit.offsets import exact_offsets
from toedit.priors.base import CandidateRange, TokenScores
from toedit.priors.vocabulary import hf_vocabulary
from toedit.progress import done


@dataclass
class WindowScores:
    """Scores of one window.

    Attributes:
        document: index of the document.
        positions: int ``[n]``, its tokens that were scored.
        logprobs: float32 ``[n]``.
        rows: int ``[m]``, ascending indices of the positions that have alternatives.
        candidate_ids: int ``[m, k]``.
        candidate_logprobs: float32 ``[m, k]``.
    """

    document: int
    positions: np.ndarray
    logprobs: np.ndarray
    rows: np.ndarray
    candidate_ids: np.ndarray
    candidate_logprobs: np.ndarray


class WindowedPrior(ABC):
    """Tokenize documents, split them into windows and join the scores; subclasses score windows.

    Args:
        tokenizer: a fast tokenizer.
        rows: rows of the model's output layer.
        limit: the model's maximum input length in tokens; None if unlimited.
        max_length: maximum tokens in one forward pass.
        overlap: tokens of context that each later window of a long document repeats.

    Raises:
        UserError: model and tokenizer do not match.
    """

    flops_per_token = 0
    """Floating-point operations of the model's matrix products per token."""

    def __init__(
        self, tokenizer: Any, rows: int, limit: int | None, max_length: int, overlap: int
    ) -> None:
        self.tokenizer = tokenizer
        self.vocabulary = hf_vocabulary(tokenizer, rows)
        probe = tokenizer("a").input_ids
        # The first token is conditioned on BOS if the tokenizer adds one by default.
        self.prefix = [tokenizer.bos_token_id] if probe[:1] == [tokenizer.bos_token_id] else []
        self.window = min(max_length, limit or max_length) - len(self.prefix)
        if self.window < 2:
            raise UserError(f"max_length={max_length} is too short: a window needs two tokens")
        # Without BOS the first token of a window has no context, so windows must overlap.
        self.overlap = max(min(overlap, self.window - 1), 0 if self.prefix else 1)

    def tokenize(self, text: str) -> Tokens:
        encoded = exact_offsets(self.tokenizer)(
            text,
            add_special_tokens=False,
            return_offsets_mapping=True,
            verbose=False,
            return_attention_mask=False,
        )
        return locate(text, encoded["input_ids"], encoded["offset_mapping"], self.vocabulary.pieces)

    def score(self, texts: Sequence[str], candidates: CandidateRange) -> Iterator[TokenScores]:
        return self.score_tokens([self.tokenize(text) for text in texts], candidates)

    def score_tokens(
        self, documents: Sequence[Tokens], candidates: CandidateRange
    ) -> Iterator[TokenScores]:
        size = len(self.vocabulary.proposable)
        if candidates.k > size:
            raise UserError(f"k={candidates.k} exceeds the prior's vocabulary of {size}")
        jobs = [
            (d, w)
            for d, tokens in enumerate(documents)
            for w in windows(len(tokens), self.window, self.overlap)
        ]
        logprobs = [np.full(len(tokens), np.nan, np.float32) for tokens in documents]
        parts: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in documents]
        inputs = [0] * len(documents)
        for document, window in jobs:
            inputs[document] += len(self.prefix) + window.stop - window.start
        each = len(documents) / max(sum(map(len, documents)), 1)  # documents of a token
        for part in self.score_windows(documents, jobs, candidates):
            done(each * len(part.positions), len(part.positions))
            logprobs[part.document][part.positions] = part.logprobs
            rows = part.positions[part.rows]
            parts[part.document].append((rows, part.candidate_ids, part.candidate_logprobs))
        empty = (
            np.zeros(0, np.int32),
            np.zeros((0, candidates.k), np.int32),
            np.zeros((0, candidates.k), np.float32),
        )
        for tokens, scores, candidates_by_window, n in zip(
            documents, logprobs, parts, inputs, strict=True
        ):
            # The windows of a document come in any order.
            candidates_by_window.sort(key=lambda part: part[0][0] if len(part[0]) else -1)
            columns = zip(empty, *candidates_by_window, strict=True)
            rows, ids, values = (np.concatenate(column) for column in columns)
            rows, ids = rows.astype(np.int32), ids.astype(np.int32)
            yield TokenScores(tokens, scores, rows, ids, values, n * self.flops_per_token)

    @abstractmethod
    def score_windows(
        self,
        documents: Sequence[Tokens],
        jobs: list[tuple[int, Window]],
        candidates: CandidateRange,
    ) -> Iterable[WindowScores]:
        """Score windows, given as (document index, window), in any order."""

    def inputs(self, documents: Sequence[Tokens], job: tuple[int, Window]) -> list[int]:
        """Return the token ids of a window's forward pass."""
        document, window = job
        return self.prefix + documents[document].ids[window.start : window.stop].tolist()

    def scored_positions(self, window: Window) -> np.ndarray:
        """Return the positions that a window scores; a document's first needs a BOS before it."""
        first = max(window.score_from, window.start + (0 if self.prefix else 1))
        return np.arange(first, window.stop)
