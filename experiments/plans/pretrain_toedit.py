"""Models from scratch on human text, as it is and edited by a pretrained prior.

text ── mixture (first seed) ── select its documents
           ├── mixture (seed) ── train source ── evaluate
           └── score ──┬── edit (seed) ── mixture ── train edited ── evaluate
                       ├── random edits (seed) ── mixture ── train random_edit ── evaluate
                       └── edit (seed, epoch) ── mixtures ── train redrawn ── evaluate

The controls are random_edit, as many edits anywhere, and redrawn, whose every epoch has edits of
its own. The first seed draws the documents and every seed learns the same, so that one scoring pass
serves them all; a seed still decides weights, order of documents and blocks, and the edits. The
arms of a seed take their documents in one order and as many tokens in as many steps: the first of
every domain's stream, so where edits make a text longer, less of its last documents is learned.
"""

import math
from dataclasses import replace

from experiments.config import RANDOM_EDIT, REDRAWN, Config
from experiments.plans.pretrain import Arms, seeded, seeds
from experiments.stage import Stage
from experiments.stages import edit
from toedit.errors import UserError, require_choice

SOURCE, EDITED = "source", "edited"


def plan(config: Config) -> list[Stage]:
    """Stages for the arms source and edited and for controls, by seed.

    Raises:
        UserError: an unknown control, or no human text.
    """
    for control in config.controls:
        require_choice(f"plan={config.plan}: controls", control, (RANDOM_EDIT, REDRAWN))
    arms, epochs = Arms(_human_alone(config)), config.mixture.epochs
    trained = config.train.steps * config.train.batch_tokens
    human, scores = arms.drawn()

    def edited(
        arm: str, seed: int, generation: int = 0, control: str | None = None, ending: str = ""
    ) -> Stage:
        text = edit.stage(
            scores, seeded(arm, seed) + ending, config.edit, seed, config.engine, generation,
            control, arm,
        )  # fmt: skip
        arms.stages.append(text)
        return text

    for seed in seeds(config):
        arms.add(SOURCE, [human], 0.0, seed, epochs)
        once = edited(EDITED, seed)
        # Where edits make a text shorter, its beginning is taken once more for what is missing.
        arms.add(EDITED, [once], 0.0, seed, epochs + 1)
        if RANDOM_EDIT in config.controls:
            arms.add(RANDOM_EDIT, [edited(RANDOM_EDIT, seed, 0, "random")], 0.0, seed, epochs + 1)
        if REDRAWN in config.controls:
            others = [edited(REDRAWN, seed, epoch, ending=f"-epoch{epoch + 1}")
                      for epoch in range(1, math.ceil(trained / arms.size))]  # fmt: skip
            arms.add(REDRAWN, [once], 0.0, seed, epochs + 1, others)
    return arms.stages


def _human_alone(config: Config) -> Config:
    """The configuration without sources that no arm reads.

    Raises:
        UserError: there are sources, but none of human text.
    """
    mixed = config.mixture
    human = [source for source in mixed.sources if source.kind == "human"]
    if mixed.sources and not human:
        raise UserError(
            f"plan={config.plan} learns human text, but mixture.sources holds only "
            f"{', '.join(source.name for source in mixed.sources)} of kind synthetic; add one of "
            "kind human"
        )
    return replace(config, mixture=replace(mixed, sources=human, ratios=[0.0]))
