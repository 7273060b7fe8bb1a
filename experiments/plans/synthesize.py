"""Synthetic text written after the human training text of the pre-training experiments.

corpus ── synthesize
"""

from experiments.config import Config
from experiments.plans.pretrain import seeds
from experiments.stage import Stage
from experiments.stages import domains, score, synthesize


def plan(config: Config) -> list[Stage]:
    """The corpus, and a stage a seed."""
    text, model = domains.stage(config.mixture, []), score.transformers_prior(config)
    stages = [text]
    for seed in seeds(config):
        name = f"{config.synthesis.mode}-seed{seed}"
        stages.append(
            synthesize.stage(text, name, model, config.synthesis, seed, config.engine,
                             arm=config.synthesis.mode)
        )  # fmt: skip
    return stages
