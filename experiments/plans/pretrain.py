"""Models from scratch on human and synthetic text at several ratios, evaluated by domain.

corpus ──┬── tokenizer ──┬── mixture (a ratio) ── train (a seed) ── evaluate
         └───────────────┘
"""

from __future__ import annotations

from experiments.fingerprint import Stage
from experiments.schema import Config
from experiments.stages import domains, evaluate, mixture, tokenizer, train
from experiments.stages.mixture import arm_name
from toedit.errors import UserError


def plan(config: Config) -> list[Stage]:
    """Stages for every ratio and seed."""
    if config.model.scratch is None:
        raise UserError(
            "plan=pretrain trains from random weights: set model.scratch, model=gpt2_4l"
        )
    mixed, steps = config.mixture, config.train
    text = domains.stage(mixed)
    words = tokenizer.stage(text, mixed.vocabulary, mixed.tokenizer_characters)
    stages = [text, words]
    for ratio in mixed.ratios:
        tokens = mixture.stage(
            text, words, ratio, mixed.domains, mixed.tokens or steps.steps * steps.batch_tokens,
            steps.block_size, mixed.epochs,
        )  # fmt: skip
        stages.append(tokens)
        for seed in seeds(config):
            name = f"{arm_name(ratio)}-seed{seed}"
            trained = train.stage(tokens, name, config.model, steps, seed)
            scored = evaluate.stage(text, name, config.eval, config.model, trained)
            stages += [trained, scored]
    return stages


def seeds(config: Config) -> list[int]:
    """The seeds of an experiment."""
    return config.seeds or [config.seed]
