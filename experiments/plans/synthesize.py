"""Synthetic text written after the human training text of the pre-training experiments.

corpus ── synthesize
"""

from __future__ import annotations

from experiments.fingerprint import Stage
from experiments.plans.pretrain import seeds
from experiments.schema import Config
from experiments.stages import domains, score, synthesize


def plan(config: Config) -> list[Stage]:
    """The corpus, and a stage a seed."""
    text, model = domains.stage(config.mixture, []), score.transformers_prior(config)
    return [
        text,
        *(
            synthesize.stage(
                text, f"{config.synthesis.mode}-seed{seed}", model, config.synthesis, seed,
                config.engine,
            )
            for seed in seeds(config)
        ),
    ]  # fmt: skip
