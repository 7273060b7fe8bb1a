"""Metrics: how to read, display and compare the numbers of items.

Every metric but F1 is a ratio of two sums over items: right answers over items, nats over tokens,
near-certain tokens over tokens. Means are compared by their difference; perplexities and shares,
which are positive and multiply, by the logarithm of their ratio.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals import scoring
from evals.own_tasks import OWN
from evals.suites import BenchmarkTask
from experiments.analysis.evidence import Result
from experiments.analysis.observations import Observations
from toedit.errors import UserError

HELD_OUT_TASK = "heldout"
"""Name of held-out text among the tasks of an evaluation."""

PREDICTIONS, DOCUMENTS = "predictions", "documents.parquet"
"""Folder of an evaluation's rows, one file per task; file of the token counts of documents."""

MEAN, PERPLEXITY, SHARE, F1 = "mean", "perplexity", "share", "f1"
"""Kinds of statistics: a ratio of sums, its exponential, a positive share, and F1."""


@dataclass(frozen=True)
class Metric:
    """A metric of a kind of stage.

    Attributes:
        task: a benchmark, held-out text, or a text.
        name: metric and unit.
        column: of an item, the numerator.
        weight: of an item, the denominator; None for 1.
        kind: the kind of stage that holds it.
        shape: :data:`MEAN`, :data:`PERPLEXITY`, :data:`SHARE` or :data:`F1`.
        factor: from the ratio of sums to the unit, of means and F1.
        unit: of a difference.
        lower: whether less is better.
        digits: decimals of a value.
        benchmark: the task, if it is one.
        where: columns and the values they hold in the items that count.
    """

    task: str
    name: str
    column: str
    weight: str | None = None
    kind: str = "evaluate"
    shape: str = MEAN
    factor: float = 1.0
    unit: str = ""
    lower: bool = False
    digits: int = 2
    benchmark: BenchmarkTask | None = None
    where: tuple[tuple[str, Any], ...] = ()

    @property
    def is_log_ratio(self) -> bool:
        """Whether arms are compared by the logarithm of a ratio."""
        return self.shape in (PERPLEXITY, SHARE)

    @property
    def scale(self) -> str:
        """The scale on which arms are compared."""
        return "log ratio" if self.is_log_ratio else self.unit

    @property
    def is_score(self) -> bool:
        """Whether it is the metric by which a benchmark is scored."""
        return self.benchmark is not None and self.column == "value"

    def ratio(self, observations: Observations) -> float:
        """F1 of the answers in [0, 1], or the ratio of the two sums."""
        return observations.f1() if self.shape == F1 else observations.ratio

    def displayed(self, ratio: float) -> float:
        """A ratio of sums in the unit that reports display."""
        if self.shape == PERPLEXITY:
            return math.exp(ratio)
        return 100 * ratio if self.shape == SHARE else self.factor * ratio

    def compared(self, ratio: float) -> float:
        """A ratio of sums on the scale of comparisons."""
        if self.shape == SHARE:
            return math.log(ratio) if ratio > 0 else -math.inf
        return ratio if self.shape == PERPLEXITY else self.factor * ratio

    def recorded(self, result: Result) -> float | None:
        """The value in the record, of metrics that have no items; None for others."""
        if self.kind != "perplexity":
            return None
        return 100 * float(result.record["metrics"]["histogram"][int(self.column)])

    def observe(self, result: Result) -> Observations | None:
        """Observations of a result, item by item; None where it was not measured.

        Raises:
            UserError: a file is not as it was recorded, or holds the task under another metric.
        """
        if self not in result.cache:
            result.cache[self] = self._observe(result)
        observations: Observations | None = result.cache[self]
        return observations

    def arm(self, results: dict[int | None, Result]) -> dict[int | None, Observations] | None:
        """Observations of an arm by seed; None where one was not measured.

        Raises:
            UserError: as :meth:`observe`.
        """
        arm = {seed: self.observe(result) for seed, result in results.items()}
        known = {seed: obs for seed, obs in arm.items() if obs is not None}
        return known if len(known) == len(arm) else None

    def _observe(self, result: Result) -> Observations | None:
        if not self._is_measured(result):
            return None
        rows = item_rows(result, self.task)
        observations = self.of_rows([r for r in rows if all(r.get(k) == v for k, v in self.where)])
        if observations is not None and self.is_score:
            self._require_recorded(result, self.ratio(observations))
        return observations

    def of_rows(self, rows: list[dict[str, Any]]) -> Observations | None:
        """Observations of items, one row each; None where they do not hold the metric."""
        if not rows or (self.column in FIELDS and rows[0].get("gold") is None):
            return None
        above = np.array([item_value(row, self.column) for row in rows], float)
        below = np.array([1.0 if self.weight is None else row[self.weight] for row in rows], float)
        answers = None
        if self.shape == F1:
            answers = np.array([(r.get("group", 0), r["gold"], r["prediction"]) for r in rows], int)
        return Observations.of(rows, above, below, answers)

    def _is_measured(self, result: Result) -> bool:
        metrics = result.record["metrics"]
        if self.kind == "certain":
            return bool(metrics.get(self.weight))
        values = metrics.get(self.task) if self.kind == "evaluate" else None
        if values is None:
            return False
        if not isinstance(values, dict):
            raise UserError(f"{result.label}: the metrics of {self.task} in its record are damaged")
        if self.benchmark is not None and self.benchmark.metric not in values:
            known = ", ".join(key for key in values if f"{key}_stderr" in values)
            raise UserError(
                f"{result.label}: {self.task} was measured as {known}, not as "
                f"{self.benchmark.metric}"
            )
        return True

    def _require_recorded(self, result: Result, value: float) -> None:
        assert self.benchmark is not None
        recorded = result.record["metrics"][self.task][self.benchmark.metric]
        if not isinstance(recorded, int | float) or not math.isclose(
            recorded, value, rel_tol=1e-9, abs_tol=1e-11
        ):
            raise UserError(
                f"{result.label}: its predictions of {self.task} come to {value:.6g}, its record "
                f"says {recorded}"
            )


BINARY = ("acc", "acc_norm", "exact_match", "numeric_match", "bleu_acc")
"""Metrics by which an item is right or wrong."""

FIELDS = {
    "norm_logprob": "normalised log p(right answer)",
    "gold_logprob": "summed log p(right answer)",
    "margin": "margin of the right answer",
}
"""Numbers of an item other than its score, in nats: the log-probability of the right answer among
the options (log-softmax), that of its tokens alone, and its margin over the best wrong one."""


def item_value(row: dict[str, Any], column: str) -> float:
    """One of :data:`FIELDS`, or the value of another column, of an item's row as
    :func:`evals.harness.evaluate_task` returns it."""
    if column not in ("norm_logprob", "margin"):
        return float(row[column])
    options, gold = row["option_logprobs"], row["gold"]
    if column == "margin":
        return float(options[gold] - max(o for i, o in enumerate(options) if i != gold))
    most = max(options)
    return float(options[gold] - most - math.log(math.fsum(math.exp(o - most) for o in options)))


def in_percent(task: BenchmarkTask) -> bool:
    """Whether the score of a benchmark is a share; a metric of the user has any unit."""
    return task.source != OWN or task.metric in BINARY


def benchmark(task: BenchmarkTask, column: str = "value") -> Metric:
    """The score of a benchmark, in percent but for unknown metrics, or one of :data:`FIELDS`."""
    if column == "value":
        if not in_percent(task):
            return Metric(task.name, task.metric, column, lower=task.lower, digits=4,
                          benchmark=task)  # fmt: skip
        shape = F1 if task.metric in scoring.F1 else MEAN
        return Metric(task.name, f"{task.metric}, %", column, shape=shape, factor=100.0,
                      unit="points", benchmark=task)  # fmt: skip
    name = FIELDS.get(column, column)
    return Metric(task.name, name, column, unit="nats", digits=3, benchmark=task)


def bits_per_byte(*where: tuple[str, Any]) -> Metric:
    """Bits per byte of held-out text, which do not depend on the tokenizer."""
    return Metric(HELD_OUT_TASK, "bits per byte", "nll", "bytes", factor=1 / math.log(2),
                  unit="bits per byte", lower=True, digits=4, where=where)  # fmt: skip


def perplexity(*where: tuple[str, Any]) -> Metric:
    """Token perplexity of held-out text: exp of nats over tokens."""
    return Metric(HELD_OUT_TASK, "token perplexity", "nll", "tokens", shape=PERPLEXITY,
                  lower=True, where=where)  # fmt: skip


def near_certain(certain_tokens: str = "certain", tokens: str = "tokens") -> Metric:
    """Share of tokens that a prior is almost certain of, in percent."""
    return Metric(certain_tokens, "share of tokens, %", certain_tokens, tokens, kind="certain",
                  shape=SHARE, lower=True)  # fmt: skip


def probability_bin(number: int) -> Metric:
    """Share of tokens whose probability lies in a tenth, in percent; displayed, never compared."""
    return Metric(f"bin {number}", "share of tokens, %", str(number), kind="perplexity",
                  shape=SHARE, digits=1)  # fmt: skip


def is_binary(metric: Metric) -> bool:
    """Whether an item is right or wrong by a metric."""
    return metric.is_score and metric.benchmark is not None and metric.benchmark.metric in BINARY


def item_rows(result: Result, task: str) -> list[dict[str, Any]]:
    """Rows of a task item by item, or of a text document by document; read once.

    Raises:
        UserError: the file is missing, or not as it was recorded.
    """
    name = DOCUMENTS if result.kind == "certain" else f"{PREDICTIONS}/{task}.parquet"
    rows = result.rows(name)
    if rows and "item" not in rows[0]:
        for row in rows:
            row["item"] = row["id"]
    return rows
