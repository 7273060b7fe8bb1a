"""Train models on selected synthetic text, on all of it, and on human text.

corpus ── tokenizer
  ├── mixture human ── train ── evaluate ──┐ (its model scores the text for the perplexity filter)
  ├── mixture synthetic ── train ── evaluate
  └── select (method, seed) ── mixture ── train ── evaluate
"""

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
    prior = score.transformers_prior(config)
    for seed in seeds(config):
        human = arms.add(HUMAN, arms.texts, 0.0, seed)
        arms.add(SYNTHETIC, arms.texts, 1.0, seed)
        for method in config.selection.methods:
            name, scores = seeded(method, seed), None
            if method == "perplexity":
                few = ScoreConfig(k=1, above=None)
                scores = score.stage(pool, prior, few, config.engine, human, name)
                arms.stages += [scores] if pool in arms.stages else [pool, scores]
            selected = select.stage(
                arms.texts, name, method, config.selection, seed, scores, arm=method
            )
            arms.stages.append(selected)
            arms.add(method, [selected], 1.0, seed, config.selection.epochs)
    return arms.stages


def _synthetic(arms: Arms) -> Stage:
    """All synthetic text: a source, if it is the only synthetic one, or a selection."""
    sources = zip(arms.config.mixture.sources, arms.texts, strict=False)
    synthetic = [text for source, text in sources if source.kind == domains.SYNTHETIC]
    if len(synthetic) == 1:
        return synthetic[0]
    return select.stage(arms.texts, select.ALL, select.ALL, arms.config.selection, 0)
