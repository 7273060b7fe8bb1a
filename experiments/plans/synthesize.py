"""Synthetic text written after the human training text of the pre-training experiments.

corpus ── synthesize
"""

from __future__ import annotations

from experiments.fingerprint import Stage
from experiments.plans.pretrain import seeds
from experiments.schema import Config
from experiments.stages import domains, synthesize


def plan(config: Config) -> list[Stage]:
    """The corpus, and a stage a seed."""
    text = domains.stage(config.mixture, [])
    return [
        text,
        *(
            synthesize.stage(
                text, f"{config.synthesis.mode}-seed{seed}", config.prior, config.synthesis, seed,
                config.engine,
            )
            for seed in seeds(config)
        ),
    ]  # fmt: skip
