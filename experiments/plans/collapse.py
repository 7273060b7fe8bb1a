"""Iterated training: each generation learns from text that the one before it wrote or edited.

generation 0 learns human text. Then, generation by generation and seed by seed:
    replace:     text written by the last model ── train ── evaluate
    accumulate:  human text and all text written so far ── train ── evaluate
    edit:        human text, edited by the last model again and again ── train ── evaluate
The human text is that which generation 0 learned. Beside the text of g generations it has one part
in g + 1; what was written shares the rest in proportion to its length. Every model starts from
random weights and sees equally many tokens.
"""

from dataclasses import dataclass, replace

from experiments.config import Config
from experiments.plans.pretrain import Arms, seeded, seeds
from experiments.stage import Stage
from experiments.stages import edit, score, select, synthesize
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
    prior = replace(score.transformers_prior(config), max_length=config.train.block_size, overlap=0)
    for seed in seeds(config):
        first = arms.add(START, arms.texts, 0.0, seed, config.mixture.epochs)
        human = select.stage(
            arms.texts, seeded(select.LEARNED, seed), select.LEARNED, config.selection, 0,
            mixture=first.inputs["text"], arm=select.LEARNED,
        )  # fmt: skip
        arms.stages.append(human)
        line = _Line(config, arms, prior, first, human, seed)
        for mode in config.collapse.modes:
            getattr(line, mode)()
    return arms.stages


@dataclass
class _Line:
    """The generations after the first, of one seed."""

    config: Config
    arms: Arms
    prior: PriorConfig
    first: Stage
    human: Stage
    seed: int

    def _generations(self, mode: str) -> list[tuple[int, str]]:
        numbers = range(1, self.config.collapse.generations + 1)
        return [(number, f"{mode}{number}") for number in numbers]

    def replace(self) -> None:
        last = self.first
        for number, arm in self._generations("replace"):
            last = self._learn(arm, self._written(last, arm, number), 1.0)

    def accumulate(self) -> None:
        last, written = self.first, []
        for number, arm in self._generations("accumulate"):
            written.append(self._written(last, arm, number))
            last = self._learn(arm, self.human, number / (number + 1), *written)

    def edit(self) -> None:
        last, text, config = self.first, self.human, self.config
        for number, arm in self._generations("edit"):
            name = seeded(arm, self.seed)
            scores = score.stage(text, self.prior, config.score, config.engine, last, name)
            text = edit.stage(
                scores, name, config.edit, self.seed, config.engine, number, arm=arm
            )  # fmt: skip
            self.arms.stages += [scores, text]
            last = self._learn(arm, text, 0.0)

    def _learn(self, arm: str, text: Stage, ratio: float, *more: Stage) -> Stage:
        return self.arms.add(arm, [text, *more], ratio, self.seed, self.config.collapse.epochs)

    def _written(self, trained: Stage, arm: str, generation: int) -> Stage:
        """Text written by a model after the beginnings of human training text."""
        written = synthesize.stage(
            self.human, seeded(arm, self.seed), self.prior, self.config.synthesis, self.seed,
            self.config.engine, trained, generation, arm,
        )  # fmt: skip
        for stage in self.arms.stages:  # the first generation writes the same in every mode
            if (stage.kind, stage.fingerprint) == (written.kind, written.fingerprint):
                return stage
        self.arms.stages.append(written)
        return written
