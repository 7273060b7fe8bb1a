"""Models from scratch on human text, as it is and edited by a pretrained prior.

text ── mixture (first seed) ── select its documents
           ├── mixture (seed) ── train source ── evaluate
           └── score ── edit (seed) ── mixture ── train edited ── evaluate

The first seed draws the documents and every seed learns the same, so that one scoring pass serves
them all; a seed still decides weights, order of documents and blocks, and the edits. The two arms
of a seed take their documents in one order and as many tokens in as many steps: the first of every
domain's stream, so where edits make a text longer, less of its last documents is learned.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.costs.work import CHARACTERS_PER_OWN_TOKEN, CHARACTERS_PER_TOKEN
from experiments.fingerprint import Stage
from experiments.plans.pretrain import Arms, seeded, seeds
from experiments.schema import Config
from experiments.stages import edit, score, select
from toedit.errors import UserError

SOURCE, EDITED = "source", "edited"


def plan(config: Config) -> list[Stage]:
    """Stages for the arms source and edited, by seed."""
    arms, epochs = Arms(_human_alone(config)), config.mixture.epochs
    drawn = arms.mix("drawn", arms.texts, 0.0, seeds(config)[0], epochs)
    human = select.stage(
        arms.texts, select.LEARNED, select.LEARNED, config.selection, 0, mixture=drawn
    )
    size = float(arms.size)
    if config.mixture.tokenizer is None:  # its tokens are shorter than the prior's
        size *= CHARACTERS_PER_OWN_TOKEN / CHARACTERS_PER_TOKEN
    scores = score.stage(human, config.prior, config.score, config.engine, size)
    arms.stages += [human, scores]
    for seed in seeds(config):
        arms.add(SOURCE, [human], 0.0, seed, epochs)
        name = seeded(EDITED, seed)
        edited = edit.stage(scores, name, config.edit, seed, config.engine, arm=EDITED)
        arms.stages.append(edited)
        # Where edits make a text shorter, its beginning is taken once more for what is missing.
        arms.add(EDITED, [edited], 0.0, seed, epochs + 1)
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
