"""Estimate the cost of each stage from its configuration and the costs of its inputs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from evals.suites import SUITES
from experiments.config import CorpusConfig, EngineConfig, ScoreConfig
from experiments.config.training import ModelConfig
from experiments.costs import FORWARD, Cost, compute
from experiments.costs.compute import CHARACTERS_PER_TOKEN, TEXT_BYTES
from experiments.costs.shapes import sized
from experiments.stage import Stage, upstream
from experiments.stages import (
    corpus,
    domains,
    edit,
    embed,
    evaluate,
    mixture,
    ngrams,
    overlap,
    sample,
    score,
    select,
    simulate,
    sources,
    synthesize,
    tokenizer,
    tokens,
    train,
)
from toedit.corpora.remote import is_remote
from toedit.corpora.units import COMPRESSED, corpus_files
from toedit.priors import PriorConfig

SEARCHED, ITEMS, COPIED = 1.1e6, 1800.0, 1e7
"""Per second of a core: characters of text that it searches for items of benchmarks, items that it
searches for, and characters that it only copies."""

TOKENIZED, EDITED, MIXED, COUNTED = 3.5e5, 1e6, 1e7, 5e5
"""Tokens per second of a core that tokenizes, edits, mixes, and counts or weighs; small units take
longer."""

TOKENIZER_RATE = 1e6
"""Characters per second of the training of a tokenizer."""

FIT_SECONDS = 6.8e-8
"""Per draw, generation, row and feature of the theory: 14 s for the embedded setting, two cores."""

TEXT_TOKEN_BYTES = CHARACTERS_PER_TOKEN * TEXT_BYTES
TOKEN_BYTES = 2.05
"""Per token in a shard or a mixture, with its share of the index."""

TOKENS_PER_WORD = 1.2
"""Embedded text under the SmolLM2 tokenizer, punctuation counted as words."""

TURN_BYTES = 1.25
"""Per character of conversations, which are stored as messages too."""

DOMAINS_CHARACTERS = 7.34e6
"""Embedded training text of four domains and the shipped synthetic text."""

DOMAINS = 20
"""Of held-out text that names its domains itself; the Pile has 22."""

UNPACKED = 3.0
"""Characters of text per byte of a compressed file."""

CERTAIN = 0.2
"""Share of tokens with candidates at ``score.above=0.9``: 22 bytes per token with 8 candidates, and
73 where every token has them."""


def estimate(stages: Sequence[Stage]) -> dict[Stage, Cost]:
    """Costs of stages and of everything upstream of them.

    Where ``corpus.train_characters`` is null, local files hold as many characters as bytes, and
    other text is taken to hold as many tokens as the largest mixture, or training, of these stages.
    """
    costs: dict[Stage, Cost] = {}
    configs = [stage.config for stage in stages]
    mixtures = [float(c.tokens) for c in configs if isinstance(c, mixture.MixtureStage)]
    trainings = [float(c.train.tokens) for c in configs if isinstance(c, train.TrainStage)]
    unknown = max(mixtures or trainings or [0.0])
    for stage in upstream(stages):
        inputs = {name: costs[parent] for name, parent in stage.inputs.items()}
        if isinstance(stage.config, score.ScoreStage) and not inputs["corpus"].tokens:
            inputs["corpus"] = replace(inputs["corpus"], tokens=unknown)
        cost = _cost(stage, inputs)
        if isinstance(stage.runtime, EngineConfig):
            cost = _spread(cost, stage.runtime)
        costs[stage] = cost
    return costs


def _spread(cost: Cost, engine: EngineConfig) -> Cost:
    """The same work on an engine.

    Local workers share the devices, and a single one is the driver itself, in whose memory the
    model stays. Tasks of Slurm or Ray have separate devices, if they request any.
    """
    is_local = engine.kind == "local"
    replicas = engine.workers if is_local else 1
    return replace(
        cost,
        workers=engine.workers,
        replicas=replicas,
        resident=cost.resident if is_local and engine.workers == 1 else 0.0,
        devices=max(replicas, engine.gpus * engine.workers),
    )


def _cost(stage: Stage, inputs: Mapping[str, Cost]) -> Cost:
    """Cost of a stage given the costs of its inputs; 0 for stages that take a moment."""
    text = sum(cost.tokens for name, cost in inputs.items() if name.startswith("text"))
    trained = stage.inputs["model"].config if "model" in stage.inputs else None
    model = sized(trained.model) if isinstance(trained, train.TrainStage) else None
    match config := stage.config:
        case corpus.CorpusStage():
            return _corpus(config.corpus, [*config.benchmarks, *config.others])
        case domains.DomainsStage():
            return _domains(config)
        case sources.SourceStage():
            size, characters = config.source.tokens, config.source.tokens * CHARACTERS_PER_TOKEN
            disk = TEXT_BYTES * characters
            return Cost(size, seconds=characters / COPIED, disk=disk, moved=characters)
        case sources.HeldOutStage():
            number = sum(DOMAINS if source.domain_column else 1 for source in config.sources)
            size = float(number * (config.characters or 0))
            disk = TEXT_BYTES * size
            return Cost(0.0, size / CHARACTERS_PER_TOKEN, seconds=size / SEARCHED, disk=disk)
        case overlap.OverlapStage():
            return Cost(text, seconds=text * CHARACTERS_PER_TOKEN / SEARCHED)
        case tokenizer.TokenizerStage():
            disk = compute.VOCABULARY_BYTES * config.vocabulary
            return Cost(seconds=2 * config.characters / TOKENIZER_RATE, disk=disk)
        case tokens.TokensStage():
            return _process(text, TOKENIZED, TOKEN_BYTES)
        case mixture.MixtureStage():
            return _process(float(config.tokens), MIXED, TOKEN_BYTES)
        case select.SelectStage():
            rate = MIXED if config.method in (select.ALL, select.LEARNED, "random") else COUNTED
            size = inputs["mixture"].tokens if "mixture" in inputs else 0.0
            return replace(_process(size, rate, TEXT_TOKEN_BYTES), seconds=text / rate)
        case sample.SampleStage():
            cost = _process(config.words * TOKENS_PER_WORD, COUNTED, TEXT_TOKEN_BYTES)
            return replace(cost, seconds=cost.seconds + text / COUNTED)
        case score.ScoreStage():
            size = inputs["corpus"].tokens * (1.0 if model else _prior_tokens(stage))
            prior = _sized_prior(config.prior, model)
            return compute.scoring(prior, size, _candidates(config.score), model)
        case edit.EditStage():
            return _process(inputs["scores"].tokens, EDITED, CHARACTERS_PER_TOKEN)
        case synthesize.SynthesizeStage():
            s, prior = config.synthesis, _sized_prior(config.model, model)
            return compute.generating(prior, s.documents, s.max_new_tokens, s.batch, model)
        case train.TrainStage():
            mixed = stage.inputs["text"].kind == "mixture"
            own = sized(config.model)
            return compute.training(own, config.train, mixed, stage.runtime.processes)
        case evaluate.EvaluateStage():
            heldout, tasks = inputs["corpus"].heldout, evaluate.tasks(config.evaluation)
            return compute.evaluating(config.evaluation, tasks, sized(stage.runtime), heldout)
        case ngrams.NgramsStage():
            return Cost(text, seconds=text / COUNTED)
        case embed.EmbedStage():
            size, weights = (config.documents or 0) * config.length, embed.PARAMETERS
            flops = 2.0 * weights * size
            return Cost(size, flops=flops, work=FORWARD, width=embed.WIDTH, memory=4.0 * weights)
        case simulate.SimulateStage():
            theory = config.theory
            fits = theory.draws * theory.generations * len(theory.schedules)
            return Cost(seconds=FIT_SECONDS * fits * theory.rows * theory.features)
    return Cost()


def _sized_prior(prior: PriorConfig, model: ModelConfig | None) -> PriorConfig:
    """A prior with its number of parameters, that of the model where a stage trains it."""
    return sized(prior) if model is None else replace(prior, parameters=model.parameters)


def uncounted(stage: Stage) -> str | None:
    """The model of a stage whose number of parameters nothing says, so that its work is not
    counted; None if there is none."""
    trained = stage.inputs["model"].config if "model" in stage.inputs else None
    match config := stage.config:
        case train.TrainStage():
            model: ModelConfig | PriorConfig = config.model
        case evaluate.EvaluateStage():
            model = stage.runtime
        case score.ScoreStage() | synthesize.SynthesizeStage():
            model = config.prior if isinstance(config, score.ScoreStage) else config.model
            if isinstance(trained, train.TrainStage):
                model = trained.model
        case _:
            return None
    if isinstance(model, PriorConfig) and model.kind not in ("hf", "vllm"):
        return None
    return model.model if not sized(model).parameters else None


def _process(tokens: float, rate: float, bytes_per_token: float) -> Cost:
    """Text that a core processes at ``rate`` tokens per second and writes again."""
    disk = tokens * bytes_per_token
    return Cost(tokens=tokens, seconds=tokens / rate, moved=disk, disk=disk)


def _corpus(source: CorpusConfig, benchmarks: Sequence[str]) -> Cost:
    turns, share = bool(source.conversations), source.heldout_share
    learned = float(source.train_characters or 0)
    if not learned:
        size = min(_local_characters(source), float(source.read_characters or math.inf))
        learned = size * (1 - share)
    heldout = float(source.heldout_characters or learned * share / (1 - share))
    rate = compute.CHARACTERS_PER_TURN_TOKEN if turns else CHARACTERS_PER_TOKEN
    return Cost(
        tokens=learned / rate,
        heldout=heldout / rate,
        seconds=_search_seconds(float(source.read_characters or learned + heldout), benchmarks),
        disk=(TURN_BYTES if turns else TEXT_BYTES) * (learned + heldout),
    )


def _local_characters(source: CorpusConfig) -> float:
    """Bytes of local files, unpacked, which bound their text; 0 for other sources."""
    if source.source != "local" or any(map(is_remote, source.paths)):
        return 0.0
    files = corpus_files(source.paths)
    packed = (*COMPRESSED, ".parquet")
    return sum(f.stat().st_size * (UNPACKED if f.name.endswith(packed) else 1) for f in files)


def _domains(config: domains.DomainsStage) -> Cost:
    """Formats of synthetic training text have little held-out text: all of them as one domain."""
    parts = len(config.domains) + len(config.heldout_domains) + len(config.heldout_formats) + 1
    share = DOMAINS_CHARACTERS / len(config.domains) * config.heldout_share
    heldout = float((config.heldout_characters or share) * parts)
    return Cost(
        tokens=DOMAINS_CHARACTERS / compute.CHARACTERS_PER_OWN_TOKEN,
        heldout=heldout / compute.CHARACTERS_PER_OWN_TOKEN,
        seconds=_search_seconds(DOMAINS_CHARACTERS + heldout, config.benchmarks),
        disk=0.42 * (DOMAINS_CHARACTERS + heldout),
    )


def _search_seconds(characters: float, benchmarks: Sequence[str]) -> float:
    items = {task.name: task.items for tasks in SUITES.values() for task in tasks}
    return characters / SEARCHED + sum(items.get(name, 0) for name in benchmarks) / ITEMS


def _prior_tokens(scores: Stage) -> float:
    """Tokens of a pretrained prior per token of the text.

    They differ where a tokenizer that is trained here counts the tokens of the text.
    """
    mix = scores.inputs["corpus"].inputs.get("mixture")
    if mix is None or not isinstance(mix.inputs["tokenizer"].config, tokenizer.TokenizerStage):
        return 1.0
    return compute.CHARACTERS_PER_OWN_TOKEN / CHARACTERS_PER_TOKEN


def _candidates(score: ScoreConfig) -> float:
    """Average number of stored candidates per token, at a typical certainty of the prior."""
    if (score.below or 0.0) >= 1 or score.above == 0:
        return float(score.k)
    return score.k * CERTAIN if score.above is not None or score.below is not None else 0.0
