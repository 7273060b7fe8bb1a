"""Write synthetic text after the human training text of the pre-training experiments.

corpus ── synthesize
"""

from experiments.config import Config
from experiments.plans.pretrain import seeded, seeds
from experiments.stage import Stage
from experiments.stages import domains, score, synthesize


def plan(config: Config) -> list[Stage]:
    """The corpus, and a stage per seed."""
    text, model = domains.stage(config.mixture, []), config.prior
    if model.kind != "vllm":
        model = score.transformers_prior(config)
    settings, mode = config.synthesis, config.synthesis.mode
    return [text] + [
        synthesize.stage(text, seeded(mode, seed), model, settings, seed, config.engine, arm=mode)
        for seed in seeds(config)
    ]
