"""Run the stages of an experiment: finished ones are hits, the others are computed or continued.

Consecutive stages of one arm share one tracker run, which holds the arm's curves, its evaluation
and the configuration of everything upstream; what continues after an interruption is the same run.
Stages that are not tracked (text, scores, mixtures) appear in it through that configuration and
their metrics.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from experiments import provenance
from experiments.config import Config
from experiments.config.launch import SLURM
from experiments.costs.remaining import Remaining
from experiments.stage import Stage, StageContext, upstream
from experiments.store import RECORD_FORMAT, Store
from experiments.store.curves import MetricsLog
from experiments.store.jobs import declared
from experiments.tracking import DeferredRun, Run, RunSpec, start_run
from toedit.corpora.paths import require_closed
from toedit.devices import device
from toedit.errors import Pruned, Submitted, UserError, suggest, writing_to
from toedit.hub import Commits, kept_commits
from toedit.machine import measured
from toedit.redaction import published

log = logging.getLogger(__name__)

COMMITS = "commits.json"
"""Commits of the names of the hub that an unfinished stage has loaded, and goes on at."""

Records = dict[str, dict[str, Any]]

Watch = Callable[[Stage, dict[str, float], int], None]
"""Receives every step of a stage that is computed, those of earlier attempts first."""


def execute(
    config: Config,
    stages: list[Stage],
    store: Store,
    report: Callable[[Records], None] = lambda records: None,
    watch: Watch | None = None,
) -> Records:
    """Run the stages of an experiment whose results the store lacks.

    Args:
        config: the experiment.
        stages: its stages, inputs before the stages that read them.
        store: source and destination of results.
        report: called with the records while the stages are still declared as needed.
        watch: may raise to end the run; what is computed so far stays.

    Returns:
        The record of each stage by ``kind/name``.

    Raises:
        Submitted: stages wait for jobs of a queue; all that do not depend on them have run.
    """
    labels = [store.label(stage) for stage in stages]
    command = provenance.shell(provenance.command())
    with writing_to(store.root), declared(store.root, config.name, labels, command):
        forced = forced_stages(config.force, stages)
        _discard(forced, stages, store)
        records = _execute(config, stages, store, watch)
        report(records)
        for stage in forced:
            store.clear_forced(stage)
        return records


def _execute(config: Config, stages: list[Stage], store: Store, watch: Watch | None) -> Records:
    submitted: list[str] = []
    waiting: set[Stage] = set()
    remaining = Remaining(
        stages, [s for s in stages if store.record(s) is None], device(config.device)
    )
    known: Commits = {}  # so that all stages load a name at one commit
    for stage in stages:
        known |= (store.record(stage) or {}).get("commits", {})
    for members in _tracker_groups(stages):
        missing = [stage for stage in members if store.record(stage) is None]
        for stage in members:
            if stage not in missing:
                log.info("hit   %s", stage.label)
                store.clear_scratch(stage)
        if all(waiting.intersection(stage.upstream()) for stage in missing):
            waiting.update(missing)
            continue
        held = ExitStack()  # the attempt of the tracker run
        run = _start_arm(config, members, store, held) if members[0].tracked else Run()
        try:
            for stage in members:
                if store.record(stage) is not None:
                    _replay(stage, store, run)
                elif waiting.intersection(stage.upstream()):
                    waiting.add(stage)
                else:
                    try:
                        _compute(config, stage, store, run, known, remaining, watch)
                    except Submitted as job:  # stages that do not depend on it go on
                        submitted.append(str(job))
                        waiting.add(stage)
            if not waiting.intersection(members):
                run.summary(_arm_summary(members, store))
        except BaseException:
            run.finish(failed=True)
            held.close()
            raise
        run.finish()
        held.close()
    if submitted:
        raise Submitted("; ".join(submitted))
    return {f"{stage.kind}/{stage.name}": store.record(stage) or {} for stage in stages}


def _discard(forced: set[Stage], stages: list[Stage], store: Store) -> None:
    """Remove forced results before anything runs, dependents first.

    A marker in each folder records this, so that the same command after an interruption continues
    instead of starting over.
    """
    interrupted = any(store.is_forced(s) and store.record(s) is None for s in forced)
    done = {s for s in forced if interrupted and store.is_forced(s)}
    remaining = [stage for stage in reversed(stages) if stage in forced - done]
    for stage in remaining:
        store.require_idle(stage)
    for stage in remaining:
        with store.lock(stage):
            store.discard(stage)
            store.mark_forced(stage)


def _compute(
    config: Config,
    stage: Stage,
    store: Store,
    run: Run,
    known: Commits,
    remaining: Remaining,
    watch: Watch | None = None,
) -> None:
    with store.lock(stage):
        if store.record(stage) is not None:  # another process has computed it meanwhile
            _replay(stage, store, run)
            return
        for parent in stage.inputs.values():
            store.require_complete(parent)
        folder = store.folder(stage)
        _announce(stage, store)
        folder.mkdir(parents=True, exist_ok=True)
        require_closed(folder)
        metrics_log = MetricsLog(folder)
        earlier = metrics_log.read()

        def log_step(values: dict[str, float], step: int) -> None:
            metrics_log.append(values, step)
            # Steps of an interrupted attempt before this one belong to this run's curves too.
            rows = [row for row in earlier if row["step"] < step]
            earlier.clear()
            for row in [*rows, {"step": step, **values}]:
                _log_row(stage, row, run)
                if watch is not None:
                    watch(stage, row, row["step"])

        started = time.monotonic()
        context = StageContext(
            stage=stage,
            folder=folder,
            inputs={name: store.folder(parent) for name, parent in stage.inputs.items()},
            metrics={
                name: (store.record(parent) or {})["metrics"]
                for name, parent in stage.inputs.items()
            },
            log=log_step,
        )
        try:
            with kept_commits(folder / COMMITS, known) as commits, remaining.stage(stage):
                metrics = stage.config.run(context)
        except Pruned:
            raise
        except Exception as error:
            store.fail(stage, error, provenance.now())
            raise
        for row in earlier:  # no step was left to do
            _log_row(stage, row, run)
        known |= commits
        (folder / COMMITS).unlink(missing_ok=True)
        used = {**measured(time.monotonic() - started), **context.measured}
        store.finish(
            stage,
            {
                "kind": stage.kind,
                "name": stage.name,
                "fingerprint": stage.fingerprint,
                "identity": stage.identity,
                **describe_stage(stage),
                "inputs": {name: store.label(read) for name, read in sorted(stage.inputs.items())},
                "format": RECORD_FORMAT,
                "experiment": config.name,
                "arm": stage.arm,
                "seed": stage.seed,
                "checkpoint": stage.checkpoint,
                "metrics": metrics,
                **({"commits": dict(sorted(commits.items()))} if commits else {}),
                "finished": provenance.now(),
                "tracker_run": run.identity,
                **provenance.environment(),
                **used,
            },
        )
        log.info("done  %s in %.0f s", stage.label, used["seconds"])


def describe_stage(stage: Stage) -> dict[str, Any]:
    """Configuration of a stage with all defaults, and its inputs, as they may be published."""
    config = published(json.loads(json.dumps(asdict(stage.config), default=str)))
    inputs = {name: parent.label for name, parent in sorted(stage.inputs.items())}
    return {"config": config, "inputs": inputs}


def _announce(stage: Stage, store: Store) -> None:
    started = store.folder(stage).is_dir() and any(store.folder(stage).iterdir())
    verb = "continue" if started and not store.is_forced(stage) else "run  "
    log.debug("%s %s", verb, stage.label)
    if not started:
        for difference in store.differences(stage):
            log.info("        %s", difference)


def upstream_config(members: list[Stage]) -> dict[str, Any]:
    """Configurations of the stages of an arm and everything upstream, by ``kind/name``."""
    return {
        f"{s.kind}/{s.name}": {
            "fingerprint": s.fingerprint,
            "rev": s.config.REV,
            **describe_stage(s),
        }
        for s in upstream(members)
    }


def _tracker_groups(stages: list[Stage]) -> list[list[Stage]]:
    """Consecutive stages that share a tracker run, or have none.

    A run is of one arm, seed and checkpoint; a stage that no seed changes joins any.
    """
    groups: list[list[Stage]] = []
    previous: tuple[bool, str | None, int | None] | None = None
    seed: int | None = None
    for stage in stages:
        key = (stage.tracked, stage.arm if stage.tracked else None, stage.checkpoint)
        other_seed = stage.tracked and None not in (seed, stage.seed) and seed != stage.seed
        if key != previous or other_seed:
            groups.append([])
            previous, seed = key, None
        groups[-1].append(stage)
        seed = stage.seed if seed is None else seed
    return groups


def _start_arm(config: Config, members: list[Stage], store: Store, held: ExitStack) -> Run:
    if config.tracker.kind == "none":
        return Run()
    if config.launch.kind == SLURM:  # most calls of the driver only ask for the state of the job
        return DeferredRun(lambda: _begin_run(config, members, store, held))
    return _begin_run(config, members, store, held)


def _begin_run(config: Config, members: list[Stage], store: Store, held: ExitStack) -> Run:
    last = members[-1]
    attempt, continued = held.enter_context(store.attempt(last))
    seed = next((stage.seed for stage in members if stage.seed is not None), config.seed)
    kind = str(last.arm) if last.checkpoint is None else f"{last.arm}-after{last.checkpoint}"
    spec = RunSpec(
        identity=f"{last.fingerprint}-{attempt}",
        name=f"{config.name}-{kind}-seed{seed}",
        group=config.name,
        job_type=kind,
        config={
            "experiment": config.name,
            "arm": last.arm,
            "seed": seed,
            "checkpoint": last.checkpoint,
            "settings": provenance.overrides(),
            "stages": upstream_config(members),
        },
        continued=continued,
    )
    return start_run(config.tracker, spec, store.root / "wandb")


def _log_row(stage: Stage, row: dict[str, Any], run: Run) -> None:
    values = {f"{stage.kind}/{key}": value for key, value in row.items() if key != "step"}
    run.log(values, row["step"])


def _replay(stage: Stage, store: Store, run: Run) -> None:
    for row in MetricsLog(store.folder(stage)).read():
        _log_row(stage, row, run)


def _arm_summary(members: list[Stage], store: Store) -> dict[str, Any]:
    """Metrics by ``kind/metric``, and by ``kind/name/metric`` where stages share a kind."""
    stages = upstream(members)
    counts = Counter(stage.kind for stage in stages)
    summary = {}
    for stage in stages:
        prefix = stage.kind if counts[stage.kind] == 1 else f"{stage.kind}/{stage.name}"
        metrics = (store.record(stage) or {}).get("metrics", {})
        summary.update({f"{prefix}/{key}": value for key, value in metrics.items()})
    return summary


def forced_stages(force: str | None, stages: list[Stage]) -> set[Stage]:
    """The stages that ``force`` names by kind or ``kind/name``, and all that depend on them.

    Raises:
        UserError: it names none.
    """
    if force is None:
        return set()
    forced = {stage for stage in stages if any(force in _names(s) for s in stage.upstream())}
    if not forced:
        names = {name for stage in stages for name in _names(stage)}
        raise UserError(f"force={force!r} names no stage here; {suggest(force, names)}")
    return forced


def _names(stage: Stage) -> tuple[str, str]:
    return stage.kind, f"{stage.kind}/{stage.name}"
