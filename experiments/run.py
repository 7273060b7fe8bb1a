"""Run an experiment: ``python -m experiments.run +exp=cpt_bio``.

Compose the configuration, plan its stages, compute those without a record, report.
"""

import hashlib
import logging
import os
import sys
from pathlib import Path

from experiments import CONF
from experiments.config.completion import INSTALL, SCRIPT
from experiments.config.headers import header, names
from experiments.config.limits import folders_of, require_files
from toedit import terminal
from toedit.errors import UserError, one_line_errors
from toedit.layout import table, terminal_width
from toedit.redaction import without_secrets
from toedit.user_paths import require_text


def main() -> None:
    """Entry point; user errors end in one line and exit code 2."""
    with one_line_errors():
        if {"--help", "-h"} & set(sys.argv[1:]):
            print(help_text(sys.argv[1:]))
            return
        words = terminal.without_options(sys.argv[1:])
        if words == INSTALL:
            print(SCRIPT)
            return
        from experiments.config.compose import options_first, require_sweep
        from experiments.config.explain import explain_errors
        from experiments.sweeps.driver import is_multirun

        os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises errors instead of exiting
        with explain_errors():
            require_text(words)
            words = options_first(words)
            require_files([CONF, *folders_of(words)])
            if is_multirun(words):
                require_sweep(words)
                sys.exit(sweep(words))
            _hydra_main(words)


def _hydra_main(words: list[str]) -> None:
    import hydra

    from experiments.config.compose import register, sweep_job, to_config
    from experiments.config.explain import explain_errors
    from experiments.sweeps import slurm

    register()
    slurm.register()

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
    def job(composed) -> float | None:
        current = sweep_job()
        if current is None:
            with one_line_errors():  # else Hydra prints a line before main sees the error
                run(to_config(composed))
            return None
        from experiments.sweeps.job import run_job

        trial = None
        if current.search is not None:
            from experiments.sweeps.study import RunningTrial

            trial = RunningTrial(current)

        def run_swept():
            with explain_errors():
                return run(to_config(composed), swept=True, trial=trial)

        return run_job(current, run_swept, trial)

    argv = sys.argv
    sys.argv = [argv[0], *words]
    try:
        job()
    finally:
        sys.argv = argv


def sweep(words: list[str]) -> int:
    """Run a sweep and write its summary.

    Returns:
        The exit code: 0, 75 where jobs went to a scheduler, 1 where one failed.
    """
    from experiments.sweeps import driver, summary

    with driver.sweep_dir(words) as folder:
        try:
            finished = driver.run_sweep(words, folder, _hydra_main)
        finally:
            code = summary.write_summary(folder, words)
    return code if finished else 1


def run(config, swept: bool = False, trial=None):
    """Run one composed experiment, on its own or as a job of a sweep.

    Args:
        config: the experiment.
        swept: it is a job of a sweep.
        trial: of a search (:class:`experiments.sweeps.study.RunningTrial`); training reports to it.

    Returns:
        :class:`experiments.sweeps.job.Finished`, or ``Planned`` for a dry run.
    """
    from experiments.config.compose import to_yaml
    from experiments.costs.report import describe, missing_seconds
    from experiments.plans import plan
    from experiments.reports import screen
    from experiments.runner import execute, forced_stages
    from experiments.stages.corpus import require_sides
    from experiments.store import Store
    from experiments.sweeps.job import Finished, Planned
    from experiments.sweeps.objective import objective_value, require_objective
    from experiments.tracking import in_wandb_sweep, log_objective, require_tracker

    if not config.name:
        raise UserError(f"no experiment given; add +exp=NAME, one of: {', '.join(experiments())}")
    if swept and config.force:
        raise UserError(
            f"force={config.force} in a sweep would recompute what its jobs share once for each: "
            "run one of them with it, without -m, then the sweep without it"
        )
    if config.rehearse:
        from experiments.rehearsal import rehearse

        config = rehearse(config)
    if config.print_config:
        print(without_secrets(to_yaml(config)))
    stages = plan(config)
    require_objective(config.objective, stages)
    watch = None if trial is None else trial.watching(config, stages)
    if config.dry_run:
        require_sides(stages)
        print(describe(config, stages, Path(config.store)))
        return Planned(missing_seconds(config, stages, Path(config.store)))
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[terminal.Handler()], force=True
    )
    logging.getLogger("experiments.runner").setLevel(logging.DEBUG)
    logging.getLogger("experiments").setLevel(logging.INFO)
    store = Store(config.store)
    forced = forced_stages(config.force, stages)
    missing = [stage for stage in stages if stage in forced or store.record(stage) is None]
    _require_access(config, missing)
    _require_trainable(config, [stage for stage in missing if stage.kind == "train"])
    _require_vllm(missing)
    if any(stage.tracked for stage in missing):
        require_tracker(config.tracker, store.root / "wandb")
    from experiments.reports.report import write_report
    from experiments.reports.tracked import log_report

    folder = store.root / "reports" / f"{config.name.replace('/', '-')}-{report_id(stages)}"
    page: list[str] = []

    def report(records: dict) -> None:
        page.append(write_report(config, stages, records, store, folder))

    with store.explain_damage(), terminal.captured(folder / screen.LOG):
        records = execute(config, stages, store, report, watch)
    terminal.blank()
    print(screen.summary(config, folder, page[-1]))
    if not swept and any(stage.tracked for stage in missing):
        log_report(config, folder, store.root / "wandb")
    if in_wandb_sweep() and config.objective is not None:
        value = objective_value(config.objective, stages, records)
        log_objective(config.tracker, config.name, value, store.root / "wandb")
    return Finished(config, stages, records, folder, not missing)


def _require_access(config, stages: list) -> None:
    """Refuse names that cannot be read before anything is downloaded."""
    from experiments.hub.names import names_in

    if names := names_in(stages):
        from experiments.hub.access import require_access

        require_access(names, config.name)


def _require_vllm(stages: list) -> None:
    """Refuse, before anything starts, stages of vLLM where it is not installed."""
    from toedit.priors.vllm import require_vllm

    for part in (part for stage in stages for part in vars(stage.config).values()):
        if getattr(part, "kind", None) == "vllm":
            require_vllm("prior.kind=vllm")
        if getattr(part, "backend", None) == "vllm" and (part.suite or part.tasks):
            require_vllm("eval.backend=vllm")


def _require_trainable(config, trainings: list) -> None:
    """Refuse trainings that cannot run before anything starts: the first may begin days later."""
    from experiments.stages.train import require_model

    if trainings and config.launch.kind != "single":
        from experiments.training.launchers import require_launch

        require_launch(config.train, config.launch)
    for settings in {repr(stage.config.model): stage.config for stage in trainings}.values():
        require_model(settings)


def report_id(stages: list) -> str:
    """Hash of a set of stages, as eight hexadecimal digits."""
    joined = " ".join(sorted(stage.label for stage in stages))
    return hashlib.sha256(joined.encode()).hexdigest()[:8]


def experiments() -> dict[str, str]:
    """Titles of all experiments by name."""
    return {name: header(name).title for name in names()}


def help_text(words: list[str]) -> str:
    """What ``--help`` prints: of the fields and groups that follow it, or :func:`usage`.

    Raises:
        UserError: there is no such field.
    """
    from experiments.config.reference import explain

    at = min(i for i, word in enumerate(words) if word in ("--help", "-h"))
    named = [word for word in words[at + 1 :] if not word.startswith(("-", "+")) and word]
    return "\n\n".join(map(explain, named)) if named else usage()


OFTEN_USED = {
    "dry_run=true": "print the stages, hit or miss, and their estimated cost",
    "print_config=true": "print the whole resolved configuration first",
    "rehearse=true": "the whole of a paper/ experiment with tiny models and little text",
    "force=train": "recompute the stages of that kind (or kind/name) and what depends on them",
    "seed=1": "feeds editing and training",
    "launch=torchrun": "train on several GPUs (launch.devices=8); also fsdp, slurm",
    "edit=paper_text": "another editing preset: {presets}",
    "edit.threshold=0.999": "one field of the editing rule",
    "tracker=none": "no wandb",
    "store=FOLDER": "where results go (default: store)",
    "-m seed=0,1,2": "several runs in one command",
    "--quiet, --verbose": "show only warnings and results; show also what libraries print",
    "-sc install=bash": 'print the completion for bash: eval "$(...)"',
    "--help FIELD": "what a field or group means and takes, as edit.threshold or train",
}
"""Words of a command line and their meanings."""


def usage() -> str:
    """The help text, with one line per experiment."""
    from toedit.rules import PRESETS

    presets = ", ".join(sorted(PRESETS))
    often = [(word, what.format(presets=presets)) for word, what in OFTEN_USED.items()]
    first, second = (_listing(rows) for rows in (list(experiments().items()), often))
    return f"""Runs an experiment of the ToEdit paper, or one of your own.

usage: python -m experiments.run +exp=NAME [GROUP=CHOICE] [FIELD=VALUE] ...

experiments:
{first}

often used:
{second}
"""


def _listing(rows: list[tuple[str, str]]) -> str:
    return table(rows[0], rows[1:], terminal_width(), "  ")


if __name__ == "__main__":
    main()
