"""Train models from scratch on human and synthetic text at several ratios; evaluate by domain.

text ──┬── tokenizer ─┬─ tokens ── mixture (ratio, seed) ── train ── evaluate on held-out text
       └──────────────┘
"""

from collections.abc import Sequence

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
from experiments.stages.mixture import MixtureStage, arm_name
from toedit.errors import UserError


def plan(config: Config) -> list[Stage]:
    """Stages for every ratio and seed."""
    arms = Arms(config)
    for ratio in config.mixture.ratios:
        for seed in seeds(config):
            arms.add(arm_name(ratio), arms.texts, ratio, seed)
    return arms.stages


def seeds(config: Config) -> list[int]:
    """The seeds of an experiment."""
    return config.seeds or [config.seed]


def seeded(arm: str, seed: int) -> str:
    """Name of a stage of an arm under a seed."""
    return f"{arm}-seed{seed}"


def texts_of(config: Config) -> list[Stage]:
    """Human and synthetic text: one stage of embedded text, with its held-out text, or one stage
    per source."""
    if config.mixture.sources:
        return [sources.stage(source, config.engine) for source in config.mixture.sources]
    benchmarks = [task.name for task in evaluate.tasks(config.eval) if task.embedded]
    return [domains.stage(config.mixture, benchmarks)]


class Arms:
    """Models trained from scratch on text that shares a corpus, a tokenizer and an evaluation.

    Attributes:
        stages: all stages added so far, inputs first.
        texts: human and synthetic text (:func:`texts_of`).
        heldout: held-out text.
        size: tokens of a mixture.

    Raises:
        UserError: the model does not start from random weights, or lengths do not fit.
    """

    def __init__(self, config: Config) -> None:
        if config.model.scratch is None:
            raise UserError(
                f"plan={config.plan} trains from random weights: set model.scratch, model=gpt2_4l"
            )
        train_config, context = config.train, config.model.scratch.context
        if not config.eval.window <= train_config.block_size <= context:
            raise UserError(
                f"eval.window={config.eval.window}, train.block_size={train_config.block_size} and "
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
            self._tokenizer = tokenizer.stage(
                self.texts, mixed.vocabulary, mixed.tokenizer_characters
            )
        else:
            self._tokenizer = tokenizer.pretrained(
                mixed.tokenizer, mixed.tokenizer_revision, config.model.scratch.vocabulary
            )
        trained = train_config.steps * train_config.batch_tokens
        self.size = min(mixed.tokens or trained, trained)
        if self.size % train_config.batch_tokens:
            raise UserError(
                f"mixture.tokens={self.size} must be a multiple of train.batch_tokens="
                f"{train_config.batch_tokens}, else the last step of an epoch would be smaller"
            )
        self.stages = list(dict.fromkeys([*self.texts, self.heldout, self._tokenizer]))
        self._tokens: dict[str, Stage] = {}

    def add(
        self,
        arm: str,
        texts: Sequence[Stage],
        ratio: float,
        seed: int,
        epochs: int | None = None,
        redrawn: Sequence[Stage] = (),
        evaluated: bool = True,
    ) -> Stage:
        """Add the mixtures, the training and the evaluations of an arm under a seed; return the
        training.

        Args:
            ratio: share of synthetic tokens.
            epochs: how often text may be repeated; None for ``mixture.epochs``.
            redrawn: texts that replace ``texts`` in the epochs after the first.
            evaluated: whether the model is evaluated, at the end and at checkpoints.
        """
        config, settings = self.config, self._mixture(ratio, seed, epochs)
        mixed = self._mix(arm, texts, settings)
        others = [
            self._mix(arm, [text], settings, f"-epoch{number}")
            for number, text in enumerate(redrawn, 2)
        ]
        trained = train.stage(
            mixed, mixed.name, config.model, config.train, seed, config.launch, arm=arm,
            redrawn=others,
        )  # fmt: skip
        self.stages.append(trained)
        if not evaluated:
            return trained
        final = config.eval
        partial = final if final.benchmarks_at_checkpoints else final.without_benchmarks()
        evaluations = [(mixed.name, final, None)] + [
            (f"{mixed.name}-after{tokens}", partial, tokens) for tokens in config.train.keep_tokens
        ]
        self.stages += [
            evaluate.stage(self.heldout, name, evaluation, config.model, trained, after)
            for name, evaluation, after in evaluations
        ]
        return trained

    def scored_text(
        self, domains: list[str] | None = None, size: int | None = None
    ) -> tuple[Stage, Stage]:
        """Add and return the human text that the first seed draws, and its scores by the prior: one
        scoring pass for all seeds.

        ``domains`` and ``size`` (in tokens) are those of the mixtures if they are None.
        """
        config = self.config
        settings = self._mixture(0.0, seeds(config)[0])
        if domains:
            settings.domains = sorted(domains)
        settings.tokens = size or self.size
        text = select.stage(
            self.texts, select.LEARNED, select.LEARNED, config.selection, 0,
            mixture=self._mix("drawn", self.texts, settings),
        )  # fmt: skip
        scores = score.stage(text, config.prior, config.score, config.engine)
        self.stages += [text, scores]
        return text, scores

    def _mixture(self, ratio: float, seed: int, epochs: int | None = None) -> MixtureStage:
        mixed, block_size = self.config.mixture, self.config.train.block_size
        domains, epochs = sorted(mixed.domains), epochs or mixed.epochs
        return MixtureStage(ratio, domains, self.size, block_size, seed, epochs)

    def _mix(
        self, arm: str, texts: Sequence[Stage], settings: MixtureStage, ending: str = ""
    ) -> Stage:
        """Add a mixture alone."""
        tokenized = [self._tokenized(text) for text in texts]
        name = seeded(arm, settings.seed) + ending
        mixed = mixture.stage(tokenized, self._tokenizer, name, settings, arm)
        self.stages.append(mixed)
        return mixed

    def _tokenized(self, text: Stage) -> Stage:
        """The tokens of a text, added once for all arms."""
        if text.fingerprint not in self._tokens:
            config, overlaps = self.config, None
            others = any(not task.embedded for task in evaluate.tasks(config.eval))
            if others or (config.mixture.sources and config.eval.suite):
                # Embedded text was searched for embedded items when it was made.
                overlaps = overlap.stage(text, config.eval, config.engine)
                self.stages.append(overlaps)
            removed = overlaps if config.mixture.remove_overlap else None
            tokenized = tokens.stage(text, self._tokenizer, config.engine, removed)
            self._tokens[text.fingerprint] = tokenized
            self.stages.append(tokenized)
        return self._tokens[text.fingerprint]
