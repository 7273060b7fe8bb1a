"""Plans: a configuration turned into stages, one page an experiment family."""

from __future__ import annotations

from importlib import import_module

from experiments.fingerprint import Stage
from experiments.schema import Config
from toedit.errors import require_choice

PLANS = ("train_on_edits", "pretrain", "pretrain_toedit", "selection", "synthesize", "collapse",
         "theory", "statistics", "sft_generations")  # fmt: skip


def plan(config: Config) -> list[Stage]:
    """The stages of an experiment, inputs before the stages that read them.

    Raises:
        UserError: no such family, or a configuration that cannot be carried out.
    """
    require_choice("plan", config.plan, PLANS)
    return import_module(f"experiments.plans.{config.plan}").plan(config)
