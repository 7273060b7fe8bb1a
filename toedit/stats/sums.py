"""Statistics as sums that add up over documents, shards and workers, in any order to the last bit.

Sums of real numbers are kept as whole multiples of 2^-32, because sums of whole numbers do not
depend on how documents were grouped or in which order they came.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

BINS = 10
"""Bins of width 0.1 of the token probability, as in the paper's Table 6."""

UNIT = 2.0**-32
"""What sums of real numbers are counted in."""

FLOOR = -1e3
"""A log-probability below this counts as this."""


def empty_histogram() -> list[int]:
    """A histogram of nothing."""
    return [0] * BINS


def units(values: np.ndarray) -> np.ndarray:
    """int64: real numbers in multiples of :data:`UNIT`; NaN is 0."""
    scaled = values.astype(np.float64)
    scaled.clip(FLOOR, -FLOOR, out=scaled)
    scaled[np.isnan(scaled)] = 0
    scaled /= UNIT
    return np.rint(scaled, out=scaled).astype(np.int64)


def perplexity(log_likelihood: int, scored: int) -> float | None:
    """exp of the mean negative log-likelihood, given in :data:`UNIT`; None where nothing was scored
    or where it is beyond all numbers."""
    mean = -log_likelihood * UNIT / scored if scored else math.inf
    return math.exp(mean) if mean < 700 else None


def sums_by_document(values: np.ndarray, ends: np.ndarray) -> list[int]:
    """Sums of whole numbers ``[n]`` over documents in a row that end at ``ends``."""
    total = np.concatenate([[0], values.cumsum(dtype=np.int64)])[ends]
    return np.diff(total, prepend=0).tolist()


def probability_bins(logprobs: np.ndarray) -> np.ndarray:
    """int ``[n]``: the bin of exp(logprobs), 1 in the last one; :data:`BINS` where it is NaN."""
    bins = np.exp(logprobs) * np.float32(BINS)
    np.minimum(bins, BINS - 1, out=bins)
    bins[np.isnan(bins)] = BINS
    return bins.astype(np.int64)


def histograms_by_document(bins: np.ndarray, documents: np.ndarray, count: int) -> list[list[int]]:
    """Counts ``[count][BINS]`` of tokens by document and bin, both ``[n]``."""
    place = documents * (BINS + 1) + bins
    table = np.bincount(place, minlength=count * (BINS + 1)).reshape(count, BINS + 1)
    return table[:, :BINS].tolist()


@dataclass
class Sums:
    """Whole numbers that add up, lists of names that are joined, and histograms."""

    def add(self, other: Self) -> None:
        """Adds another's sums to these."""
        mine = vars(self)
        for name, value in vars(other).items():
            if name.endswith("histogram"):
                mine[name] = [a + b for a, b in zip(mine[name], value, strict=True)]
            elif value:
                mine[name] = mine[name] + value

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Reads what :meth:`to_json` gave."""
        return cls(**values)
