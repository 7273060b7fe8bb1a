"""The metric that a search goes by, found in the records of a run."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from experiments.fingerprint import Stage
from toedit.errors import UserError, suggest


def require_objective(objective: str | None, stages: Sequence[Stage]) -> None:
    """Refuses an objective of a stage that the run has not.

    Raises:
        UserError: so.
    """
    names = {name for stage in stages for name in _names(stage)}
    if objective is not None and objective.partition(".")[0] not in names:
        stage = objective.partition(".")[0]
        raise UserError(f"objective={objective}: no stage {stage!r} here; {suggest(stage, names)}")


def _names(stage: Stage) -> set[str]:
    """What an objective may call a stage: by its name, with or without the seed."""
    seedless = stage.name.removesuffix(f"-seed{stage.seed}")
    return {f"{stage.kind}/{name}" for name in (stage.name, seedless)}


def objective_value(
    objective: str, stages: Sequence[Stage], records: dict[str, dict[str, Any]]
) -> float:
    """The metric a search goes by, the mean over seeds.

    Args:
        objective: ``KIND/ARM.METRIC``, where METRIC may go into a metric by further dots.
        stages: of a run.
        records: of the stages, by ``kind/name``.

    Raises:
        UserError: there is no such metric.
    """
    wanted, _, metric = objective.partition(".")
    found = []
    for stage in stages:
        if wanted not in _names(stage):
            continue
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
        found.append(float(value))
    return fmean(found)
