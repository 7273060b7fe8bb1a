"""A byte-bigram prior with its probabilities in a table: exact and instant, for tests and examples.

Tokens are the bytes of the UTF-8 text, and P(next | previous) is a row of the table.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from toedit.document import Tokens, locate
from toedit.priors.base import CandidateRange, TokenScores, Vocabulary

BEGIN = 256
"""Id of the beginning-of-sequence token."""

SAMPLE = (
    "the quick brown fox jumps over the lazy dog while seven wizards mix jovial liquid vaccines in "
    "every clinical cohort study of human disease. "
)
"""The text whose byte bigrams the default table repeats."""


def default_table() -> np.ndarray:
    """Return log-probabilities ``[257, 257]`` of :data:`SAMPLE`'s bigrams, smoothed.

    A byte that always has the same successor (q, v) gives it more than 0.99, so English text has
    eligible tokens. The remaining probability goes to a few letters, so that edits do happen.
    """
    counts = np.full((257, 257), 1e-6)
    counts[:, list(b" etanio")] += 1.5e-3
    text = SAMPLE.encode()
    np.add.at(counts, (list(text), list(text[1:] + text[:1])), 1.0)
    return np.log(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)


class TablePrior:
    """A bigram model over bytes.

    Args:
        table: float32 log-probabilities ``[257, 257]``, row = previous token; None for the
            default table.
        begin: score the first token, given a beginning-of-sequence token.
    """

    def __init__(self, table: np.ndarray | None = None, begin: bool = False) -> None:
        self.table = default_table() if table is None else table
        self.begin = begin
        ascii_only = [chr(i) if i < 128 else None for i in range(257)]
        self.vocabulary = Vocabulary(ascii_only, np.arange(257) < 128)

    def tokenize(self, text: str) -> Tokens:
        ids, offsets = [], []
        for position, character in enumerate(text):
            for byte in character.encode("utf-8", "surrogatepass"):
                ids.append(byte)
                offsets.append((position, position + 1))
        return locate(text, ids, offsets, self.vocabulary.pieces)

    def score(self, texts: Sequence[str], candidates: CandidateRange) -> Iterator[TokenScores]:
        return self.score_tokens([self.tokenize(text) for text in texts], candidates)

    def score_tokens(
        self, documents: Sequence[Tokens], candidates: CandidateRange
    ) -> Iterator[TokenScores]:
        lower, upper = candidates.log_bounds()
        order = np.argsort(-self.table, axis=1, kind="stable").astype(np.int32)[:, : candidates.k]
        for tokens in documents:
            previous = np.concatenate([[BEGIN], tokens.ids[:-1]]).astype(np.int64)[: len(tokens)]
            logprobs = self.table[previous, tokens.ids]
            if not self.begin and len(tokens):
                logprobs[0] = np.nan
            rows = np.flatnonzero((logprobs >= lower) | (logprobs <= upper)).astype(np.int32)
            ids = order[previous[rows]]
            yield TokenScores(tokens, logprobs, rows, ids, self.table[previous[rows, None], ids])
