"""Iterated training: each generation learns from text that the one before it wrote or edited.

generation 0 learns human text. Then, generation by generation and seed by seed:
    replace:     text written by the last model ── train ── evaluate
    accumulate:  human text and all text written so far, in equal parts ── train ── evaluate
    edit:        human text, edited by the last model again and again ── train ── evaluate
Every model starts from random weights and sees equally many tokens.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.fingerprint import Stage
from experiments.plans.pretrain import Arms, seeds
from experiments.schema import Config
from experiments.stages import edit, score, synthesize
from experiments.stages.mixture import arm_name
from toedit.errors import UserError
from toedit.priors import PriorConfig

START = arm_name(0.0)
"""Generation 0 is the human arm of the ratios."""


def plan(config: Config) -> list[Stage]:
    """Stages for every mode, generation and seed."""
    if config.synthesis.mode != "continue":
        raise UserError(
            "plan=collapse has models write that cannot be asked: set synthesis.mode=continue"
        )
    arms = Arms(config)
    prior = replace(config.prior, max_length=config.train.block_size, overlap=0)
    for seed in seeds(config):
        first = arms.add(f"{START}-seed{seed}", arms.text, 0.0, seed)
        for mode in config.collapse.modes:
            _MODES[mode](config, arms, prior, first, seed)
    return arms.stages


def _replace(config: Config, arms: Arms, prior: PriorConfig, first: Stage, seed: int) -> None:
    last, epochs = first, config.collapse.epochs
    for number in range(1, config.collapse.generations + 1):
        name = f"replace{number}-seed{seed}"
        written = _write(config, arms, prior, last, name, seed, number)
        last = arms.add(name, written, 1.0, seed, epochs)


def _accumulate(config: Config, arms: Arms, prior: PriorConfig, first: Stage, seed: int) -> None:
    last, written, epochs = first, [], config.collapse.epochs
    for number in range(1, config.collapse.generations + 1):
        name = f"accumulate{number}-seed{seed}"
        written.append(_write(config, arms, prior, last, name, seed, number))
        share = number / (number + 1)
        last = arms.add(name, arms.pool, share, seed, epochs, written)


def _edit(config: Config, arms: Arms, prior: PriorConfig, first: Stage, seed: int) -> None:
    last, text = first, arms.pool
    for number in range(1, config.collapse.generations + 1):
        name = f"edit{number}-seed{seed}"
        scores = score.stage(text, prior, config.score, config.engine, arms.size, last, name)
        text = edit.stage(scores, name, config.edit, seed, config.engine, number)
        arms.stages += [scores, text]
        last = arms.add(name, text, 0.0, seed, config.collapse.epochs)


_MODES = {"replace": _replace, "accumulate": _accumulate, "edit": _edit}


def _write(
    config: Config,
    arms: Arms,
    prior: PriorConfig,
    trained: Stage,
    name: str,
    seed: int,
    generation: int,
) -> Stage:
    """Text written by a model after the beginnings of human training text."""
    written = synthesize.stage(
        arms.pool, name, prior, config.synthesis, seed, config.engine, trained, generation
    )
    arms.stages.append(written)
    return written
