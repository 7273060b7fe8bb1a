"""Where the document perplexities of one corpus lie in the range of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Position:
    """A corpus within the perplexity range of the human one.

    Attributes:
        lowest_quarter: share of its documents below the human lower quartile; 0.25 if alike.
        inner_half: share between the human quartiles; 0.5 if alike.
        tail: share above the human 95th percentile; 0.05 if alike.
        spread: its interquartile range of log perplexity over the human one; 1 if alike, NaN where
            that is zero.
    """

    lowest_quarter: float
    inner_half: float
    tail: float
    spread: float


def position(human: np.ndarray, other: np.ndarray) -> Position:
    """Compares two corpora.

    Args:
        human: log perplexities of human documents, at least one.
        other: those of the other corpus, at least one.
    """
    low, high, tail = np.quantile(human, [0.25, 0.75, 0.95])
    below, above = np.quantile(other, [0.25, 0.75])
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.float64(above - below) / np.float64(high - low)
    return Position(
        float((other < low).mean()),
        float(((other >= low) & (other <= high)).mean()),
        float((other > tail).mean()),
        float(ratio) if high > low else float("nan"),
    )
