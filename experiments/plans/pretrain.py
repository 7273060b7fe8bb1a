"""Models from scratch on human and synthetic text at several ratios, evaluated by domain.

text ──┬── tokenizer ─┬─ tokens ── mixture (ratio, seed) ── train ── evaluate on held-out text
       └──────────────┘
"""

from collections.abc import Sequence
from dataclasses import replace

from experiments.config import Config
from experiments.stage import Stage
from experiments.stages import (
    domains,
    evaluate,
    mixture,
    overlap,
    score,
    select,
    sources,
    tokenizer,
    tokens,
    train,
)
from experiments.stages.mixture import arm_name
from toedit.errors import UserError


def plan(config: Config) -> list[Stage]:
    """Stages for every ratio and seed."""
    arms = Arms(config)
    for ratio in config.mixture.ratios:
        for seed in seeds(config):
            arms.add(arm_name(ratio), arms.texts, ratio, seed, config.mixture.epochs)
    return arms.stages


def seeds(config: Config) -> list[int]:
    """The seeds of an experiment."""
    return config.seeds or [config.seed]


def seeded(arm: str, seed: int) -> str:
    """Name of a stage of an arm under a seed."""
    return f"{arm}-seed{seed}"


def texts_of(config: Config) -> list[Stage]:
    """Human and synthetic text, in one stage (embedded, with its held-out text) or in one a
    source."""
    if config.mixture.sources:
        return [sources.stage(source, config.engine) for source in config.mixture.sources]
    benchmarks = [task.name for task in evaluate.tasks(config.eval) if task.embedded]
    return [domains.stage(config.mixture, benchmarks)]


class Arms:
    """Models trained from scratch on text that shares a corpus, a tokenizer and an evaluation.

    Attributes:
        stages: all so far, inputs first.
        texts: human and synthetic text, in one stage (embedded) or in one a source.
        heldout: held-out text.
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
        mixed = config.mixture
        mixed.require_trainable()
        self.texts = texts_of(config)
        self.heldout = self.texts[0]
        if mixed.sources:
            self.heldout = sources.held_out(mixed.heldout, mixed.heldout_characters)
        if mixed.tokenizer is None:
            self._words = tokenizer.stage(self.texts, mixed.vocabulary, mixed.tokenizer_characters)
        else:
            rows = config.model.scratch.vocabulary
            self._words = tokenizer.given(mixed.tokenizer, mixed.tokenizer_revision, rows)
        trained = steps.steps * steps.batch_tokens
        self.size = min(mixed.tokens or trained, trained)
        if self.size % steps.batch_tokens:
            raise UserError(
                f"mixture.tokens={self.size} must be a multiple of train.batch_tokens="
                f"{steps.batch_tokens}, else the last step of an epoch would be smaller"
            )
        self.stages = list(dict.fromkeys([*self.texts, self.heldout, self._words]))
        self._tokens: dict[str, Stage] = {}

    def add(
        self,
        arm: str,
        texts: Sequence[Stage],
        ratio: float,
        seed: int,
        epochs: int = 1,
        redrawn: Sequence[Stage] = (),
        evaluated: bool = True,
    ) -> Stage:
        """Adds the mixtures, the training and, where asked for, the evaluations of an arm.

        Args:
            arm: its name.
            texts: what it learns from.
            ratio: share of synthetic tokens.
            seed: of the run.
            epochs: how often text may be repeated.
            redrawn: what is learned in the epochs after the first, in place of the texts.
            evaluated: whether the model is evaluated, at the end and on the way.

        Returns:
            The training.
        """
        config = self.config
        mixed = self.mix(arm, texts, ratio, seed, epochs)
        others = [
            self.mix(arm, [text], ratio, seed, epochs, f"-epoch{number}")
            for number, text in enumerate(redrawn, 2)
        ]
        name = mixed.name
        trained = train.stage(
            mixed, name, config.model, config.train, seed, config.launch, arm=arm, redrawn=others
        )
        self.stages.append(trained)
        if not evaluated:
            return trained
        whole = config.eval
        text = whole if whole.benchmarks_at_checkpoints else replace(whole, suite=None)
        self.stages += [
            evaluate.stage(self.heldout, part, evaluation, config.model, trained, after)
            for part, evaluation, after in [
                (name, whole, None),
                *((f"{name}-after{number}", text, number) for number in config.train.keep_tokens),
            ]
        ]
        return trained

    def drawn(
        self, domains: list[str] | None = None, size: int | None = None
    ) -> tuple[Stage, Stage]:
        """Adds the human text that the first seed draws, and the prior's scores of it: one scoring
        pass for all seeds.

        Args:
            domains: of the text; None for those of the mixtures.
            size: its tokens; None for those of a mixture.

        Returns:
            The text and its scores.
        """
        config = self.config
        mixed = self.mix(
            "drawn", self.texts, 0.0, seeds(config)[0], config.mixture.epochs, domains=domains,
            size=size,
        )  # fmt: skip
        text = select.stage(
            self.texts, select.LEARNED, select.LEARNED, config.selection, 0, mixture=mixed
        )
        scores = score.stage(text, config.prior, config.score, config.engine)
        self.stages += [text, scores]
        return text, scores

    def mix(
        self,
        arm: str,
        texts: Sequence[Stage],
        ratio: float,
        seed: int,
        epochs: int = 1,
        ending: str = "",
        domains: list[str] | None = None,
        size: int | None = None,
    ) -> Stage:
        """Adds the mixture alone; of other domains and of another size where these are given."""
        config = self.config
        mixed = mixture.stage(
            [self._cut(text) for text in texts], self._words, seeded(arm, seed) + ending, ratio,
            domains or config.mixture.domains, size or self.size, config.train.block_size, seed,
            epochs, arm,
        )  # fmt: skip
        self.stages.append(mixed)
        return mixed

    def _cut(self, text: Stage) -> Stage:
        """The tokens of a text, once for all arms."""
        if text.fingerprint not in self._tokens:
            config, found = self.config, None
            others = any(not task.embedded for task in evaluate.tasks(config.eval))
            if others or (config.mixture.sources and config.eval.suite):
                # Embedded text was searched for embedded items when it was made.
                found = overlap.stage(text, config.eval, config.engine)
                self.stages.append(found)
            left_out = found if config.mixture.remove_overlap else None
            cut = tokens.stage(text, self._words, config.engine, left_out)
            self._tokens[text.fingerprint] = cut
            self.stages.append(cut)
        return self._tokens[text.fingerprint]
