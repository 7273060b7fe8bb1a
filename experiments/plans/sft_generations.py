"""Editing repeated: each generation edits the text of the one before, and a model learns each.

corpus ── score ── edit 1 ── score ── edit 2 ── score
   │        └ certain │        └ certain │        └ certain
   ├ train generation0├ train generation1└ train generation2      ── evaluate
   └ evaluate base

A second corpus is scored, edited and counted likewise, and nothing is trained on it: the paper
counts near-certain tokens in one text and trains on another.

Scores are always the prior's of the text as it then is. The first edit of a text is that of
plan=train_on_edits, as are the models of generations 0 and 1: its arms source and edited.
"""

from experiments.config import Config
from experiments.plans.pretrain import seeds
from experiments.plans.train_on_edits import require_trainable
from experiments.stage import Stage
from experiments.stages import certain, corpus, edit, evaluate, score, train

TRAINED, MEASURED = LINES = ("generation", "measured")
"""Beginnings of names: what concerns the text that is trained on, and the one that is not."""


def plan(config: Config) -> list[Stage]:
    """Stages for base and an arm a generation, of every seed, and for the second corpus.

    Raises:
        UserError: the configuration cannot be carried out.
    """
    require_trainable(config)
    text = corpus.stage(config.corpus, config.eval)
    second = corpus.stage(config.generations.measured, config.eval, MEASURED)
    extra = corpus.stage(config.mix.corpus, config.eval, "extra") if config.mix.share else None
    stages = [text, *generations(config, TRAINED, text)]
    edits = {stage.name: stage for stage in stages if stage.kind == "edit"}
    if second.fingerprint != text.fingerprint:
        stages += [second, *generations(config, MEASURED, second)]
    stages += [extra] if extra is not None else []
    stages.append(evaluate.stage(text, "base", config.eval, config.model, None))
    for seed in seeds(config):
        for number in range(config.generations.number + 1):
            arm = arm_name(config, number, seed)
            model = train.stage(
                edits[arm] if number else text, arm, config.model, config.train, seed,
                config.launch, extra=extra, share=config.mix.share, arm=f"{TRAINED}{number}",
            )  # fmt: skip
            stages += [model, evaluate.stage(text, arm, config.eval, config.model, model)]
    return stages


def generations(config: Config, line: str, text: Stage) -> list[Stage]:
    """Scores, counts and edits of a text, generation after generation, of every seed.

    Args:
        config: the experiment.
        line: beginning of their names.
        text: generation 0, which all seeds share.
    """

    def measured(text: Stage, name: str, number: int) -> list[Stage]:
        scores = score.stage(text, config.prior, config.score, config.engine, name=name)
        return [scores, certain.stage(scores, name, config.edit, f"{line}{number}")]

    stages = measured(text, text_name(config, line, 0), 0)
    for seed in seeds(config):
        scores = stages[0]
        for number in range(config.generations.number):
            name = text_name(config, line, number + 1, seed)
            # Randomness is keyed by how often the text was edited before.
            edited = edit.stage(
                scores, name, config.edit, seed, config.engine, number, arm=f"{line}{number + 1}"
            )
            made = measured(edited, name, number + 1)
            stages += [edited, *made]
            scores = made[0]
    return stages


def text_name(config: Config, line: str, number: int, seed: int | None = None) -> str:
    """Name of the edit, the scores and the counts of a generation; generation 0 has no seed."""
    return f"{line}{number}" + (f"-seed{seed}" if number and config.seeds else "")


def arm_name(config: Config, number: int, seed: int) -> str:
    """Name of the model that learned a generation of the trained text."""
    return f"{TRAINED}{number}" + (f"-seed{seed}" if config.seeds else "")
