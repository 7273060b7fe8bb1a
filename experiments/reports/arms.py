"""Compute the values of the report page of an experiment that trains arms.

Every number comes from :mod:`experiments.analysis`. The page is made from the records of a run and
the answers of its models, so it can be made again from ``results/`` alone.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from evals.suites import BenchmarkTask, suite
from experiments.analysis.claims import read_claims
from experiments.analysis.evidence import Evidence, Result
from experiments.analysis.levels import contrast, over_seeds
from experiments.config import LABEL_SMOOTHING, RANDOM_EDIT
from experiments.reports import controls
from experiments.reports.measures import (
    Arms,
    Measure,
    Observed,
    baselines,
    cut_items,
    measures,
)
from experiments.reports.shares import shares
from experiments.store.curves import METRICS
from experiments.store.records import record_path
from experiments.store.runs import Run
from toedit.corpora.files import damaged_as
from toedit.errors import UserError
from toedit.rules import EditRule

REFERENCES = {
    "train_on_edits": "source",
    "pretrain": "synthetic0",
    "pretrain_toedit": "source",
    "collapse": "synthetic0",
    "selection": "synthetic100",
    "sft_generations": "generation0",
    "continue_scratch": "source",
}
"""The arm that the others are compared with, by plan; if absent, the first trained arm."""

POINTS = 200
"""Maximum number of points of a curve."""


def results(run: Run, evidence: Evidence) -> dict[str, Any]:
    """Compute everything the page of a run shows, as plain values.

    Returns:
        ``rows``, one per measure, with an estimate per arm (``arms``), the ``differences`` of the
        others from the ``reference``, ``contrasts`` over the share of synthetic text, the
        differences of ``controls`` and the number of ``cut`` items; ``checkpoints``, the same rows
        during training; ``shares`` of near-certain tokens by text and generation; ``loss`` and its
        ``curves``; and the metrics of corpora, edits, trainings, mixtures and selections by name.

    Raises:
        UserError: a result of the run cannot be read.
    """

    def by_name(kind: str, describe: Callable[[Result], Any] = _metrics) -> dict[str, Any]:
        return {result.entry.name: describe(result) for result in evidence.of_run(run, kind)}

    arms = _evaluations(run, evidence)
    trained = [name for name, arm in arms.items() if _first(arm).upstream("train")]
    reference = REFERENCES[run.plan]
    reference = reference if reference in arms else next(iter(trained), "")
    ratios = _ratios(arms) if run.plan == "pretrain" else {}
    checkpoints = {e.checkpoint for e in run.of_kind("evaluate") if e.checkpoint is not None}
    return {
        "experiment": run.experiment,
        "plan": run.plan,
        "note": run.note,
        "seeds": run.seeds,
        "reference": reference,
        "analysis": read_claims()[1],
        "ratios": ratios,
        "rows": _rows(arms, reference, ratios),
        "checkpoints": [
            {"tokens": n, "rows": _rows(_evaluations(run, evidence, n), reference, ratios)}
            for n in sorted(checkpoints)
        ],
        "loss": _losses(run, evidence, ratios),
        "curves": _curves(run, evidence),
        "shares": shares(run, evidence),
        "corpora": by_name("corpus", _corpus),
        "editing": by_name("edit", _edit),
        "training": by_name("train", _training),
        "mixtures": by_name("mixture"),
        "selections": {
            result.entry.name: _metrics(result)
            for result in evidence.of_run(run, "select")
            if run.plan == "selection" and result.arm in arms
        },
        "tokenizer": next(iter(by_name("tokenizer").values()), None),
        "controls": controls.facts(run, evidence),
        "stages": {
            entry.label: record["seconds"]
            for entry in run.stages
            if (record := evidence.record(run.root, entry.label)) is not None
        },
    }


def _evaluations(run: Run, evidence: Evidence, checkpoint: int | None = None) -> Arms:
    """Evaluations by arm and seed, at the end of training or at a checkpoint.

    Raises:
        UserError: one of them cannot be used.
    """
    results = {result.label: result for result in evidence.of_run(run, "evaluate")}
    arms: Arms = {}
    for entry in run.of_kind("evaluate"):
        if entry.checkpoint != checkpoint:
            continue
        if entry.label not in results:
            reasons = (text for name, text in evidence.refused.items() if entry.label in name)
            message = f"the result {entry.label} cannot be used: "
            message += next(reasons, "it is not there")
            raise UserError(message, run.root / entry.label)
        arms.setdefault(entry.arm or entry.name, {})[entry.seed] = results[entry.label]
    return arms


def _first(arm: dict[int | None, Result]) -> Result:
    return next(iter(arm.values()))


def _ratios(arms: Arms) -> dict[str, float]:
    """Share of synthetic text by arm, in ascending order; empty for fewer than three arms."""
    ratios = {}
    for name, arm in arms.items():
        mixture = _first(arm).upstream("mixture")
        if mixture is not None:
            ratios[name] = float(mixture["config"]["ratio"])
    return dict(sorted(ratios.items(), key=lambda pair: pair[1])) if len(ratios) > 2 else {}


def _rows(arms: Arms, reference: str, ratios: dict[str, float]) -> list[dict[str, Any]]:
    if not arms:
        return []
    first = _first(next(iter(arms.values())))
    config = first.record["config"]
    name = config["evaluation"]["suite"]
    tasks = suite(name) if name else ()
    with damaged_as(record_path(first.run.root, first.label)):
        tasks += tuple(BenchmarkTask(**values) for values in config.get("own", ()))
    rows = (_row(measure, arms, reference, ratios) for measure in measures(first, tasks))
    return [row for row in rows if row is not None]


def _row(
    measure: Measure, arms: Arms, reference: str, ratios: dict[str, float]
) -> dict[str, Any] | None:
    """A measure of all arms; None where it was measured in no arm."""
    observed = ((name, measure.observed(arm)) for name, arm in arms.items())
    parts = {name: arm for name, arm in observed if arm is not None}
    if not parts:
        return None
    levels = {name: measure.level(arm) for name, arm in parts.items()}
    first = next(iter(levels.values()))

    def difference(arm: str, other: str) -> dict[str, Any] | None:
        if arm not in parts or other not in parts:
            return None
        return measure.difference(parts[arm], parts[other]).to_json()

    row: dict[str, Any] = {
        "metric": measure.label,
        "group": measure.group,
        "primary": measure.primary,
        "figure": measure.figure,
        "digits": measure.digits,
        "lower": measure.metrics[0].lower,
        "items": first.n_items,
        "clusters": first.n_clusters,
        **baselines(measure, _first(next(iter(arms.values())))),
        "arms": {name: level.to_json() for name, level in levels.items()},
        "differences": {
            name: difference(name, reference)
            for name in parts
            if name != reference and reference in parts
        },
    }
    if cut := cut_items(measure, arms):
        row["cut"] = cut
    for name in (RANDOM_EDIT, LABEL_SMOOTHING):
        if name in parts:
            minus = {"minus_source": difference(name, "source")}
            minus["edited_minus"] = difference("edited", name)
            row.setdefault("controls", {})[name] = minus
    if ratios:
        grid = [_by_seed(parts[name]) for name in ratios]
        row["contrasts"] = _contrasts(ratios, grid, measure.metrics[0].scale)
    return row


def _by_seed(parts: Observed) -> list[float]:
    """Values by seed on the scale of comparisons, mean over metrics."""
    values = [[metric.compared(metric.ratio(o)) for o in arm.values()] for arm, metric in parts]
    return np.mean(values, axis=0).tolist()


def _contrasts(ratios: dict[str, float], grid: list[list[float]], scale: str) -> dict[str, Any]:
    """Slope and curvature over the share of synthetic text, of values ``grid[arm][seed]``."""
    x, by_seed = list(ratios.values()), list(zip(*grid, strict=True))
    degrees = {"slope": 1, "curvature": 2}
    return {n: contrast(x, by_seed, d, scale).to_json() for n, d in degrees.items()}


def _losses(run: Run, evidence: Evidence, ratios: dict[str, float]) -> dict[str, Any] | None:
    """Mean training loss of the last tenth by arm, nats; None if no training recorded it."""
    by_arm: dict[str, list[float]] = {}
    for training in evidence.of_run(run, "train"):
        loss = _metrics(training).get("loss_tail_mean")
        if loss is not None:
            by_arm.setdefault(training.arm, []).append(loss)
    if not by_arm:
        return None
    means = {name: over_seeds(losses, "nats").to_json() for name, losses in by_arm.items()}
    if not ratios or not ratios.keys() <= by_arm.keys():
        return {"arms": means}
    grid = [by_arm[name] for name in ratios]
    return {"arms": means, "contrasts": _contrasts(ratios, grid, "nats")}


def _curves(run: Run, evidence: Evidence) -> dict[str, list[list[float]]]:
    """Step and training loss of the first seed of each arm, thinned to about :data:`POINTS`."""
    curves: dict[str, list[list[float]]] = {}
    for training in evidence.of_run(run, "train"):
        if training.arm not in curves:
            logged = training.rows(METRICS) if METRICS in training.record.get("files", {}) else []
            points = [[row["step"], row["loss"]] for row in logged if "loss" in row]
            curves[training.arm] = points[:: max(1, len(points) // POINTS)]
    return curves


def _metrics(result: Result) -> dict[str, Any]:
    metrics: dict[str, Any] = result.record["metrics"]
    return metrics


def _corpus(result: Result) -> dict[str, Any]:
    """Metrics of a corpus, its source, and whether overlapping documents were removed."""
    config = result.record["config"].get("corpus", result.record["config"])
    return {**_metrics(result), "removed": config.get("remove_overlap", True),
            "source": config.get("hub") or config.get("source")}  # fmt: skip


def _edit(result: Result) -> dict[str, Any]:
    rule = EditRule(**result.record["config"]["rule"]).describe()
    return {"arm": result.arm, "seed": result.seed, "rule": rule, **_metrics(result)}


def _training(result: Result) -> dict[str, Any]:
    metrics = {key: value for key, value in _metrics(result).items() if key != "config"}
    return {"arm": result.arm, "seed": result.seed, **metrics}
