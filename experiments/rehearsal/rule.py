"""The rule that makes an experiment small: which numbers shrink, and to what.

It changes only numbers and where work runs. What selects code paths stays: presets, samplers,
templates, adapters, schedules, precisions, columns, document masks, methods of selection. Of
variants that differ by a number alone (ratios, generations, models of a training) two remain, of
seeds one.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from evals.own_tasks import benchmarks
from experiments.config import Config, CorpusConfig, EngineConfig, EvalConfig, TrainConfig
from experiments.config.corpora import GenerationsConfig
from experiments.config.launch import SLURM, LaunchConfig
from experiments.config.pretraining import ArchitectureConfig, MixtureConfig, SelectionConfig
from experiments.config.statistics import StatisticsConfig
from toedit.priors import PriorConfig

WIDTH, LAYERS, HEADS = 64, 2, 4
"""Of tiny models; layers and heads at most."""

STEPS, VARIANTS, ITEMS = 10, 2, 2
"""Training steps, variants, and items of each task of a benchmark, at most."""


def at_most(limit: int) -> Callable[[int | None], int | None]:
    """Limit a number; null stays null."""
    return lambda number: None if number is None else min(number, limit)


def first(limit: int) -> Callable[[int | None], int]:
    """Limit a number of which null means all."""
    return lambda number: limit if number is None else min(number, limit)


def shorter(length: int | None, least: int = 8) -> Any:
    """Divide a length in tokens (block, window, positions) by 4, down to ``least``."""
    return None if length is None else max(min(length, least), length // 4)


RULES: dict[type, dict[str, Callable[[Any], Any]]] = {
    ArchitectureConfig: {
        "layers": at_most(LAYERS),
        "heads": at_most(HEADS),
        "context": lambda length: shorter(length, 320),  # lm-eval generates up to 256
    },
    CorpusConfig: {
        "read_characters": first(400_000),
        "train_characters": first(60_000),
        "heldout_characters": first(3_000),
        "heldout_share": lambda share: max(share, 0.1),  # few documents would leave none
    },
    EngineConfig: {"rows_per_unit": at_most(64)},
    EvalConfig: {
        "heldout_tokens": at_most(2_000),
        "first_tokens": shorter,
        "window": shorter,
        "allow_cut": lambda _: True,  # of few items and short models
    },
    GenerationsConfig: {"number": at_most(VARIANTS), "measured": lambda corpus: shrink(corpus)},
    MixtureConfig: {
        "ratios": lambda ratios: ratios[:VARIANTS],
        "heldout_characters": first(3_000),  # of each domain
    },
    PriorConfig: {
        "max_length": shorter,
        "overlap": lambda length: shorter(length, 0),
        "batch_tokens": at_most(4096),
    },
    SelectionConfig: {"documents": at_most(50), "repetitions": at_most(8)},
    StatisticsConfig: {
        "chunks": at_most(2),
        "priors": lambda priors: [shrink(prior) for prior in priors],
        "repetitions": at_most(8),
        "density_documents": first(50),
        "embedded": first(50),
        "encoder_length": shorter,
    },
}
"""New values of fields that depend on no other field, by class of configuration."""


def shrink(config: Any, **fields: Any) -> Any:
    """Apply :data:`RULES` to a configuration, and set further fields."""
    rules = RULES[type(config)]
    return replace(config, **{n: rule(getattr(config, n)) for n, rule in rules.items()}, **fields)


def shrunk(config: Config, gpus: int = 0) -> Config:
    """The experiment at the smallest size that takes every path of its code.

    Args:
        config: the experiment.
        gpus: GPUs of this machine; without any, training has one process.

    Returns:
        Another configuration with another name, note and store.
    """
    launch = shrunk_launch(config.launch, gpus)
    train = shrunk_train(config.train, launch, gpus)
    model, mixture, engine = config.model, config.mixture, config.engine
    if model.scratch is not None:
        inner = model.scratch.intermediate
        inner = inner and inner * WIDTH // model.scratch.width
        model = replace(model, scratch=shrink(model.scratch, width=WIDTH, intermediate=inner))
    tokens = mixture.tokens
    if tokens is not None:
        tokens = proportional(tokens, config.train, train.batch_tokens, train.steps)
    return replace(
        config,
        name=f"rehearsal/{config.name}",
        note=f"A rehearsal: tiny models on little text. No number here means anything. "
        f"{config.note}".strip(),
        store=f"{config.store}/rehearsal",
        device="cpu",
        seeds=config.seeds[:1],
        corpus=shrink(config.corpus),
        mix=replace(config.mix, corpus=shrink(config.mix.corpus)),
        generations=shrink(config.generations),
        prior=shrink(config.prior),
        model=model,
        train=train,
        launch=launch,
        mixture=shrink(mixture, tokens=tokens),
        selection=shrink(config.selection),
        eval=shrunk_eval(config.eval),
        statistics=shrunk_statistics(config.statistics),
        engine=shrink(engine, workers=1 if engine.kind == "local" else engine.workers),
    )


def shrunk_launch(launch: LaunchConfig, gpus: int) -> LaunchConfig:
    """One process per GPU of this machine, at least one; Slurm jobs stay as they are."""
    if launch.kind == SLURM:
        return launch
    devices = min(launch.devices, gpus)
    return replace(launch, devices=devices, nodes=1) if devices > 1 else LaunchConfig()


def shrunk_train(train: TrainConfig, launch: LaunchConfig, gpus: int) -> TrainConfig:
    """Few steps of two blocks per process; warmup and intermediate models in proportion."""
    devices = launch.processes
    block, steps = shorter(train.block_size), min(train.steps, STEPS)
    batch = 2 * block * devices
    warmup = train.warmup_steps and max(1, round(train.warmup_steps * (steps / train.steps)))
    intermediate = train.keep_tokens[: VARIANTS - 1]
    return replace(
        train, tokens=steps * batch, block_size=block, batch_tokens=batch, micro_batch=1,
        fsdp=train.fsdp and devices > 1, compile=train.compile and gpus > 0, warmup_steps=warmup,
        keep_tokens=[proportional(tokens, train, batch, steps) for tokens in intermediate],
        checkpoint_steps=max(1, steps // 2),
    )  # fmt: skip


def proportional(tokens: int, train: TrainConfig, batch: int, steps: int) -> int:
    """Scale a number of training tokens to a whole number of the small steps, at least one."""
    return batch * max(1, tokens // train.batch_tokens * steps // train.steps)


def shrunk_eval(evaluation: EvalConfig) -> EvalConfig:
    """Few items of each task, and little held-out text."""
    tasks = benchmarks(evaluation.suite, evaluation.tasks)
    limits = {task.name: min(ITEMS, evaluation.limits.get(task.name, ITEMS)) for task in tasks
              if task.metric != "headline_f1"}  # fmt: skip
    return shrink(evaluation, limits=limits)


def shrunk_statistics(statistics: StatisticsConfig) -> StatisticsConfig:
    """Small samples of every corpus, all priors."""
    words, reference = min(statistics.words, 5_000), statistics.reference_words
    return shrink(
        statistics,
        words=words,
        reference_words=reference and reference * words // statistics.words,
        chunk_words=min(statistics.chunk_words, words // 5),
    )
