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

from dataclasses import replace

from experiments.config import LABEL_SMOOTHING, RANDOM_EDIT, Config
from experiments.plans.pretrain import Arms, seeded, seeds
from experiments.plans.train_on_edits import trained
from experiments.stage import Stage
from experiments.stages import evaluate
from toedit.errors import UserError, require_choice


def plan(config: Config) -> list[Stage]:
    """Stages for the base and the arms of every seed.

    Raises:
        UserError: the configuration cannot be carried out.
    """
    _require(config)
    arms, further = Arms(config), config.continued
    text, scores = arms.drawn(further.domains, further.tokens)
    alone = replace(config, eval=replace(config.eval, suite=None))
    for seed in seeds(config):
        base = arms.add("base", arms.texts, 0.0, seed, config.mixture.epochs, evaluated=False)
        arms.stages += [
            evaluate.stage(arms.heldout, base.name, alone.eval, config.model, base),
            *trained(alone, further.train, text, scores, arms.heldout, seed, seeded("", seed),
                     start=base),
        ]  # fmt: skip
    return arms.stages


def _require(config: Config) -> None:
    """Refuses what this plan cannot carry out, before anything is scored.

    Raises:
        UserError: a control, a checkpoint or a length that does not fit.
    """
    for control in config.controls:
        require_choice(f"plan={config.plan}: controls", control, (RANDOM_EDIT, LABEL_SMOOTHING))
    how = config.continued.train
    if how.keep_tokens:
        raise UserError(f"plan={config.plan}: continued.train.keep_tokens is not evaluated")
    if LABEL_SMOOTHING in config.controls and how.document_masks:
        raise UserError(
            "controls: label_smoothing learns without masks: continued.train.document_masks=false"
        )
    context = config.model.scratch.context if config.model.scratch else how.block_size
    if not config.eval.window <= how.block_size <= context:
        raise UserError(
            f"eval.window={config.eval.window}, continued.train.block_size={how.block_size} and "
            f"model.scratch.context={context} must not fall"
        )
