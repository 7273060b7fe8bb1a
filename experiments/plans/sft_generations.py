"""Edit a text repeatedly, and train a model on the text of each generation.

corpus ── score ── edit 1 ── score ── edit 2 ── score
   │        └ certain │        └ certain │        └ certain
   ├ train generation0├ train generation1└ train generation2      ── evaluate
   └ evaluate base

A second corpus is scored, edited and counted in the same way, but no model learns it: the paper
counts near-certain tokens in one text and trains on another.

The prior scores the text of every generation. The first edit of a text equals that of
plan=train_on_edits, and the models of generations 0 and 1 equal its arms source and edited.
"""

from experiments.config import Config
from experiments.plans.pretrain import seeds
from experiments.plans.train_on_edits import require_trainable, seeded_name
from experiments.stage import Stage
from experiments.stages import certain, corpus, edit, evaluate, score, train

TRAINED, MEASURED = "generation", "measured"
"""First parts of names: of the text that is trained on, and of the other one."""


def plan(config: Config) -> list[Stage]:
    """Stages for the base, an arm per generation and seed, and the second corpus."""
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
            name = seeded_name(config, f"{TRAINED}{number}", seed)
            model = train.stage(
                edits[name] if number else text, name, config.model, config.train, seed,
                config.launch, extra=extra, share=config.mix.share, arm=f"{TRAINED}{number}",
            )  # fmt: skip
            stages += [model, evaluate.stage(text, name, config.eval, config.model, model)]
    return stages


def generations(config: Config, prefix: str, text: Stage) -> list[Stage]:
    """Scores, counts and edits of a text in every generation and seed; generation 0 is the text
    itself, for all seeds. Names begin with ``prefix``."""

    def measured(text: Stage, name: str, number: int) -> list[Stage]:
        scores = score.stage(text, config.prior, config.score, config.engine, name=name)
        return [scores, certain.stage(scores, name, config.edit, f"{prefix}{number}")]

    stages = measured(text, f"{prefix}0", 0)
    for seed in seeds(config):
        scores = stages[0]
        for number in range(config.generations.number):
            name = seeded_name(config, f"{prefix}{number + 1}", seed)
            # Randomness is keyed by how often the text was edited before.
            edited = edit.stage(
                scores, name, config.edit, seed, config.engine, number, arm=f"{prefix}{number + 1}"
            )
            scores, counts = measured(edited, name, number + 1)
            stages += [edited, scores, counts]
    return stages
