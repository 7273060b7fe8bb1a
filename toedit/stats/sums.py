"""Sums over documents, shards and workers that are identical in any order, to the last bit.

Real numbers are summed as integer multiples of 2^-32, because sums of integers do not depend on
grouping and order.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

BINS = 10
"""Bins of width 0.1 of the token probability, as in the paper's Table 6."""

UNIT = 2.0**-32
"""Unit of sums of real numbers."""

FLOOR = -1e3
"""Smallest log-probability; smaller ones are clipped to it."""


def empty_histogram() -> list[int]:
    """Return a histogram of zeros."""
    return [0] * BINS


def units(values: np.ndarray) -> np.ndarray:
    """Convert real numbers to int64 multiples of :data:`UNIT`; NaN becomes 0."""
    scaled = values.astype(np.float64)
    scaled.clip(FLOOR, -FLOOR, out=scaled)
    scaled[np.isnan(scaled)] = 0
    scaled /= UNIT
    return np.rint(scaled, out=scaled).astype(np.int64)


def perplexity(log_likelihood: int, scored: int) -> float | None:
    """exp of the mean negative log-likelihood, in :data:`UNIT`; None if undefined or too large."""
    mean = -log_likelihood * UNIT / scored if scored else math.inf
    return math.exp(mean) if mean < 700 else None


def sums_by_document(values: np.ndarray, ends: np.ndarray) -> list[int]:
    """Sum integers ``[n]`` over documents whose tokens end at ``ends``."""
    total = np.concatenate([[0], values.cumsum(dtype=np.int64)])[ends]
    return np.diff(total, prepend=0).tolist()


def probability_bins(logprobs: np.ndarray) -> np.ndarray:
    """Return the bin of exp(logprobs), int ``[n]``, 1 in the last; :data:`BINS` for NaN."""
    bins = np.exp(logprobs) * np.float32(BINS)
    np.minimum(bins, BINS - 1, out=bins)
    bins[np.isnan(bins)] = BINS
    return bins.astype(np.int64)


def histograms_by_document(bins: np.ndarray, documents: np.ndarray, count: int) -> list[list[int]]:
    """Count tokens by document and bin, both ``[n]``; returns ``[count][BINS]``."""
    cells = documents * (BINS + 1) + bins
    table = np.bincount(cells, minlength=count * (BINS + 1)).reshape(count, BINS + 1)
    return table[:, :BINS].tolist()


def real(name: str) -> property:
    """A property: the field ``name`` of a :class:`Sums`, in :data:`UNIT`, as a float."""

    def value(self: "Sums") -> float:
        return float(getattr(self, name) * UNIT)

    return property(value, doc=f"``{name[1:]}`` as a float, of what the class says.")


@dataclass
class Sums:
    """Integers, lists of names and histograms that add up.

    Of fields ``highest_...`` the largest stays. Fields that begin with an underscore are in
    :data:`UNIT`; in JSON they have none.
    """

    def add(self, other: Self) -> None:
        """Add the sums of another object of the same class."""
        mine = vars(self)
        for name, value in vars(other).items():
            if name.endswith("histogram"):
                mine[name] = [a + b for a, b in zip(mine[name], value, strict=True)]
            elif name.startswith("highest_"):
                mine[name] = max(mine[name], value)
            elif value:
                mine[name] = mine[name] + value

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return {name.removeprefix("_"): value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Convert from the values of :meth:`to_json`."""
        private = {f.name.removeprefix("_"): f.name for f in fields(cls)}
        return cls(**{private[name]: value for name, value in values.items()})
