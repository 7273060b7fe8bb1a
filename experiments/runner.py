"""Runs the stages of an experiment: finished ones are hits, the others are computed or continued.

Consecutive stages of one arm share one tracker run, which carries the arm's curves, its evaluation
and the whole configuration upstream. Stages without an arm are prepared before it and appear in it
through that configuration and their metrics.
"""

from __future__ import annotations

import logging
import time
from itertools import groupby
from pathlib import Path
from typing import Any

from experiments import provenance
from experiments.fingerprint import Stage, StageContext
from experiments.schema import Config
from experiments.store import MetricsLog, Store
from experiments.tracking import NoRun, Run, RunSpec, start_run
from toedit.errors import UserError, suggest

log = logging.getLogger(__name__)


def execute(config: Config, stages: list[Stage], store: Store) -> dict[str, dict[str, Any]]:
    """Brings every stage to a record.

    Args:
        config: the experiment.
        stages: its stages, inputs before the stages that read them.
        store: where results are.

    Returns:
        The record of each stage by ``kind/name``.
    """
    forced = forced_stages(config.force, stages)
    for arm, group in groupby(stages, key=lambda stage: stage.arm):
        members = list(group)
        missing = [s for s in members if s in forced or store.record(s) is None]
        for stage in members:
            if stage not in missing:
                log.info("hit   %s", stage.label)
        if not missing:
            continue
        run: Run = NoRun()
        if arm is not None:
            run = _start_arm(config, arm, members, store)
        try:
            for stage in members:
                if stage in missing:
                    _compute(config, stage, store, run, stage in forced)
                else:
                    _replay(stage, store, run)
            run.summary(_arm_summary(members, store))
        except BaseException:
            run.finish(failed=True)
            raise
        run.finish()
    return {f"{stage.kind}/{stage.name}": store.record(stage) or {} for stage in stages}


def _compute(config: Config, stage: Stage, store: Store, run: Run, forced: bool) -> None:
    with store.lock(stage):
        if not forced and store.record(stage) is not None:  # another process did it meanwhile
            return
        folder = store.folder(stage)
        if forced:
            store.discard(stage)
        _announce(stage, store)
        folder.mkdir(parents=True, exist_ok=True)
        metrics_log = MetricsLog(folder)

        def log_step(values: dict[str, float], step: int) -> None:
            metrics_log.append(values, step)
            run.log({f"{stage.kind}/{key}": value for key, value in values.items()}, step)

        started = time.monotonic()
        metrics = stage.run(
            StageContext(
                stage=stage,
                folder=folder,
                inputs={name: store.folder(parent) for name, parent in stage.inputs.items()},
                metrics={
                    name: (store.record(parent) or {})["metrics"]
                    for name, parent in stage.inputs.items()
                },
                log=log_step,
            )
        )
        seconds = time.monotonic() - started
        store.finish(
            stage,
            {
                "kind": stage.kind,
                "name": stage.name,
                "fingerprint": stage.fingerprint,
                "identity": stage.identity,
                "experiment": config.name,
                "seed": config.seed,
                "metrics": metrics,
                "seconds": round(seconds, 2),
                "finished": provenance.now(),
                "peak_memory_gb": round(provenance.peak_memory_gb(), 2),
                "tracker_run": run.identity,
                **provenance.environment(),
                "hardware": provenance.hardware(),
            },
        )
        if stage.cleanup is not None:
            stage.cleanup(folder)
        log.info("done  %s in %.0f s", stage.label, seconds)


def _announce(stage: Stage, store: Store) -> None:
    if store.folder(stage).is_dir():
        log.info("continue %s", stage.label)
        return
    log.info("run   %s", stage.label)
    for difference in store.differences(stage):
        log.info("        %s", difference)


def upstream_config(stage: Stage) -> dict[str, Any]:
    """Identities of a stage and everything before it, by ``kind/name``."""
    return {
        f"{s.kind}/{s.name}": {"fingerprint": s.fingerprint, **s.identity} for s in stage.upstream()
    }


def _start_arm(config: Config, arm: str, members: list[Stage], store: Store) -> Run:
    last = members[-1]
    counter = store.root / "wandb" / "attempts" / last.fingerprint
    attempt = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.parent.mkdir(parents=True, exist_ok=True)
    counter.write_text(str(attempt))
    spec = RunSpec(
        identity=f"{last.fingerprint}-{attempt}",
        name=f"{config.name}-{arm}-seed{config.seed}",
        group=config.name,
        job_type=arm,
        config={
            "experiment": config.name,
            "arm": arm,
            "seed": config.seed,
            "stages": upstream_config(last),
        },
    )
    return start_run(config.tracker, spec, store.root / "wandb")


def _replay(stage: Stage, store: Store, run: Run) -> None:
    for row in MetricsLog(store.folder(stage)).read():
        step = row.pop("step")
        run.log({f"{stage.kind}/{key}": value for key, value in row.items()}, step)


def _arm_summary(members: list[Stage], store: Store) -> dict[str, Any]:
    summary = {}
    for stage in members[-1].upstream():
        record = store.record(stage) or {}
        summary.update(
            {f"{stage.kind}/{key}": value for key, value in record.get("metrics", {}).items()}
        )
    return summary


def forced_stages(force: str | None, stages: list[Stage]) -> set[Stage]:
    """The stages that ``force`` names by kind or ``kind/name``, and all that depend on them.

    Raises:
        UserError: it names none.
    """
    if force is None:
        return set()
    chosen = {s for s in stages if any(force in _names(upstream) for upstream in s.upstream())}
    if not chosen:
        names = {name for stage in stages for name in _names(stage)}
        raise UserError(f"force={force!r} names no stage here; {suggest(force, names)}")
    return chosen


def _names(stage: Stage) -> tuple[str, str]:
    return stage.kind, f"{stage.kind}/{stage.name}"


def describe(config: Config, stages: list[Stage], store_root: Path) -> str:
    """The stages as a table: hit or miss, and an estimate of their cost.

    The seconds assume the floating-point rate of ``config.device`` (see :data:`DEVICES`).
    """
    store = Store(store_root) if store_root.is_dir() else None
    forced = forced_stages(config.force, stages)
    rate, label = device_rate(config.device)
    header = f"{'stage':<46} {'state':<6} {'tokens':>9} {'FLOPs':>9} {'time':>9}"
    lines = [f"{config.name}: {len(stages)} stages, cost on {label}", header]
    for stage in stages:
        hit = store is not None and store.record(stage) is not None
        state = "force" if stage in forced else "hit" if hit else "miss"
        cost = stage.cost
        tokens = f"{cost.tokens:.3g}" if cost.tokens else "-"
        flops = f"{cost.flops:.2g}" if cost.flops else "-"
        seconds = _duration(cost.flops / rate) if cost.flops else "-"
        lines.append(f"{stage.label:<46} {state:<6} {tokens:>9} {flops:>9} {seconds:>9}")
    total = sum(stage.cost.flops for stage in stages)
    lines.append(f"{'total':<46} {'':<6} {'':>9} {total:>9.2g} {_duration(total / rate):>9}")
    return "\n".join(lines)


DEVICES = {
    "cpu": (8e10, "2 CPU cores at 80 GFLOP/s"),
    "h100": (4e14, "one H100 at 400 TFLOP/s, about 40 % of its bf16 peak"),
    "8xh100": (3.2e15, "eight H100 at 400 TFLOP/s each"),
}


def device_rate(name: str) -> tuple[float, str]:
    """Floating-point operations a second that a device is assumed to reach, and its description."""
    if name not in DEVICES:
        raise UserError(f"device={name!r} is unknown; {suggest(name, DEVICES)}")
    return DEVICES[name]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
