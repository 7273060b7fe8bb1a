"""Runs an experiment: ``python -m experiments.run +exp=cpt_bio``.

Compose the configuration, plan its stages, bring each to a record, report.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from pathlib import Path

from experiments import CONF
from experiments.headers import header, names
from toedit.errors import UserError, fail, one_line_errors


def main() -> None:
    """Entry point; mistakes of the user end in one line and exit code 2."""
    with one_line_errors():
        if {"--help", "-h"} & set(sys.argv[1:]):
            print(usage())
            return
        from experiments.compose import explain

        os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us, not to Hydra's own exit
        try:
            _hydra_main()
        except Exception as error:
            line = explain(error)
            if line is None:
                raise
            fail(line)


def _hydra_main() -> None:
    import hydra

    from experiments.compose import register, to_config

    register()

    @hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
    def job(composed) -> None:
        with one_line_errors():  # here too, or Hydra prints a line of its own before main sees it
            run(to_config(composed))

    job()


def run(config) -> None:
    """Runs one composed experiment."""
    from experiments.plans import plan
    from experiments.runner import describe, execute, forced_stages
    from experiments.store import Store

    if not config.name:
        raise UserError(f"no experiment given; add +exp=NAME, one of: {', '.join(experiments())}")
    stages = plan(config)
    if config.dry_run:
        print(describe(config, stages, Path(config.store)))
        return
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr, force=True)
    logging.getLogger("experiments").setLevel(logging.INFO)
    store = Store(config.store)
    forced = forced_stages(config.force, stages)
    missing = [stage for stage in stages if stage in forced or store.record(stage) is None]
    _require_trainable(config, [stage for stage in missing if stage.kind == "train"])
    from experiments.paper import write_report

    folder = store.root / "reports" / f"{config.name.replace('/', '-')}-{report_id(stages)}"
    with store.remedies():
        execute(
            config,
            stages,
            store,
            lambda records: print(write_report(config, stages, records, store, folder)),
        )
    print(f"written to {folder}")


def _require_trainable(config, trainings: list) -> None:
    """Refuses trainings that cannot be carried out: days may pass before the first begins."""
    from experiments.stages.train import require_model

    if trainings and config.train.devices > 1:
        from experiments.training.launch import require_devices

        require_devices(config.train)
    for settings in {repr(stage.config.model): stage.config for stage in trainings}.values():
        require_model(settings)


def report_id(stages: list) -> str:
    """Eight hexadecimal digits that stand for a set of stages."""
    joined = " ".join(sorted(stage.label for stage in stages))
    return hashlib.sha256(joined.encode()).hexdigest()[:8]


def experiments() -> dict[str, str]:
    """Every experiment and the first line of its file."""
    return {name: header(name).title for name in names()}


def usage() -> str:
    """The help text, with one line an experiment."""
    found = experiments()
    width = max(map(len, found))
    presets = ", ".join(sorted(path.stem for path in (CONF / "edit").glob("*.yaml")))
    listing = "\n".join(f"  {name:<{width}}  {line}" for name, line in found.items())
    return f"""Runs an experiment of the ToEdit paper, or one of your own.

usage: python -m experiments.run +exp=NAME [GROUP=CHOICE] [FIELD=VALUE] ...

experiments:
{listing}

often used:
  dry_run=true             print the stages, hit or miss, and their estimated cost
  force=train              recompute the stages of that kind (or kind/name) and what depends on them
  seed=1                   feeds editing and training
  edit=paper_text          another editing preset: {presets}
  edit.threshold=0.999     one field of the editing rule
  tracker=none             no wandb
  store=FOLDER             where results go (default: store)
  -m seed=0,1,2            several runs in one command
"""


if __name__ == "__main__":
    main()
