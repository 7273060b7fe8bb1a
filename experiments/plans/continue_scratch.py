"""A small model from scratch, trained further on a domain: its text as it is and edited.

text ──┬── mixture (seed) ── train base ── evaluate
       └── mixture of the domain (first seed) ── select its documents
              ├── base ── train source ── evaluate
              ├── score ── edit (seed); base ── train edited ── evaluate
              └── controls, as in train_on_edits

The model that edits is another one than the model that learns, as in the paper. The base is the
model of :mod:`experiments.plans.pretrain` without synthetic text, so it may have seen some of the
domain before; held-out text is seen by none. Benchmarks decide which documents are left out of the
text, as there, so that the base is shared; the arms are evaluated on held-out text alone.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.fingerprint import Stage
from experiments.plans.pretrain import Arms, prior_tokens, seeded, seeds
from experiments.plans.train_on_edits import trained
from experiments.schema import NO_EDIT, REDRAWN, Config
from experiments.stages import evaluate, score, select
from toedit.errors import UserError


def plan(config: Config) -> list[Stage]:
    """Stages for the base and the arms of every seed.

    Raises:
        UserError: the configuration cannot be carried out.
    """
    for control in (NO_EDIT, REDRAWN):
        if control in config.controls:
            raise UserError(f"plan={config.plan}: controls={control} is no part of it")
    if config.continued.train.keep_tokens:
        raise UserError(f"plan={config.plan}: continued.train.keep_tokens is not evaluated")
    arms, further = Arms(config), config.continued
    drawn = arms.mix(
        "drawn", arms.texts, 0.0, seeds(config)[0], domains=further.domains, size=further.tokens
    )
    text = select.stage(
        arms.texts, select.LEARNED, select.LEARNED, config.selection, 0, mixture=drawn
    )
    size = prior_tokens(config, further.tokens)
    scores = score.stage(text, config.prior, config.score, config.engine, size)
    arms.stages += [text, scores]
    alone = replace(config, eval=replace(config.eval, suite=None))
    for seed in seeds(config):
        base = arms.train("base", arms.texts, 0.0, seed, config.mixture.epochs)
        arms.stages += [
            evaluate.stage(arms.heldout, base.name, alone.eval, config.model, base),
            *trained(alone, further.train, text, scores, arms.heldout, seed, seeded("", seed),
                     start=base),
        ]  # fmt: skip
    return arms.stages
