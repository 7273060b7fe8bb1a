"""The metric that a search optimizes (``objective=KIND/ARM.METRIC``), and those of other jobs."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from experiments.analysis.metrics import HELD_OUT_TASK
from experiments.stage import Stage
from toedit.errors import UserError, suggest


def require_objective(objective: str | None, stages: Sequence[Stage]) -> None:
    """Raise a UserError if the objective names a stage that the run lacks."""
    if objective is None:
        return
    stage = objective.partition(".")[0]
    names = {name for stage in stages for name in _names(stage)}
    if stage not in names:
        raise UserError(f"objective={objective}: no stage {stage!r} here; {suggest(stage, names)}")


def _names(stage: Stage) -> set[str]:
    """Names of a stage in an objective: with or without the seed."""
    seedless = stage.name.removesuffix(f"-seed{stage.seed}")
    return {f"{stage.kind}/{name}" for name in (stage.name, seedless)}


def objective_stages(objective: str | None, stages: Sequence[Stage]) -> list[Stage]:
    """The stages, one per seed, of which the objective is a metric."""
    name = str(objective).partition(".")[0]
    return [stage for stage in stages if name in _names(stage)]


def objective_value(
    objective: str, stages: Sequence[Stage], records: dict[str, dict[str, Any]]
) -> float:
    """The metric that a search optimizes, as the mean over seeds.

    Args:
        objective: ``KIND/ARM.METRIC``, where further dots in METRIC go into nested metrics.
        stages: of a run.
        records: of the stages, by ``kind/name``.

    Raises:
        UserError: there is no such metric, or it is no finite number.
    """
    metric = objective.partition(".")[2]
    values = []
    for stage in objective_stages(objective, stages):
        value: Any = records[f"{stage.kind}/{stage.name}"]["metrics"]
        for part in metric.split("."):
            if not isinstance(value, dict) or part not in value:
                allowed = value if isinstance(value, dict) else []
                raise UserError(f"objective={objective}: no {part!r}; {suggest(part, allowed)}")
            value = value[part]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"objective={objective} is no number, but {str(value)[:60]!r}")
        if not math.isfinite(value):
            raise UserError(f"objective={objective} is {value} in this run")
        values.append(float(value))
    return fmean(values)


MOST_METRICS = 4
"""Metrics of a job in the summary of a sweep: of the first arm and the last ones."""


def main_metrics(stages: Sequence[Stage], records: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The metrics of a run that a summary shows where there is no objective, means over seeds.

    Args:
        stages: of the run.
        records: of the stages, by ``kind/name``.

    Returns:
        Held-out bits per byte by trained arm; where nothing is trained, changed tokens of 10,000 by
        edit; by a name with the unit.
    """
    values: dict[str, list[float]] = {}
    for stage in stages:
        metrics = records.get(f"{stage.kind}/{stage.name}", {}).get("metrics", {})
        trained = stage.kind == "evaluate" and "model" in stage.inputs and stage.checkpoint is None
        bits = metrics.get(HELD_OUT_TASK, {}).get("bits_per_byte")
        if trained and bits is not None:
            values.setdefault(f"{stage.arm}, bits per byte", []).append(bits)
    if not values:
        for stage in stages:
            metrics = records.get(f"{stage.kind}/{stage.name}", {}).get("metrics", {})
            if stage.kind == "edit" and "changed_per_10k" in metrics:
                name = f"{stage.arm or stage.name}, changed / 10k tokens"
                values.setdefault(name, []).append(metrics["changed_per_10k"])
    means = [(name, fmean(numbers)) for name, numbers in values.items()]
    return dict(means if len(means) <= MOST_METRICS else [means[0], *means[1 - MOST_METRICS :]])
