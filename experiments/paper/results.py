"""What an experiment that trains on edits found, as plain values: editing, training, comparison."""

from __future__ import annotations

from typing import Any

from experiments.fingerprint import Stage
from experiments.paper import controls
from experiments.paper.examples import examples
from experiments.paper.rows import rows
from experiments.plans.pretrain import seeds
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
        ``editing`` (statistics by edit), ``examples`` (changed tokens by edit), ``training`` (by
        model), ``rows``
        (:func:`experiments.paper.rows.rows`), ``controls`` (what they did to the text), and what is
        needed to read them.
    """
    runs = seeds(config)
    evaluated = by_arm(stages, "evaluate", runs)
    names = [*(task.name for task in tasks(config.eval)), HELD_OUT_TASK]
    predictions = {
        arm: {name: read_predictions(store.folder(found[0]), name) for name in names}
        for arm, found in evaluated.items()
    }
    metrics = {
        arm: [records[f"evaluate/{stage.name}"]["metrics"] for stage in found]
        for arm, found in evaluated.items()
    }
    held_out = "held-out" if config.model.template is None else "held-out responses,"
    return {
        "experiment": config.name,
        "seeds": runs,
        "note": config.note,
        "corpus": _corpus(config.corpus.remove_overlap, stages, records),
        "extra": _corpus(config.mix.corpus.remove_overlap, stages, records, "extra")
        if config.mix.share
        else None,
        "editing": {
            stage.name: {
                "rule": stage.config.rule.describe(),
                **records[f"edit/{stage.name}"]["metrics"],
            }
            for stage in stages
            if stage.kind == "edit"
        },
        "examples": {
            stage.name: examples(stage, store) for stage in stages if stage.kind == "edit"
        },
        "training": {
            stage.name: {
                k: v for k, v in records[f"train/{stage.name}"]["metrics"].items() if k != "config"
            }
            for stage in stages
            if stage.kind == "train"
        },
        "rows": rows(tasks(config.eval), metrics, predictions, held_out),
        "controls": controls.facts(config, by_arm(stages, "train", runs), records),
        "stages": {
            store.label(stage): records[f"{stage.kind}/{stage.name}"]["seconds"] for stage in stages
        },
    }


def by_arm(stages: list[Stage], kind: str, runs: list[int]) -> dict[str, list[Stage]]:
    """Stages of a kind by arm: one a seed in the order of the seeds, or the only one.

    Raises:
        KeyError: an arm lacks a seed that others have.
    """
    found: dict[str, dict[int, Stage]] = {}
    for stage in stages:
        if stage.kind == kind:
            arm, _, seed = stage.name.partition("-seed")
            found.setdefault(arm, {})[int(seed or runs[0])] = stage
    return {
        arm: [own[seed] for seed in (runs if len(own) > 1 else own)] for arm, own in found.items()
    }


def _corpus(
    removed: bool, stages: list[Stage], records: Records, name: str | None = None
) -> dict[str, Any]:
    """What was recorded of a corpus, and whether documents that overlap were left out."""
    own = name or next(stage.name for stage in stages if stage.kind == "corpus")
    return {**records[f"corpus/{own}"]["metrics"], "removed": removed}
