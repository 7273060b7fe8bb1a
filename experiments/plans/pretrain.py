"""Models from scratch on human and synthetic text at several ratios, evaluated by domain.

corpus ──┬── tokenizer ──┬── mixture (ratio, seed) ── train ── evaluate
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
    if not config.eval.window <= steps.block_size <= config.model.scratch.context:
        raise UserError(
            f"eval.window={config.eval.window}, train.block_size={steps.block_size} and "
            f"model.scratch.context={config.model.scratch.context} must not fall: positions beyond "
            "the block are never trained"
        )
    if config.model.lora_rank:
        raise UserError("plan=pretrain trains every weight: model.lora_rank must be 0")
    benchmarks = [task.name for task in evaluate.tasks(config.eval) if task.embedded]
    text = domains.stage(mixed, benchmarks)
    words = tokenizer.stage(text, mixed.vocabulary, mixed.tokenizer_characters)
    stages = [text, words]
    size = mixed.tokens or steps.steps * steps.batch_tokens
    for ratio in mixed.ratios:
        for seed in seeds(config):
            name = f"{arm_name(ratio)}-seed{seed}"
            tokens = mixture.stage(
                text, words, name, ratio, mixed.domains, size, steps.block_size, seed, mixed.epochs
            )
            stages.append(tokens)
            trained = train.stage(tokens, name, config.model, steps, seed)
            scored = evaluate.stage(text, name, config.eval, config.model, trained)
            stages += [trained, scored]
    return stages


def seeds(config: Config) -> list[int]:
    """The seeds of an experiment."""
    return config.seeds or [config.seed]
