"""What an experiment that trains arms found, as plain values: one page for all such experiments.

Every number comes from :mod:`experiments.analysis`. The page is made from the records of a run and
the answers of its models, so it can be made again wherever these are, as from ``results/``.
"""

from typing import Any

import numpy as np

from evals.suites import suite
from experiments.analysis.claims import read_claims
from experiments.analysis.compare import Arm
from experiments.analysis.evidence import Evidence
from experiments.analysis.levels import contrast, over_seeds
from experiments.analysis.metrics import Metric
from experiments.analysis.result import Result
from experiments.config import LABEL_SMOOTHING, RANDOM_EDIT
from experiments.reports import controls
from experiments.reports.measures import Arms, Measure, baselines, measures
from experiments.reports.shares import shares
from experiments.store.curves import METRICS
from experiments.store.runs import Run
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
"""The arm that the others are compared with, by plan; where it is absent, the first trained one."""

POINTS = 200
"""Of a curve, which is more than a figure shows."""


def results(run: Run, evidence: Evidence) -> dict[str, Any]:
    """Everything the page of a run shows, as plain values.

    Returns:
        ``rows``, a measure each, with an estimate an arm (``arms``), the ``differences`` of the
        others from the ``reference``, ``contrasts`` over the share of synthetic text and the
        differences of ``controls``; ``checkpoints``, the rows on the way; ``shares`` of
        near-certain tokens by text and generation; ``loss`` and its ``curves``; and what was
        recorded of corpora, edits, trainings, mixtures and selections.

    Raises:
        UserError: a result of the run cannot be read.
    """
    arms = arms_of(run, evidence)
    recorded = {
        kind: {own.entry.name: own.record["metrics"] for own in evidence.of_run(run, kind)}
        for kind in ("mixture", "tokenizer")
    }
    trained = [name for name, own in arms.items() if _first(own).upstream("train")]
    reference = REFERENCES[run.plan]
    reference = reference if reference in arms else next(iter(trained), "")
    ratios = _ratios(arms) if run.plan == "pretrain" else {}
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
            {"tokens": tokens, "rows": _rows(arms_of(run, evidence, tokens), reference, ratios)}
            for tokens in _checkpoints(run)
        ],
        "loss": _losses(run, evidence, ratios),
        "curves": _curves(run, evidence),
        "shares": shares(run, evidence),
        "corpora": {own.entry.name: _corpus(own) for own in evidence.of_run(run, "corpus")},
        "editing": {own.entry.name: _edit(own) for own in evidence.of_run(run, "edit")},
        "training": {own.entry.name: _training(own) for own in evidence.of_run(run, "train")},
        "mixtures": recorded["mixture"],
        "selections": {
            own.entry.name: own.record["metrics"]
            for own in evidence.of_run(run, "select")
            if run.plan == "selection" and own.arm in arms
        },
        "tokenizer": next(iter(recorded["tokenizer"].values()), None),
        "controls": controls.facts(run, evidence),
        "stages": {
            entry.label: found["seconds"]
            for entry in run.stages
            if (found := evidence.record(run.root, entry.label)) is not None
        },
    }


def arms_of(run: Run, evidence: Evidence, checkpoint: int | None = None) -> Arms:
    """Evaluations by arm and seed, at the end or at a checkpoint.

    Raises:
        UserError: one of them cannot be used.
    """
    entries = [e for e in run.of_kind("evaluate") if e.checkpoint == checkpoint]
    found = {own.label: own for own in evidence.of_run(run, "evaluate")}
    arms: Arms = {}
    for entry in entries:
        if entry.label not in found:
            why = next((w for name, w in evidence.refused.items() if entry.label in name), "")
            raise UserError(
                f"the result {entry.label} cannot be used: {why or 'it is not there'}",
                run.root / entry.label,
            )
        arms.setdefault(entry.arm or entry.name, {})[entry.seed] = found[entry.label]
    return arms


def _first(arm: dict[int | None, Result]) -> Result:
    return next(iter(arm.values()))


def _checkpoints(run: Run) -> list[int]:
    numbers = {e.checkpoint for e in run.of_kind("evaluate") if e.checkpoint is not None}
    return sorted(numbers)


def _ratios(arms: Arms) -> dict[str, float]:
    """Share of synthetic text by arm, where there are more than two."""
    found = {}
    for name, own in arms.items():
        mixture = _first(own).upstream("mixture")
        if mixture is not None:
            found[name] = float(mixture["config"]["ratio"])
    return dict(sorted(found.items(), key=lambda pair: pair[1])) if len(found) > 2 else {}


def _rows(arms: Arms, reference: str, ratios: dict[str, float]) -> list[dict[str, Any]]:
    if not arms:
        return []
    first = _first(next(iter(arms.values())))
    name = first.record["config"]["evaluation"]["suite"]
    shown = measures(first, suite(name) if name else ())
    return [row for measure in shown if (row := _row(measure, arms, reference, ratios))]


def _row(
    measure: Measure, arms: Arms, reference: str, ratios: dict[str, float]
) -> dict[str, Any] | None:
    parts = {name: measure.observed(own) for name, own in arms.items()}
    known = {name: own for name, own in parts.items() if own is not None}
    if not known:
        return None
    levels = {name: measure.level(own) for name, own in known.items()}
    first = next(iter(levels.values()))

    def difference(arm: str, other: str) -> dict[str, Any] | None:
        if arm not in known or other not in known:
            return None
        return measure.difference(known[arm], known[other]).to_json()

    row: dict[str, Any] = {
        "metric": measure.label,
        "group": measure.group,
        "primary": measure.primary,
        "figure": measure.figure,
        "digits": measure.digits,
        "items": first.n_items,
        "clusters": first.n_clusters,
        **baselines(measure, _first(next(iter(arms.values())))),
        "arms": {name: own.to_json() for name, own in levels.items()},
        "differences": {
            name: found for name in known
            if name != reference and (found := difference(name, reference)) is not None
        },
    }  # fmt: skip
    present = [name for name in (RANDOM_EDIT, LABEL_SMOOTHING) if name in known]
    if present:
        row["controls"] = {
            name: {"minus_source": difference(name, "source"),
                   "edited_minus": difference("edited", name)}
            for name in present
        }  # fmt: skip
    if ratios:
        grid = [_compared(known[name]) for name in ratios]
        row["contrasts"] = contrasts(list(ratios.values()), grid, measure.metrics[0].scale)
    return row


def _compared(parts: list[tuple[Arm, Metric]]) -> list[float]:
    """Values by seed on the scale of comparisons, mean over metrics."""
    own = [
        [metric.compared(metric.ratio(found)) for found in arm.values()] for arm, metric in parts
    ]
    return np.mean(own, axis=0).tolist()


def contrasts(
    ratios: list[float], grid: list[list[float]], scale: str
) -> dict[str, dict[str, Any]]:
    """Slope and curvature over the share of synthetic text.

    Args:
        ratios: shares.
        grid: values by ratio and seed.
        scale: their unit.
    """
    by_seed = list(zip(*grid, strict=True))
    degrees = {"slope": 1, "curvature": 2}
    return {n: contrast(ratios, by_seed, d, scale).to_json() for n, d in degrees.items()}


def _losses(run: Run, evidence: Evidence, ratios: dict[str, float]) -> dict[str, Any] | None:
    """Mean training loss of the last tenth by arm, nats; None where it was not recorded."""
    by_arm: dict[str, list[float]] = {}
    for own in evidence.of_run(run, "train"):
        loss = own.record["metrics"].get("loss_tail_mean")
        if loss is not None:
            by_arm.setdefault(own.arm, []).append(loss)
    if not by_arm:
        return None
    found: dict[str, Any] = {
        "arms": {name: over_seeds(own, "nats").to_json() for name, own in by_arm.items()}
    }
    if ratios and ratios.keys() <= by_arm.keys():
        grid = [by_arm[name] for name in ratios]
        found["contrasts"] = contrasts(list(ratios.values()), grid, "nats")
    return found


def _curves(run: Run, evidence: Evidence) -> dict[str, list[list[float]]]:
    """Step and training loss of the first seed of each arm, at most :data:`POINTS` of them."""
    curves: dict[str, list[list[float]]] = {}
    for own in evidence.of_run(run, "train"):
        if own.arm not in curves:
            rows = [row for row in _logged(own) if "loss" in row]
            thinned = rows[:: max(1, len(rows) // POINTS)]
            curves[own.arm] = [[row["step"], row["loss"]] for row in thinned]
    return curves


def _logged(own: Result) -> list[dict[str, Any]]:
    """What a training logged step by step; nothing where that was not recorded."""
    return own.rows(METRICS) if METRICS in own.record.get("files", {}) else []


def _corpus(own: Result) -> dict[str, Any]:
    """What was recorded of a corpus, and whether documents that overlap were left out."""
    config = own.record["config"].get("corpus", own.record["config"])
    return {**own.record["metrics"], "removed": config.get("remove_overlap", True),
            "source": config.get("hub") or config.get("source")}  # fmt: skip


def _edit(own: Result) -> dict[str, Any]:
    rule = EditRule(**own.record["config"]["rule"]).describe()
    return {"arm": own.arm, "seed": own.seed, "rule": rule, **own.record["metrics"]}


def _training(own: Result) -> dict[str, Any]:
    kept = {key: value for key, value in own.record["metrics"].items() if key != "config"}
    return {"arm": own.arm, "seed": own.seed, **kept}
