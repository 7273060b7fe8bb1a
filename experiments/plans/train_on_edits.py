"""Models trained on source and on edited text, against the base they started from.

corpus ── score ──┬── edit (the preset trained on) ── train edited ── evaluate edited
    │             └── edit (further presets: statistics only)
    ├── train source ── evaluate source
    └── evaluate base
"""

from __future__ import annotations

from experiments.fingerprint import Stage, identity
from experiments.schema import Config
from experiments.stages import corpus, edit, evaluate, score, train
from toedit.errors import UserError
from toedit.rules import PRESETS, preset

CHARACTERS_PER_TOKEN = 4.4
"""Of the embedded biomedical text under the SmolLM2 tokenizer; for cost estimates only."""

TRAINED = "trained"
"""Name of the edit stage whose text is trained on where its rule is no preset."""


def plan(config: Config) -> list[Stage]:
    """Stages for the arms base, source and edited."""
    if config.train.keep_tokens:
        raise UserError(
            "plan=train_on_edits evaluates models at the end only: no train.keep_tokens"
        )
    evaluated = [task.name for task in evaluate.tasks(config.eval) if task.embedded]
    text = corpus.stage(config.corpus, evaluated)
    tokens = (config.corpus.train_characters or 0) / CHARACTERS_PER_TOKEN or config.train.tokens
    scores = score.stage(text, config.prior, config.score, config.engine, tokens)
    edits = [edit.stage(scores, rule_name(config), config.edit, config.seed, config.engine)]
    edits += [
        edit.stage(scores, name, preset(name), config.seed, config.engine)
        for name in config.presets
        if name != rule_name(config)
    ]
    stages = [text, scores, *edits]
    stages.append(evaluate.stage(text, "base", config.eval, config.model, None))
    for arm in config.arms:
        trained = train.stage(
            edits[0] if arm == "edited" else text, arm, config.model, config.train, config.seed
        )
        stages += [trained, evaluate.stage(text, arm, config.eval, config.model, trained)]
    return stages


def rule_name(config: Config) -> str:
    """The preset that the trained rule equals, or :data:`TRAINED`."""
    own = identity(config.edit)
    return next((name for name, rule in PRESETS.items() if identity(rule) == own), TRAINED)
