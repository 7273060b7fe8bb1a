"""Train models from scratch on human text, original and edited by a pretrained prior.

text ── mixture (first seed) ── select its documents
           ├── mixture (seed) ── train source ── evaluate
           └── score ──┬── edit (seed) ── mixture ── train edited ── evaluate
                       ├── random edits (seed) ── mixture ── train random_edit ── evaluate
                       └── edit (seed, epoch) ── mixtures ── train redrawn ── evaluate

The controls are random_edit, with as many edits at random positions, and redrawn, with new edits in
every epoch. The first seed draws the documents and every seed learns the same ones, so that one
scoring pass serves all seeds; a seed decides weights, order of documents and blocks, and edits. The
arms of a seed use their documents in one order and learn equally many tokens: the first of every
domain's stream, so that longer edited text means fewer of the last documents.
"""

import math
from dataclasses import replace

from experiments.config import RANDOM_EDIT, REDRAWN, Config
from experiments.config.limits import require_plan
from experiments.plans.pretrain import Arms, seeded, seeds
from experiments.stage import Stage
from experiments.stages import edit
from toedit.errors import UserError, require_choice

SOURCE, EDITED = "source", "edited"


def plan(config: Config) -> list[Stage]:
    """Stages for the arms source and edited and for the controls, by seed."""
    for control in config.controls:
        require_choice(f"plan={config.plan}: controls", control, (RANDOM_EDIT, REDRAWN))
    arms, epochs = Arms(_human_only(config)), config.mixture.epochs
    trained_tokens = config.train.steps * config.train.batch_tokens
    human, scores = arms.scored_text()

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
        arms.add(SOURCE, [human], 0.0, seed)
        once = edited(EDITED, seed)
        # If edits make a text shorter, its beginning is repeated to fill the mixture.
        arms.add(EDITED, [once], 0.0, seed, epochs + 1)
        if RANDOM_EDIT in config.controls:
            arms.add(RANDOM_EDIT, [edited(RANDOM_EDIT, seed, 0, "random")], 0.0, seed, epochs + 1)
        if REDRAWN in config.controls:
            passes = math.ceil(trained_tokens / arms.size)
            require_plan(len(seeds(config)), "train.tokens/mixture.tokens", passes)
            others = [edited(REDRAWN, seed, epoch, ending=f"-epoch{epoch + 1}")
                      for epoch in range(1, passes)]  # fmt: skip
            arms.add(REDRAWN, [once], 0.0, seed, epochs + 1, others)
    return arms.stages


def _human_only(config: Config) -> Config:
    """The configuration without its sources of synthetic text, which no arm reads.

    Raises:
        UserError: all sources are synthetic.
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
