"""Does selection repair synthetic text? Models trained on parts of it, against all of it and none.

corpus ── tokenizer
  ├── mixture human ── train ── evaluate ──┐ (its model scores the text for the perplexity filter)
  ├── mixture synthetic ── train ── evaluate
  └── select (method, seed) ── mixture ── train ── evaluate
"""

from dataclasses import replace

from experiments.config import Config, ScoreConfig
from experiments.plans.pretrain import Arms, seeded, seeds
from experiments.stage import Stage
from experiments.stages import domains, score, select
from experiments.stages.mixture import arm_name

HUMAN, SYNTHETIC = arm_name(0.0), arm_name(1.0)


def plan(config: Config) -> list[Stage]:
    """Stages for human text, synthetic text, and every selection of it, by seed."""
    arms = Arms(config)
    pool = _synthetic(arms)
    prior = replace(score.transformers_prior(config), max_length=config.train.block_size, overlap=0)
    for seed in seeds(config):
        epochs = config.mixture.epochs
        human = arms.add(HUMAN, arms.texts, 0.0, seed, epochs)
        arms.add(SYNTHETIC, arms.texts, 1.0, seed, epochs)
        for method in config.selection.methods:
            name, scores = seeded(method, seed), None
            if method == "perplexity":
                kept = ScoreConfig(k=1, above=None)
                scores = score.stage(pool, prior, kept, config.engine, human, name)
                arms.stages += [scores] if pool in arms.stages else [pool, scores]
            chosen = select.stage(
                arms.texts, name, method, config.selection, seed, scores, arm=method
            )  # fmt: skip
            arms.stages.append(chosen)
            arms.add(method, [chosen], 1.0, seed, config.selection.epochs)
    return arms.stages


def _synthetic(arms: Arms) -> Stage:
    """All the synthetic text, which one of several sources may be."""
    given = zip(arms.config.mixture.sources, arms.texts, strict=False)
    own = [text for source, text in given if source.kind == domains.SYNTHETIC]
    if len(own) == 1:
        return own[0]
    return select.stage(arms.texts, select.ALL, select.ALL, arms.config.selection, 0)
