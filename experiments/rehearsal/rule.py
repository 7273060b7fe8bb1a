"""The rule by which an experiment is made small: which numbers shrink, and to what.

Only numbers and places where work runs are touched. What decides which code runs stays: presets,
samplers, templates, adapters, schedules, precisions, columns, document masks, ways of selecting.
Of what differs by a number alone (ratios, seeds, generations, kept models) two are left.
"""

from dataclasses import replace
from typing import TypeVar

from evals.suites import suite
from experiments.config import Config, CorpusConfig, EngineConfig, EvalConfig, TrainConfig
from experiments.config.launch import SLURM, LaunchConfig
from experiments.config.pretraining import ArchitectureConfig, MixtureConfig, SelectionConfig
from experiments.config.statistics import StatisticsConfig
from toedit.priors import PriorConfig

ARMS = 2
STEPS = 10
SHORTER = 4
"""Lengths in tokens are divided by this: blocks, windows, positions."""

WIDTH, LAYERS = 64, 2
ITEMS = 2
"""Of a benchmark, or of each task of a group."""

ROWS = 64
"""Documents in a unit of work."""

READ, TRAINED, HELD_OUT = 400_000, 60_000, 3_000
"""Characters of a text: looked at, trained on, held out (of each domain)."""

SCORED = 2_000
"""Held-out tokens."""

WORDS = 5_000
"""Of each corpus whose statistics are taken."""

DOCUMENTS = 50
"""Selected, or taken as a sample."""

TABLES = 8
"""Hash tables of density."""

T = TypeVar("T", int, int | None)


def least(number: T, most: int) -> T:
    """The smaller of two; null stays null."""
    return number if number is None else min(number, most)


def capped(number: int | None, most: int) -> int:
    """The smaller of two, where null means all."""
    return most if number is None else min(number, most)


def shorter(length: T, least: int = 8) -> T:
    """A length in tokens."""
    return length if length is None else max(min(length, least), length // SHORTER)


def shrunk(config: Config, gpus: int = 0) -> Config:
    """The experiment at the smallest size that takes every path of its code.

    Args:
        config: the experiment as it is.
        gpus: accelerators of this machine; without any, training has one process.

    Returns:
        Another configuration with another name, note and store.
    """
    launch = shrunk_launch(config.launch, gpus)
    train = shrunk_train(config.train, launch, gpus)
    model = config.model
    if model.scratch is not None:
        model = replace(model, scratch=shrunk_shape(model.scratch))
    measured = shrunk_corpus(config.generations.measured)
    return replace(
        config,
        name=f"rehearsal/{config.name}",
        note=f"A rehearsal: tiny models on little text. No number here means anything. "
        f"{config.note}".strip(),
        store=f"{config.store}/rehearsal",
        device="cpu",
        seeds=config.seeds[:1],
        corpus=shrunk_corpus(config.corpus),
        mix=replace(config.mix, corpus=shrunk_corpus(config.mix.corpus)),
        generations=replace(
            config.generations, number=min(config.generations.number, ARMS), measured=measured
        ),
        prior=shrunk_prior(config.prior),
        model=model,
        train=train,
        launch=launch,
        mixture=shrunk_mixture(config.mixture, config.train, train),
        selection=shrunk_selection(config.selection),
        eval=shrunk_eval(config.eval),
        statistics=shrunk_statistics(config.statistics),
        engine=shrunk_engine(config.engine),
    )


def shrunk_launch(launch: LaunchConfig, gpus: int) -> LaunchConfig:
    """As many processes as this machine has GPUs for, or one; a job of Slurm stays one."""
    if launch.kind == SLURM:
        return launch
    devices = min(launch.devices, gpus)
    return replace(launch, devices=devices, nodes=1) if devices > 1 else LaunchConfig()


def shrunk_train(train: TrainConfig, launch: LaunchConfig, gpus: int) -> TrainConfig:
    """Few steps of two blocks a process; warmup and kept models in proportion."""
    devices = launch.processes
    block, steps = shorter(train.block_size), min(train.steps, STEPS)
    batch, share = 2 * block * devices, steps / train.steps
    warmup = train.warmup_steps and max(1, round(train.warmup_steps * share))
    kept = [proportional(tokens, train, batch, steps) for tokens in train.keep_tokens[: ARMS - 1]]
    return replace(
        train, tokens=steps * batch, block_size=block, batch_tokens=batch, micro_batch=1,
        fsdp=train.fsdp and devices > 1, compile=train.compile and gpus > 0,
        warmup_steps=warmup, keep_tokens=kept, checkpoint_steps=max(1, steps // 2),
    )  # fmt: skip


def proportional(tokens: int, train: TrainConfig, batch: int, steps: int) -> int:
    """A number of training tokens as a whole number of the small steps, at least one."""
    return batch * max(1, tokens // train.batch_tokens * steps // train.steps)


def shrunk_shape(shape: ArchitectureConfig) -> ArchitectureConfig:
    """Two layers; heads and inner width in proportion to the width."""
    inner = shape.intermediate and shape.intermediate * WIDTH // shape.width
    return replace(
        shape, layers=min(shape.layers, LAYERS), width=WIDTH, heads=shrunk_heads(shape.heads),
        intermediate=inner, context=shorter(shape.context),
    )  # fmt: skip


def shrunk_heads(heads: int) -> int:
    """Attention heads."""
    return min(heads, 4)


def shrunk_corpus(corpus: CorpusConfig) -> CorpusConfig:
    """The first documents; a larger share of few documents is held out, or none would be."""
    return replace(
        corpus,
        read_characters=capped(corpus.read_characters, READ),
        train_characters=capped(corpus.train_characters, TRAINED),
        heldout_characters=capped(corpus.heldout_characters, HELD_OUT),
        heldout_share=max(corpus.heldout_share, 0.1),
    )


def shrunk_mixture(mixed: MixtureConfig, train: TrainConfig, small: TrainConfig) -> MixtureConfig:
    """The first two ratios, and as many epochs as there are."""
    tokens = mixed.tokens
    if tokens is not None:
        tokens = proportional(tokens, train, small.batch_tokens, small.steps)
    return replace(
        mixed, ratios=mixed.ratios[:ARMS], tokens=tokens,
        heldout_characters=capped(mixed.heldout_characters, HELD_OUT),
    )  # fmt: skip


def shrunk_prior(prior: PriorConfig) -> PriorConfig:
    """Shorter windows."""
    return replace(
        prior, max_length=shorter(prior.max_length), overlap=shorter(prior.overlap, 0),
        batch_tokens=min(prior.batch_tokens, 4096),
    )  # fmt: skip


def shrunk_selection(selection: SelectionConfig) -> SelectionConfig:
    """Every method, of few documents."""
    return replace(
        selection, documents=least(selection.documents, DOCUMENTS),
        repetitions=min(selection.repetitions, TABLES),
    )  # fmt: skip


def shrunk_eval(evaluation: EvalConfig) -> EvalConfig:
    """Few items, and little held-out text."""
    tasks = suite(evaluation.suite) if evaluation.suite else ()
    limits = {task.name: min(ITEMS, evaluation.limits.get(task.name, ITEMS)) for task in tasks
              if task.metric != "headline_f1"}  # fmt: skip
    return replace(
        evaluation, limits=limits, heldout_tokens=least(evaluation.heldout_tokens, SCORED),
        first_tokens=shorter(evaluation.first_tokens), window=shorter(evaluation.window),
    )  # fmt: skip


def shrunk_statistics(statistics: StatisticsConfig) -> StatisticsConfig:
    """Small samples of every corpus, all priors."""
    words, reference = min(statistics.words, WORDS), statistics.reference_words
    return replace(
        statistics, words=words,
        reference_words=reference and reference * words // statistics.words,
        chunks=min(statistics.chunks, 2),
        chunk_words=min(statistics.chunk_words, words // 5),
        priors=[shrunk_prior(prior) for prior in statistics.priors],
        repetitions=min(statistics.repetitions, TABLES),
        density_documents=capped(statistics.density_documents, DOCUMENTS),
        embedded=capped(statistics.embedded, DOCUMENTS),
        encoder_length=shorter(statistics.encoder_length),
    )  # fmt: skip


def shrunk_engine(engine: EngineConfig) -> EngineConfig:
    """One worker of this machine, several units of work."""
    workers = 1 if engine.kind == "local" else engine.workers
    return replace(engine, workers=workers, rows_per_unit=min(engine.rows_per_unit, ROWS))
