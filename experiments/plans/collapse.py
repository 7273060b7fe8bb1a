"""Iterated training: each generation learns text that the previous model wrote or edited.

Generation 0 learns human text. Then, for each generation and seed:
    replace:     text written by the last model ── train ── evaluate
    accumulate:  human text and all text written so far ── train ── evaluate
    edit:        human text, edited once more by the last model ── train ── evaluate
The human text is the text that generation 0 learned. In generation g of ``accumulate`` its share is
1 in g + 1; written texts share the rest in proportion to their length. Every model starts from
random weights and sees equally many tokens.
"""

from dataclasses import dataclass

from experiments.config import Config
from experiments.plans.pretrain import Arms, seeded, seeds
from experiments.stage import Stage
from experiments.stages import edit, score, select, synthesize
from experiments.stages.mixture import arm_name
from toedit.errors import UserError
from toedit.priors import PriorConfig


def plan(config: Config) -> list[Stage]:
    """Stages for every mode, generation and seed."""
    if config.synthesis.mode != "continue":
        raise UserError(
            "plan=collapse has models write that cannot be asked: set synthesis.mode=continue"
        )
    arms = Arms(config)
    prior = score.transformers_prior(config)
    for seed in seeds(config):
        first = arms.add(arm_name(0.0), arms.texts, 0.0, seed)
        human = select.stage(
            arms.texts, seeded(select.LEARNED, seed), select.LEARNED, config.selection, 0,
            mixture=first.inputs["text"], arm=select.LEARNED,
        )  # fmt: skip
        arms.stages.append(human)
        generations = _Generations(config, arms, prior, first, human, seed)
        for mode in config.collapse.modes:
            getattr(generations, mode)()
    return arms.stages


@dataclass
class _Generations:
    """Adds the generations after the first, of one seed; one method per mode."""

    config: Config
    arms: Arms
    prior: PriorConfig
    first: Stage
    human: Stage
    seed: int

    def replace(self) -> None:
        model = self.first
        for number, arm in self._numbered("replace"):
            model = self._train(arm, [self._written(model, arm, number)], 1.0)

    def accumulate(self) -> None:
        model, texts = self.first, [self.human]
        for number, arm in self._numbered("accumulate"):
            texts.append(self._written(model, arm, number))
            model = self._train(arm, texts, number / (number + 1))

    def edit(self) -> None:
        model, text, config = self.first, self.human, self.config
        for number, arm in self._numbered("edit"):
            name = seeded(arm, self.seed)
            scores = score.stage(text, self.prior, config.score, config.engine, model, name)
            text = edit.stage(scores, name, config.edit, self.seed, config.engine, number, arm=arm)
            self.arms.stages += [scores, text]
            model = self._train(arm, [text], 0.0)

    def _numbered(self, mode: str) -> list[tuple[int, str]]:
        """Numbers and arms of the generations of a mode."""
        numbers = range(1, self.config.collapse.generations + 1)
        return [(number, f"{mode}{number}") for number in numbers]

    def _train(self, arm: str, texts: list[Stage], ratio: float) -> Stage:
        return self.arms.add(arm, texts, ratio, self.seed, self.config.collapse.epochs)

    def _written(self, trained: Stage, arm: str, generation: int) -> Stage:
        """Text that a model writes after the beginnings of human training text."""
        written = synthesize.stage(
            self.human, seeded(arm, self.seed), self.prior, self.config.synthesis, self.seed,
            self.config.engine, trained, generation, arm,
        )  # fmt: skip
        for stage in self.arms.stages:  # the first generation writes the same in every mode
            if (stage.kind, stage.fingerprint) == (written.kind, written.fingerprint):
                return stage
        self.arms.stages.append(written)
        return written
