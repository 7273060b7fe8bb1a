"""Schedules of edits, and Monte Carlo simulation of iterated training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from toedit.errors import UserError, require_choice

SCHEDULES = ("collapse", "accumulate", "disjoint", "random", "fixed", "round_robin", "residual",
             "original")  # fmt: skip


@dataclass
class Schedule:
    """The rows that are edited in each generation.

    Attributes:
        kind: ``collapse`` (all rows), ``accumulate`` (none; labels of all generations are used
            together), ``disjoint`` (no row twice), ``random`` (new random rows), ``fixed`` (the
            same rows), ``round_robin`` (the next rows, cyclically), ``residual`` (rows with a small
            residual, the analogue of nearly certain tokens) or ``original`` (new random rows,
            editing the original labels instead of the last).
        fraction: share of the rows that the first edit changes; for ``residual`` the share under
            residuals of pure noise.
        decay: factor from one share to the next.
    """

    kind: str = "collapse"
    fraction: float = 1.0
    decay: float = 1.0

    @property
    def label(self) -> str:
        """Label of the schedule in tables."""
        if self.kind in ("collapse", "accumulate"):
            return self.kind
        decay = f", decay {self.decay:g}" if self.decay < 1 else ""
        return f"{self.kind} {self.fraction:g}{decay}"

    def __post_init__(self) -> None:
        require_choice("schedule", self.kind, SCHEDULES)
        for name in ("fraction", "decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"schedule.{name}={getattr(self, name)} must lie in 0..1")

    def fractions(self, edits: int) -> list[float]:
        """Return the share of the rows that each edit changes.

        Raises:
            UserError: disjoint masks would need more than all rows.
        """
        if self.kind in ("collapse", "accumulate"):
            return [float(self.kind == "collapse")] * edits
        shares = [self.fraction * self.decay**n for n in range(edits)]
        if self.kind == "disjoint" and sum(shares) > 1 + 1e-9:
            raise UserError(
                f"{edits} disjoint edits of shares that add up to {sum(shares):.4g} need more rows "
                "than there are; lower the fraction, the decay or the number of edits"
            )
        return shares

    def masks(self, rows: int, edits: int, rng: np.random.Generator) -> np.ndarray:
        """Return the masks, bool ``[edits, rows]``; False for ``residual``, which needs labels."""
        shares = self.fractions(edits)
        masks = np.zeros((edits, rows), bool)
        if self.kind in ("random", "original"):
            return rng.random((edits, rows)) < np.array(shares)[:, None]
        start = 0
        for mask, share in zip(masks, shares, strict=True):
            count = round(share * rows)
            if self.kind == "disjoint":
                count = min(count, rows - start)
            if self.kind != "residual":
                mask[(start + np.arange(count)) % rows] = True
            start += count if self.kind in ("disjoint", "round_robin") else 0
        return masks


def require_size(rows: int, features: int, more: int = 2, what: str = "the error") -> None:
    """Raise a UserError unless ``rows >= features + more``, so that the expectation exists."""
    if features < 1 or rows < features + more:
        raise UserError(
            f"T={rows} rows for d={features} features: {what} needs T >= d + {more} and d >= 1"
        )


def noise_quantile(fraction: float) -> float:
    """Return ``q`` with ``P(|e| < q) = fraction`` for a standard normal ``e``; infinite for 1."""
    return NormalDist().inv_cdf((1 + fraction) / 2) if fraction < 1 else math.inf


@dataclass(frozen=True)
class Simulation:
    """Results of a simulation.

    Attributes:
        error: float64 ``[draws, generations]``, test error.
        share: float64 ``[draws, generations - 1]``, share of rows that each edit changed.
    """

    error: np.ndarray
    share: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Mean over draws, ``[generations]``."""
        return self.error.mean(axis=0)

    @property
    def stderr(self) -> np.ndarray:
        """Standard error of the mean; undefined below T = d + 4, where the variance is infinite."""
        return self.error.std(axis=0, ddof=1) / math.sqrt(len(self.error))


def simulate(
    rows: int,
    features: int,
    schedule: Schedule,
    generations: int,
    draws: int,
    seed: int = 0,
    sigma: float = 1.0,
    scales: Sequence[float] = (),
) -> Simulation:
    """Simulate iterated training by Monte Carlo.

    Memory O(T (d + n)), time O(draws T d (d + n)) for n generations.

    Args:
        rows: T.
        features: d.
        schedule: the rows that are edited.
        generations: number of models, the first included.
        draws: number of repetitions.
        seed: seed of the random numbers.
        sigma: standard deviation of the noise.
        scales: standard deviation of each feature, whose covariance also weights the test error;
            empty for 1. It changes no expectation.

    Raises:
        UserError: T < d + 2.
    """
    require_size(rows, features)
    unit = sigma**2 * features / (rows - features - 1)
    deviations = np.broadcast_to(np.asarray(scales or 1.0, float), features)
    shares = schedule.fractions(generations - 1)
    error = np.empty((draws, generations))
    share = np.zeros((draws, generations - 1))
    for draw in range(draws):
        rng = np.random.default_rng([seed, draw])
        x = rng.standard_normal((rows, features)) * deviations
        truth = rng.standard_normal(features)
        y = original = x @ truth + sigma * rng.standard_normal(rows)
        masks = schedule.masks(rows, generations - 1, rng)
        inverse = np.linalg.solve(x.T @ x, x.T)
        for n in range(generations):
            model = inverse @ y
            error[draw, n] = np.sum((deviations * (model - truth)) ** 2) / unit
            if n + 1 == generations:
                break
            labels = x @ model + sigma * rng.standard_normal(rows)
            if schedule.kind == "accumulate":  # the fit to all labels is the fit to their mean
                y = (y * (n + 1) + labels) / (n + 2)
                continue
            mask = masks[n]
            if schedule.kind == "residual":
                mask = np.abs(y - x @ model) < sigma * noise_quantile(shares[n])
            y = np.where(mask, labels, original if schedule.kind == "original" else y)
            share[draw, n] = mask.mean()
    return Simulation(error, share)
