"""What work on text comes to that no model takes part in: seconds of processors, and files."""

from dataclasses import replace

from evals.suites import SUITES
from experiments.costs import Cost
from experiments.costs.work import (
    CHARACTERS_PER_OWN_TOKEN,
    CHARACTERS_PER_TOKEN,
    CHARACTERS_PER_TURN_TOKEN,
    TEXT_BYTES,
)
from experiments.schema.corpora import CorpusConfig
from experiments.schema.pretraining import MixtureConfig
from experiments.schema.sources import TextSource
from toedit.engines import Engine

CHARACTERS, ITEMS, READ = 1.1e6, 1800.0, 1e7
"""Characters of text that a core searches, items of benchmarks that it searches for, and characters
that it only copies, a second."""

TOKENIZED, EDITED, MIXED, COUNTED = 3.5e5, 1e6, 1e7, 5e5
"""Tokens a second of a core that are cut, edited, mixed, and counted or weighed; small units take
longer."""

LEARNED = 1e6
"""Characters a second from which a tokenizer is learned."""

TEXT_TOKEN_BYTES = CHARACTERS_PER_TOKEN * TEXT_BYTES
TOKENS_PER_WORD = 1.2
"""Of the embedded text under the SmolLM2 tokenizer, punctuation counted as words."""

TOKEN_BYTES = 2.05
"""Of a token in a shard or a mixture, with its share of the index."""

DOMAINS_CHARACTERS = 7.34e6
"""Of the embedded training text of four domains and of the synthetic text that is shipped."""

DOMAINS = 20
"""In held-out text that names its domains itself; the Pile has 22."""

TURN_BYTES = 1.25
"""Of a character of conversations, which are kept as messages too."""

KNOWN_ITEMS = {task.name: task.items for tasks in SUITES.values() for task in tasks}


def characters_per_token(source: CorpusConfig) -> float:
    """Under the tokenizer of a pretrained model."""
    return CHARACTERS_PER_TURN_TOKEN if source.conversations else CHARACTERS_PER_TOKEN


def corpus(source: CorpusConfig, benchmarks: list[str]) -> Cost:
    """A text that is read, searched for items of benchmarks, and split; null where its size is
    not said."""
    train = float(source.train_characters or 0)
    share = source.heldout_share
    heldout = float(source.heldout_characters or train * share / (1 - share))
    rate = characters_per_token(source)
    read = float(source.read_characters or train + heldout)
    size = TURN_BYTES if source.conversations else TEXT_BYTES
    items = sum(KNOWN_ITEMS.get(name, 0) for name in benchmarks)
    return Cost(
        tokens=train / rate,
        heldout=heldout / rate,
        seconds=read / CHARACTERS + items / ITEMS,
        disk=size * (train + heldout),
    )


def domains(mixture: MixtureConfig, benchmarks: list[str]) -> Cost:
    """The embedded human text by domain, with synthetic text."""
    apart = len(mixture.domains) + len(mixture.heldout_domains) + len(mixture.heldout_formats)
    share = mixture.heldout_share
    heldout = mixture.heldout_characters or DOMAINS_CHARACTERS / len(mixture.domains) * share
    # Formats of synthetic text that are trained on have little held-out text: all as much as one.
    left = float(heldout * (apart + 1))
    items = sum(KNOWN_ITEMS.get(name, 0) for name in benchmarks)
    return Cost(
        tokens=DOMAINS_CHARACTERS / CHARACTERS_PER_OWN_TOKEN,
        heldout=left / CHARACTERS_PER_OWN_TOKEN,
        seconds=(DOMAINS_CHARACTERS + left) / CHARACTERS + items / ITEMS,
        disk=0.42 * (DOMAINS_CHARACTERS + left),
    )


def source_text(tokens: float) -> Cost:
    """Text from files, copied into shards."""
    characters = tokens * CHARACTERS_PER_TOKEN
    return Cost(
        tokens=tokens, seconds=characters / READ, disk=TEXT_BYTES * characters, moved=characters
    )


def heldout(sources: list[TextSource], characters: int | None) -> Cost:
    """So many characters of every domain of held-out text."""
    domains = sum(DOMAINS if source.domain_column else 1 for source in sources)
    size = float(domains * (characters or 0))
    return Cost(
        heldout=size / CHARACTERS_PER_TOKEN, seconds=size / CHARACTERS, disk=TEXT_BYTES * size
    )


def words(number: int, read: float) -> Cost:
    """So many words, taken from text that is read."""
    cost = passing(number * TOKENS_PER_WORD, COUNTED, TEXT_TOKEN_BYTES)
    return replace(cost, seconds=cost.seconds + read / COUNTED)


def overlap(tokens: float) -> Cost:
    """Text that is searched for items of benchmarks."""
    return Cost(tokens=tokens, seconds=tokens * CHARACTERS_PER_TOKEN / CHARACTERS)


def passing(tokens: float, rate: float, bytes_per_token: float) -> Cost:
    """Text that passes through, at so many tokens a second of a core."""
    disk = tokens * bytes_per_token
    return Cost(tokens=tokens, seconds=tokens / rate, moved=disk, disk=disk)


def spread(cost: Cost, engine: Engine) -> Cost:
    """The same on an engine.

    Local workers share the devices out among them, and a lone one is the driver itself, whose
    memory the model stays in. Tasks of Slurm or Ray have devices of their own, where they ask for
    any.
    """
    alone = engine.kind == "local" and engine.workers == 1
    local = engine.workers if engine.kind == "local" else 1
    return replace(
        cost,
        workers=engine.workers,
        copies=local,
        resident=cost.resident if alone else 0.0,
        devices=max(local, engine.gpus * engine.workers),
    )
