"""Estimate: a value with its interval and p value."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from experiments.analysis.distributions import half_width, quantile, two_sided_p

STUDENT, SWAPPED, SEEDS_AND_ITEMS, TANGO, PER_SEED, NONE = (
    "Student's t over clusters of items",
    "bootstrap over clusters, predictions swapped",
    "seeds and items",
    "Tango's interval, McNemar's exact test",
    "Student's t over seeds",
    "no variation",
)
"""Methods of the interval and the p value of an estimate."""


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, p value and standard errors.

    Attributes:
        value: the estimate, mean over seeds.
        low: lower end of the 95 % interval; None where nothing is known of the error.
        high: upper end.
        low90: lower end of the 90 % interval.
        high90: upper end.
        p: two-sided, of no difference; None where there is none to test.
        se_items: standard error over items (clusters) of the mean over seeds.
        sd_seeds: standard deviation over seeds; None for one.
        n_seeds: seeds that were paired; 1 where neither arm has any.
        n_items: items.
        n_clusters: clusters of items.
        scale: unit of the value.
        method: of interval and p value.
        by_seed: the values by seed.
        unvaried: tasks on which no item differed, whose variance is taken to be 3 / n² with n
            clusters (the rule of three).
        df_items: degrees of freedom of the error over items.
    """

    value: float
    low: float | None
    high: float | None
    low90: float | None
    high90: float | None
    p: float | None
    se_items: float
    sd_seeds: float | None
    n_seeds: int
    n_items: int
    n_clusters: int
    scale: str
    method: str
    by_seed: tuple[float, ...] = ()
    unvaried: tuple[str, ...] = ()
    df_items: float = math.inf

    def to_json(self) -> dict[str, Any]:
        """The estimate as plain JSON values; numbers that are not finite are None."""
        return {name: _to_json(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Estimate":
        """The estimate that :meth:`to_json` wrote."""
        arguments: dict[str, Any] = {f.name: values[f.name] for f in fields(cls)}
        arguments |= {name: tuple(arguments[name]) for name in ("by_seed", "unvaried")}
        arguments["value"] = math.nan if arguments["value"] is None else arguments["value"]
        arguments["df_items"] = arguments["df_items"] or math.inf
        return cls(**arguments)

    @property
    def negated(self) -> "Estimate":
        """The same difference with first and second arm exchanged."""
        return replace(
            self, value=0.0 - self.value, low=_minus(self.high), high=_minus(self.low),
            low90=_minus(self.high90), high90=_minus(self.low90),
            by_seed=tuple(0.0 - value for value in self.by_seed),
        )  # fmt: skip

    def p_beyond(self, margin: float) -> float | None:
        """One-sided p of the hypothesis that the value is at least a margin; small where it can be
        excluded."""
        if self.low90 is None or self.high90 is None:
            return None
        if self.method == TANGO:
            width = (self.high90 - self.low90) / (2 * quantile(0.95, math.inf))
            p = two_sided_p(self.value - margin, 0, 1, width)
        else:
            p = two_sided_p(self.value - margin, *self._errors)
        return p / 2 if self.value < margin else 1 - p / 2

    @property
    def detectable(self) -> float | None:
        """The smallest true difference that as many seeds and items of this spread detect with 80 %
        power at the two-sided 5 % level: the sum of the 97.5 % and 80 % quantiles of the error."""
        wide, power = (half_width(level, *self._errors) for level in (0.95, 0.6))
        return None if wide is None or power is None else wide + power

    @property
    def _errors(self) -> tuple[float, float, float, float]:
        """Standard error over seeds and over items, each with its degrees of freedom."""
        se_seeds = (self.sd_seeds or 0.0) / math.sqrt(self.n_seeds)
        return se_seeds, max(self.n_seeds - 1, 1), self.se_items, self.df_items


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _minus(value: float | None) -> float | None:
    return None if value is None else 0.0 - value
