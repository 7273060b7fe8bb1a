"""Turn a configuration into stages: one module per plan, that is, per type of experiment."""

from dataclasses import replace
from importlib import import_module

from experiments.config import RANDOM_EDIT, Config, ScoreConfig
from experiments.config.limits import require_plan
from experiments.config.training import ContinuedConfig
from experiments.stage import Stage
from toedit.editor import candidates_for
from toedit.errors import UserError, require_choice
from toedit.priors.base import CandidateRange
from toedit.rules import preset

PLANS = ("train_on_edits", "pretrain", "pretrain_toedit", "selection", "synthesize", "collapse",
         "theory", "statistics", "sft_generations", "continue_scratch")  # fmt: skip

READERS = {
    "continued": ("continue_scratch",),
    "controls": ("train_on_edits", "pretrain_toedit", "continue_scratch"),
    "mix.share": ("train_on_edits", "sft_generations"),
    "model.template": ("train_on_edits", "sft_generations"),
}
"""Plans that read a setting which is off by default."""


def plan(config: Config) -> list[Stage]:
    """The stages of an experiment, inputs before the stages that read them.

    Raises:
        UserError: the plan is unknown, ignores a setting, or cannot carry out the configuration.
    """
    require_choice("plan", config.plan, PLANS)
    _require_read(config)
    repeated = {"sft_generations": ("generations.number", config.generations.number),
                "collapse": ("collapse.generations", config.collapse.generations)}  # fmt: skip
    require_plan(max(1, len(config.seeds)), *repeated.get(config.plan, ("", 1)))
    return import_module(f"experiments.plans.{config.plan}").plan(_with_candidates(config))


def _with_candidates(config: Config) -> Config:
    """The configuration whose scores include the candidates that its rules and controls need."""
    stored = CandidateRange(config.score.k, config.score.above, config.score.below)
    for rule in (config.edit, *map(preset, config.presets)):
        stored = stored.including(candidates_for(rule))
    if RANDOM_EDIT in config.controls:
        stored = stored.including(candidates_for(config.edit, "random"))
    return replace(config, score=ScoreConfig(stored.k, stored.above, stored.below))


def _require_read(config: Config) -> None:
    """Refuse settings that the plan would ignore."""
    values = {
        "controls": config.controls,
        "continued": config.continued if config.continued != ContinuedConfig() else None,
        "mix.share": config.mix.share,
        "model.template": config.model.template,
    }
    for name, value in values.items():
        if value and config.plan not in READERS[name]:
            raise UserError(
                f"plan={config.plan} does not read {name}={value}; plans that do: "
                f"{', '.join(READERS[name])}"
            )
