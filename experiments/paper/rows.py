"""The rows of a report: a metric each, with a cell an arm and the differences between arms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np

from evals import scoring
from evals.suites import BenchmarkTask
from experiments.paper.comparison import (
    Difference,
    Rows,
    bits_per_byte,
    column_mean,
    difference_over_seeds,
    f1_difference,
    mean_difference,
    paired_difference,
)
from experiments.schema import LABEL_SMOOTHING, RANDOM_EDIT
from experiments.stages.evaluate import HELD_OUT_TASK

Benchmarks = tuple[BenchmarkTask, ...]
Summary = dict[str, Any]
"""What an evaluation recorded: metrics by task."""

Measure = Callable[[Summary], tuple[float, float | None]]
"""A metric of an evaluation, and its standard error over items."""

OverItems = Callable[[str, str], Difference]
"""The first arm minus the second, by the bootstrap over items."""


@dataclass(frozen=True)
class _Evaluated:
    """What evaluations of all arms found: the arguments of :func:`rows`."""

    metrics: dict[str, list[Summary]]
    predictions: dict[str, dict[str, list]]

    def row(
        self,
        label: str,
        measure: Measure,
        over_items: OverItems | None = None,
        primary: bool = False,
        chance: dict[str, float | None] | None = None,
    ) -> dict[str, Any]:
        """One row; arms are compared where a bootstrap over items is given."""
        cells = {arm: [measure(run) for run in runs] for arm, runs in self.metrics.items()}

        def minus(arm: str, other: str) -> dict[str, Any] | None:
            if over_items is None or not {arm, other} <= set(cells):
                return None
            items = asdict(over_items(arm, other))
            if len(cells[arm]) == len(cells[other]) == 1:
                return items
            own, others = ([value for value, _ in cells[name]] for name in (arm, other))
            return {**asdict(difference_over_seeds(own, others)), "over_items": items}

        result = {
            "metric": label,
            "primary": primary,
            "arms": {arm: _cell(found) for arm, found in cells.items()},
            **(chance or {"majority": None, "random": None}),
            "difference": minus("edited", "source"),
        }
        controls = [name for name in (RANDOM_EDIT, LABEL_SMOOTHING) if name in cells]
        if controls:
            result["controls"] = {
                name: {"minus_source": minus(name, "source"), "edited_minus": minus("edited", name)}
                for name in controls
            }
        return result

    def paired(
        self, task: str, statistic: Callable[[Rows], np.ndarray], scale: float = 1
    ) -> OverItems:
        """Difference of a statistic of a task."""
        own = {arm: found[task] for arm, found in self.predictions.items()}
        return lambda a, b: _scaled(paired_difference(own[a], own[b], statistic), scale)

    def metric(self, task: BenchmarkTask) -> OverItems:
        """Difference of a task's metric, in percent."""
        if task.metric not in scoring.F1:
            return self.paired(task.name, column_mean("value"), 100)
        own = {arm: found[task.name] for arm, found in self.predictions.items()}
        return lambda a, b: _scaled(f1_difference(own[a], own[b]), 100)

    def average(self, tasks: Benchmarks) -> OverItems:
        """Difference of the average of metrics, in percent."""
        own = {arm: [found[t.name] for t in tasks] for arm, found in self.predictions.items()}
        names = [task.metric for task in tasks]
        return lambda a, b: _scaled(mean_difference(own[a], own[b], names), 100)


def rows(
    benchmarks: Benchmarks,
    metrics: dict[str, list[Summary]],
    predictions: dict[str, dict[str, list]],
    held_out: str = "held-out",
) -> list[dict[str, Any]]:
    """Held-out text, benchmarks and their average.

    Args:
        benchmarks: what was evaluated.
        metrics: of every arm a summary a seed, in the order of the seeds; of ``base`` a single one.
        predictions: of every arm its predictions by task, of the first seed.
        held_out: what the held-out text is.

    Returns:
        ``metric``, ``primary``, ``arms`` (cells), the baselines ``majority`` and ``random``, the
        ``difference`` edited minus source, and where there are controls, for each of ``controls``
        ``minus_source`` and ``edited_minus``. With one seed a cell is a value and its standard
        error, and a difference is over items; with several a cell is mean, standard deviation and
        ``seeds``, and a difference is over seeds with that of the first one ``over_items``.
    """
    evaluated = _Evaluated(metrics, predictions)
    runs = [run for own in metrics.values() for run in own]
    first = runs[0]
    held = first[HELD_OUT_TASK]
    found = [
        evaluated.row(
            f"{held_out} bits per byte ({held['documents']} documents, {held['tokens']} tokens)",
            _metric(HELD_OUT_TASK, "bits_per_byte"),
            evaluated.paired(HELD_OUT_TASK, bits_per_byte),
            True,
        ),
        evaluated.row(
            f"{held_out} token perplexity",
            lambda run: (run[HELD_OUT_TASK]["perplexity"], None),
        ),
    ]
    size = {t.name: f"(n {first[t.name]['items']} of {t.items})" for t in benchmarks}
    for task in benchmarks:
        if all("gold_logprob" in run[task.name] for run in runs):
            label = f"log p(gold), {task.label} {size[task.name]}"
            over_items = evaluated.paired(task.name, column_mean("gold_logprob"))
            measure = _metric(task.name, "gold_logprob")
            found.append(evaluated.row(label, measure, over_items, True))
    for task in benchmarks:
        label = f"{task.label}, {task.metric} % {size[task.name]}"
        measure = _metric(task.name, task.metric, 100)
        chance = _chance((task,), first)
        found.append(evaluated.row(label, measure, evaluated.metric(task), chance=chance))
    if len(benchmarks) > 1:
        kinds = {"acc", "acc_norm"}.issuperset(t.metric for t in benchmarks)
        label = f"average of the {'accuracies' if kinds else 'metrics'}, %"
        measure, over_items = _average(benchmarks), evaluated.average(benchmarks)
        found.append(evaluated.row(label, measure, over_items, chance=_chance(benchmarks, first)))
    return found


def _cell(found: list[tuple[float, float | None]]) -> dict[str, Any]:
    """A value with its standard error over items, or a mean over seeds with their spread."""
    values = [value for value, _ in found]
    if len(found) == 1:
        return {"value": values[0], "stderr": found[0][1]}
    return {"value": fmean(values), "sd": stdev(values), "seeds": values}


def _metric(task: str, name: str, scale: float = 1) -> Measure:
    return lambda run: (scale * run[task][name], scale * run[task][f"{name}_stderr"])


def _average(benchmarks: Benchmarks) -> Measure:
    """Mean of metrics in percent, and its standard error; tasks are independent."""

    def measure(run: Summary) -> tuple[float, float]:
        own = [(run[t.name][t.metric], run[t.name][f"{t.metric}_stderr"]) for t in benchmarks]
        mean = sum(value for value, _ in own) / len(own)
        error = math.sqrt(sum(error**2 for _, error in own)) / len(own)
        return 100 * mean, 100 * error

    return measure


def _chance(benchmarks: Benchmarks, first: Summary) -> dict[str, float | None]:
    """Both baselines in percent, mean over tasks; None where a task has none."""
    shares = {
        name: [first[t.name].get(name) for t in benchmarks] for name in ("majority", "random")
    }
    return {
        name: None if None in own else 100 * sum(own) / len(own) for name, own in shares.items()
    }


def _scaled(difference: Difference, factor: float) -> Difference:
    return Difference(**{key: factor * value for key, value in asdict(difference).items()})
