"""Position of a corpus's document perplexities within the range of another corpus."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Position:
    """Position of a corpus within the perplexity range of the human one; numbers or arrays.

    Attributes:
        lowest_quarter: share of documents below the human lower quartile; 0.25 for human text.
        inner_half: share between the human quartiles; 0.5 for human text.
        tail: share above the human 95th percentile; 0.05 for human text.
        spread: interquartile range of log perplexity divided by the human one; 1 for human text,
            NaN if the human range is zero.
    """

    lowest_quarter: np.ndarray
    inner_half: np.ndarray
    tail: np.ndarray
    spread: np.ndarray


def position(human: np.ndarray, other: np.ndarray) -> Position:
    """Compare log perplexities of human documents ``[..., n]`` and other documents ``[..., m]``."""
    low, high, tail = np.quantile(human, [0.25, 0.75, 0.95], axis=-1, keepdims=True)
    below, above = np.quantile(other, [0.25, 0.75], axis=-1)
    width = (high - low)[..., 0]
    return Position(
        (other < low).mean(axis=-1),
        ((other >= low) & (other <= high)).mean(axis=-1),
        (other > tail).mean(axis=-1),
        np.divide(above - below, width, out=np.full_like(width, np.nan), where=width > 0),
    )
