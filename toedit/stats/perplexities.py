"""Where the document perplexities of one corpus lie in the range of another."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Position:
    """A corpus within the perplexity range of the human one, a number or an array of them.

    Attributes:
        lowest_quarter: share of its documents below the human lower quartile; 0.25 if alike.
        inner_half: share between the human quartiles; 0.5 if alike.
        tail: share above the human 95th percentile; 0.05 if alike.
        spread: its interquartile range of log perplexity over the human one; 1 if alike, NaN where
            that is zero.
    """

    lowest_quarter: np.ndarray
    inner_half: np.ndarray
    tail: np.ndarray
    spread: np.ndarray


def position(human: np.ndarray, other: np.ndarray) -> Position:
    """Compares two corpora.

    Args:
        human: log perplexities of human documents ``[..., n]``, at least one.
        other: those of the other corpus ``[..., m]``, at least one.
    """
    low, high, tail = np.quantile(human, [0.25, 0.75, 0.95], axis=-1, keepdims=True)
    below, above = np.quantile(other, [0.25, 0.75], axis=-1)
    width = (high - low)[..., 0]
    return Position(
        (other < low).mean(axis=-1),
        ((other >= low) & (other <= high)).mean(axis=-1),
        (other > tail).mean(axis=-1),
        np.divide(above - below, width, out=np.full_like(width, np.nan), where=width > 0),
    )
