"""Train a small model from scratch, then train it further on original and edited text of a domain.

text ──┬── mixture (seed) ── train base ── evaluate
       └── mixture of the domain (first seed) ── select its documents
              ├── base ── train source ── evaluate
              ├── score ── edit (seed); base ── train edited ── evaluate
              └── controls, as in train_on_edits

The model that edits differs from the model that learns, as in the paper. The base is the model of
:mod:`experiments.plans.pretrain` without synthetic text, so it may have seen some of the domain
before, but no held-out text. Documents that overlap with benchmarks are left out as in that plan,
so that both share the base; the arms are evaluated on held-out text alone.
"""

from dataclasses import replace

from experiments.config import LABEL_SMOOTHING, RANDOM_EDIT, Config
from experiments.plans.pretrain import Arms, seeded, seeds
from experiments.plans.train_on_edits import arm_stages
from experiments.stage import Stage
from experiments.stages import evaluate
from toedit.errors import UserError, require_choice


def plan(config: Config) -> list[Stage]:
    """Stages for the base and the arms of every seed."""
    _require(config)
    arms, continued = Arms(config), config.continued
    text, scores = arms.scored_text(continued.domains, continued.tokens)
    held_out_only = replace(config, eval=config.eval.without_benchmarks())
    for seed in seeds(config):
        base = arms.add("base", arms.texts, 0.0, seed, evaluated=False)
        arms.stages += [
            evaluate.stage(arms.heldout, base.name, held_out_only.eval, config.model, base),
            *arm_stages(held_out_only, continued.train, text, scores, arms.heldout, seed,
                        seeded("", seed), start=base),
        ]  # fmt: skip
    return arms.stages


def _require(config: Config) -> None:
    """Refuse controls, checkpoints or lengths that this plan cannot carry out."""
    for control in config.controls:
        require_choice(f"plan={config.plan}: controls", control, (RANDOM_EDIT, LABEL_SMOOTHING))
    train = config.continued.train
    if train.keep_tokens:
        raise UserError(f"plan={config.plan}: continued.train.keep_tokens is not evaluated")
    if LABEL_SMOOTHING in config.controls and train.document_masks:
        raise UserError(
            "controls: label_smoothing learns without masks: continued.train.document_masks=false"
        )
    context = config.model.scratch.context if config.model.scratch else train.block_size
    if not config.eval.window <= train.block_size <= context:
        raise UserError(
            f"eval.window={config.eval.window}, continued.train.block_size={train.block_size} and "
            f"model.scratch.context={context} must not fall"
        )
