"""Models from scratch on human and synthetic text at several ratios, evaluated by domain.

corpus ──┬── tokenizer ──┬── mixture (ratio, seed) ── train ── evaluate
         └───────────────┘
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments.fingerprint import Stage
from experiments.schema import Config
from experiments.stages import domains, evaluate, mixture, tokenizer, train
from experiments.stages.mixture import arm_name
from toedit.errors import UserError


def plan(config: Config) -> list[Stage]:
    """Stages for every ratio and seed."""
    arms = Arms(config)
    for ratio in config.mixture.ratios:
        for seed in seeds(config):
            arms.add(f"{arm_name(ratio)}-seed{seed}", arms.text, ratio, seed, config.mixture.epochs)
    return arms.stages


def seeds(config: Config) -> list[int]:
    """The seeds of an experiment."""
    return config.seeds or [config.seed]


class Arms:
    """Models trained from scratch on text that shares a corpus, a tokenizer and an evaluation.

    Attributes:
        stages: all so far, inputs first.
        text: the corpus.
        size: tokens of a mixture.

    Raises:
        UserError: the configuration does not train from random weights, or lengths do not fit.
    """

    def __init__(self, config: Config) -> None:
        if config.model.scratch is None:
            raise UserError(
                f"plan={config.plan} trains from random weights: set model.scratch, model=gpt2_4l"
            )
        steps, context = config.train, config.model.scratch.context
        if not config.eval.window <= steps.block_size <= context:
            raise UserError(
                f"eval.window={config.eval.window}, train.block_size={steps.block_size} and "
                f"model.scratch.context={context} must not fall: positions beyond the block are "
                "never trained"
            )
        if config.model.lora_rank:
            raise UserError(f"plan={config.plan} trains every weight: model.lora_rank must be 0")
        self.config = config
        benchmarks = [task.name for task in evaluate.tasks(config.eval) if task.embedded]
        mixed = config.mixture
        self.text = domains.stage(mixed, benchmarks)
        self.words = tokenizer.stage(self.text, mixed.vocabulary, mixed.tokenizer_characters)
        self.size = mixed.tokens or steps.steps * steps.batch_tokens
        self.stages = [self.text, self.words]

    def add(
        self,
        name: str,
        text: Stage,
        ratio: float,
        seed: int,
        epochs: int = 1,
        more: Sequence[Stage] = (),
    ) -> Stage:
        """Adds the mixture, the training and the evaluations of an arm.

        Args:
            name: of the arm, with its seed.
            text: what it learns from.
            ratio: share of synthetic tokens.
            seed: of the run.
            epochs: how often text may be repeated.
            more: further text.

        Returns:
            The training.
        """
        config = self.config
        tokens = mixture.stage(
            text, self.words, name, ratio, config.mixture.domains, self.size,
            config.train.block_size, seed, epochs, more,
        )  # fmt: skip
        trained = train.stage(tokens, name, config.model, config.train, seed)
        self.stages += [tokens, trained]
        self.stages += [
            evaluate.stage(self.text, part, config.eval, config.model, trained, after)
            for part, after in [
                (name, None),
                *((f"{name}-after{tokens}", tokens) for tokens in config.train.keep_tokens),
            ]
        ]
        return trained
