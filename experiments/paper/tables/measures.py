"""What a column of a table measures, read from a result and from its rows item by item.

Every measure is a ratio of two sums over items, seen through a scale: right answers over items, in
percent; nats over tokens, exponentiated; almost certain tokens over tokens. F1 alone is not, and
says so by giving no sums.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from evals import scoring
from evals.suites import BenchmarkTask
from experiments.paper.result import Result
from experiments.stages import certain, evaluate
from toedit.corpora.files import damaged_as
from toedit.errors import UserError


@dataclass(frozen=True)
class Value:
    """A number of one result: the metric, its standard error over items if known, and how many."""

    value: float
    stderr: float | None
    items: int


@dataclass(frozen=True)
class Sums:
    """What a measure rests on, item by item: names, and numerator and denominator ``[n, 2]``."""

    items: tuple[str, ...]
    parts: np.ndarray


class Measure(Protocol):
    """A column's metric."""

    @property
    def kind(self) -> str:
        """The kind of stage that holds it."""
        ...

    @property
    def name(self) -> str:
        """Metric and unit, in words."""
        ...

    @property
    def lower(self) -> bool:
        """Whether less is better."""
        ...

    @property
    def digits(self) -> int:
        """Decimals that are shown."""
        ...

    def value(self, result: Result) -> Value | None:
        """The metric; None where the result was not measured so.

        Raises:
            UserError: the result holds the same task under another metric.
        """
        ...

    def sums(self, result: Result) -> Sums | None:
        """What it rests on; None where it is no ratio of sums.

        Raises:
            UserError: a file is not as it was recorded.
        """
        ...

    def shown(self, ratio: np.ndarray) -> np.ndarray:
        """Ratios of sums as they are shown."""
        ...


@dataclass(frozen=True)
class Benchmark:
    """The metric of a task, in percent."""

    task: BenchmarkTask
    kind: str = "evaluate"
    lower: bool = False
    digits: int = 2

    @property
    def name(self) -> str:
        """Metric and unit."""
        return f"{self.task.metric}, %"

    def value(self, result: Result) -> Value | None:
        """The recorded metric and its standard error."""
        own = result.record["metrics"].get(self.task.name)
        if own is None:
            return None
        if self.task.metric not in own:
            raise UserError(
                f"{result.label}: {self.task.name} was measured as "
                f"{', '.join(k for k in own if f'{k}_stderr' in own)}, not as {self.task.metric}"
            )
        numbers = (own[self.task.metric], own.get(f"{self.task.metric}_stderr"), own.get("items"))
        if not all(isinstance(number, int | float) for number in numbers):
            raise UserError(f"{result.label}: what it holds of {self.task.name} is no number")
        value, error, items = numbers
        return Value(100 * value, 100 * error, items)

    def sums(self, result: Result) -> Sums | None:
        """Points and items."""
        rows = self.answers(result)
        if self.task.metric in scoring.F1:
            return None
        values = np.array([row["value"] for row in rows], float)
        names = tuple(row["item"] for row in rows)
        return Sums(names, np.stack([values, np.ones_like(values)], axis=1))

    def answers(self, result: Result) -> list[dict[str, Any]]:
        """Answers item by item.

        Raises:
            UserError: they are not those that were recorded.
        """
        if self not in result.kept:
            rows = _table(result, self.task.name).to_pylist()
            if self.task.metric in scoring.F1:
                mean = scoring.resampled_f1(rows, None, 1, 0)[0]
            else:
                mean = float(np.mean([row["value"] for row in rows]))
            _require_recorded(self, result, 100 * mean)
            result.kept[self] = rows
        rows = result.kept[self]
        return rows

    def shown(self, ratio: np.ndarray) -> np.ndarray:
        """Percent."""
        return 100 * ratio


@dataclass(frozen=True)
class Perplexity:
    """Token perplexity of held-out text, all of it or that of one domain.

    Attributes:
        where: fields and what they hold in the documents that count.
    """

    where: tuple[tuple[str, Any], ...] = ()
    kind: str = "evaluate"
    name: str = "token perplexity"
    lower: bool = True
    digits: int = 2
    unit: str = "tokens"

    def value(self, result: Result) -> Value | None:
        """Over all documents that count; its error is that of a ratio, linearised."""
        sums = self.sums(result)
        if sums is None:
            return None
        ratio, error = _ratio(sums.parts)
        value = float(self.shown(np.asarray(ratio)))
        slope = value if self.unit == "tokens" else 1 / math.log(2)
        return Value(value, None if error is None else slope * error, len(sums.items))

    def sums(self, result: Result) -> Sums | None:
        """Nats and tokens of every document that counts."""
        if evaluate.HELD_OUT_TASK not in result.record["metrics"]:
            return None
        if self not in result.kept:  # every pair of rows asks for it
            result.kept[self] = self._sums(result)
        return result.kept[self]

    def _sums(self, result: Result) -> Sums | None:
        if evaluate.HELD_OUT_TASK not in result.kept:
            table = _table(result, evaluate.HELD_OUT_TASK)
            result.kept[evaluate.HELD_OUT_TASK] = table.to_pylist()
        rows = result.kept[evaluate.HELD_OUT_TASK]
        own = [r for r in rows if all(r.get(key) == value for key, value in self.where)]
        if not own:
            return None
        parts = np.array([[row["nll"], row[self.unit]] for row in own], float)
        return Sums(tuple(row["item"] for row in own), parts)

    def shown(self, ratio: np.ndarray) -> np.ndarray:
        """Exponentiated."""
        return np.exp(ratio)


@dataclass(frozen=True)
class BitsPerByte(Perplexity):
    """Bits a byte of held-out text, which does not depend on the tokenizer."""

    name: str = "bits per byte"
    digits: int = 4
    unit: str = "bytes"

    def shown(self, ratio: np.ndarray) -> np.ndarray:
        """From nats."""
        return ratio / math.log(2)


@dataclass(frozen=True)
class NearCertain:
    """Share of tokens that a prior is almost certain of, in percent."""

    tokens: str = "tokens"
    certain: str = "certain"
    kind: str = "certain"
    name: str = "share of tokens, %"
    lower: bool = True
    digits: int = 2

    def value(self, result: Result) -> Value | None:
        """Over all documents."""
        own = result.record["metrics"]
        if not own.get(self.tokens):
            return None
        ratio, error = _ratio(self.sums(result).parts)
        return Value(100 * ratio, None if error is None else 100 * error, own["documents"])

    def sums(self, result: Result) -> Sums:
        """Near-certain tokens and all, of every document."""
        path = result.path(certain.DOCUMENTS)
        import pyarrow.parquet as pq

        with damaged_as(path):
            found = pq.ParquetFile(path).read(["id", self.certain, self.tokens])
        columns = [found[name].to_pylist() for name in (self.certain, self.tokens)]
        return Sums(tuple(found["id"].to_pylist()), np.array(columns, float).T)

    def shown(self, ratio: np.ndarray) -> np.ndarray:
        """Percent."""
        return 100 * ratio


@dataclass(frozen=True)
class ProbabilityBin:
    """Share of tokens whose probability under a prior lies in a tenth, in percent."""

    number: int
    kind: str = "perplexity"
    name: str = "share of tokens, %"
    lower: bool = False
    digits: int = 1

    def value(self, result: Result) -> Value | None:
        """From the record."""
        own = result.record["metrics"]
        return Value(100 * own["histogram"][self.number], None, own["documents"])

    def sums(self, result: Result) -> Sums | None:
        """Nothing: bins are shown, not compared."""
        return None

    def shown(self, ratio: np.ndarray) -> np.ndarray:
        """Percent."""
        return 100 * ratio


def _ratio(parts: np.ndarray) -> tuple[float, float | None]:
    """The ratio of two sums over items, and its standard error, linearised."""
    above, below = parts.T
    ratio, n = float(above.sum() / below.sum()), len(parts)
    if n < 2:
        return ratio, None
    residual = float(np.sum((above - ratio * below) ** 2))
    return ratio, math.sqrt(n / (n - 1) * residual) / float(below.sum())


def _require_recorded(measure: Benchmark, result: Result, mean: float) -> None:
    recorded = measure.value(result)
    if recorded is None or not math.isclose(recorded.value, mean, rel_tol=1e-9, abs_tol=1e-9):
        raise UserError(
            f"{result.label}: its predictions of {measure.task.name} come to {mean:.4f}, its "
            f"record says {recorded.value if recorded else None}"
        )


def _table(result: Result, task: str) -> Any:
    import pyarrow.parquet as pq

    path = result.path(f"{evaluate.PREDICTIONS}/{task}.parquet")
    with damaged_as(path):
        return pq.ParquetFile(path).read()  # read_table imports pandas, which takes seconds
