"""What an experiment that trains on edits found, as plain values: editing, training, comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from evals import scoring
from evals.suites import BenchmarkTask
from experiments.fingerprint import Stage
from experiments.paper.comparison import (
    Difference,
    bits_per_byte,
    column_mean,
    f1_difference,
    mean_difference,
    paired_difference,
)
from experiments.schema import Config
from experiments.stages.evaluate import HELD_OUT_TASK, read_predictions, tasks
from experiments.store import Store

Records = dict[str, dict[str, Any]]


def results(config: Config, stages: list[Stage], records: Records, store: Store) -> dict[str, Any]:
    """Everything the report shows, as plain values.

    Args:
        config: the experiment.
        stages: its stages.
        records: their records by ``kind/name``.
        store: where the predictions are.

    Returns:
        ``editing`` (statistics by preset), ``rows`` (a metric each, with a cell an arm and the
        difference edited minus source), and what is needed to read them.
    """
    evaluated = {stage.name: stage for stage in stages if stage.kind == "evaluate"}
    predictions = {
        arm: {
            task: read_predictions(store.folder(stage), task)
            for task in [*(t.name for t in tasks(config.eval)), HELD_OUT_TASK]
        }
        for arm, stage in evaluated.items()
    }
    metrics = {arm: records[f"evaluate/{arm}"]["metrics"] for arm in evaluated}
    return {
        "experiment": config.name,
        "seed": config.seed,
        "note": config.note,
        "corpus": records[next(key for key in records if key.startswith("corpus/"))]["metrics"],
        "editing": {
            stage.name: {
                "rule": stage.config.rule.describe(),
                **records[f"edit/{stage.name}"]["metrics"],
            }
            for stage in stages
            if stage.kind == "edit"
        },
        "training": {
            stage.name: {
                k: v for k, v in records[f"train/{stage.name}"]["metrics"].items() if k != "config"
            }
            for stage in stages
            if stage.kind == "train"
        },
        "rows": _rows(config, metrics, predictions),
        "stages": {
            stage.label: records[f"{stage.kind}/{stage.name}"]["seconds"] for stage in stages
        },
    }


def _rows(
    config: Config, metrics: Records, predictions: dict[str, dict[str, list]]
) -> list[dict[str, Any]]:
    compare = {"source", "edited"} <= set(predictions)
    held = {arm: values[HELD_OUT_TASK] for arm, values in metrics.items()}
    size = next(iter(held.values()))
    label = f"held-out bits per byte ({size['documents']} documents, {size['tokens']} tokens)"
    bits = {arm: (v["bits_per_byte"], v["bits_per_byte_stderr"]) for arm, v in held.items()}
    rows = [_row(label, bits, True)]
    if compare:
        edited, source = (predictions[arm][HELD_OUT_TASK] for arm in ("edited", "source"))
        rows[0]["difference"] = asdict(paired_difference(edited, source, bits_per_byte))
    rows.append(
        _row("held-out token perplexity", {arm: (v["perplexity"], None) for arm, v in held.items()})
    )
    benchmarks = tasks(config.eval)
    multiple_choice = [
        t
        for t in benchmarks
        if all("gold_logprob" in values[t.name] for values in metrics.values())
    ]
    for task in multiple_choice:
        rows.append(_benchmark_row(f"log p(gold), {task.label}", task, "gold_logprob", metrics))
        if compare:
            rows[-1]["difference"] = asdict(_difference(predictions, task.name, "gold_logprob"))
    for task in benchmarks:
        row = _benchmark_row(f"{task.label}, {task.metric} %", task, task.metric, metrics, 100)
        first = next(iter(metrics.values()))[task.name]
        row |= {
            "majority": _percent(first.get("majority")),
            "random": _percent(first.get("random")),
        }
        if compare:
            if task.metric in scoring.F1:
                change = f1_difference(*(predictions[a][task.name] for a in ("edited", "source")))
            else:
                change = _difference(predictions, task.name, "value")
            row["difference"] = _scaled(change, 100)
        rows.append(row)
    if len(benchmarks) > 1:
        average = {
            arm: _average(
                [
                    (values[t.name][t.metric], values[t.name][f"{t.metric}_stderr"])
                    for t in benchmarks
                ]
            )
            for arm, values in metrics.items()
        }
        kinds = {"acc", "acc_norm"}.issuperset(t.metric for t in benchmarks)
        row = _row(f"average of the {'accuracies' if kinds else 'metrics'}, %", average)
        first = next(iter(metrics.values()))
        for key in ("majority", "random"):
            shares = [first[t.name].get(key) for t in benchmarks]
            row[key] = None if None in shares else 100 * sum(shares) / len(shares)
        if compare:
            firsts, seconds = (
                [predictions[arm][t.name] for t in benchmarks] for arm in ("edited", "source")
            )
            metrics_of = [t.metric for t in benchmarks]
            row["difference"] = _scaled(mean_difference(firsts, seconds, metrics_of), 100)
        rows.append(row)
    return rows


def _average(cells: list[tuple[float, float]]) -> tuple[float, float]:
    """Mean of accuracies in percent, and its standard error; tasks are independent."""
    mean = sum(value for value, _ in cells) / len(cells)
    error = math.sqrt(sum(error**2 for _, error in cells)) / len(cells)
    return 100 * mean, 100 * error


def _row(
    label: str, cells: Mapping[str, tuple[float, float | None]], primary: bool = False
) -> dict[str, Any]:
    return {
        "metric": label,
        "primary": primary,
        "arms": {arm: {"value": value, "stderr": error} for arm, (value, error) in cells.items()},
        "majority": None,
        "random": None,
        "difference": None,
    }


def _benchmark_row(
    label: str, task: BenchmarkTask, metric: str, metrics: Records, scale: float = 1
) -> dict[str, Any]:
    cells = {
        arm: (scale * values[task.name][metric], scale * values[task.name][f"{metric}_stderr"])
        for arm, values in metrics.items()
    }
    items = next(iter(metrics.values()))[task.name]["items"]
    return _row(f"{label} (n {items} of {task.items})", cells, metric == "gold_logprob")


def _difference(predictions: dict[str, dict[str, list]], task: str, column: str) -> Difference:
    return paired_difference(
        predictions["edited"][task], predictions["source"][task], column_mean(column)
    )


def _scaled(difference: Difference, factor: float) -> dict[str, float]:
    return {key: factor * value for key, value in asdict(difference).items()}


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
