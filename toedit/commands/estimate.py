"""What a run would cost, from a sample: tokens, time and disk."""

import argparse
import tempfile
import time
from pathlib import Path

from toedit.commands import common
from toedit.corpora.documents import Reading, read_documents
from toedit.corpora.prepare import prepare
from toedit.priors import PriorConfig, load_prior
from toedit.priors.base import CandidateRange

SAMPLE_TOKENS = 2000
"""Tokens of the sample that are scored to measure speed; the first pass over them is not timed."""


def estimate(
    arguments: argparse.Namespace,
    config: PriorConfig,
    reading: Reading,
    candidates: CandidateRange,
) -> str:
    """Reads the inputs, scores a sample, and says what the whole would take.

    Args:
        arguments: the options of the command.
        config: the prior.
        reading: how records become documents.
        candidates: alternatives the rule needs.

    Returns:
        Documents, tokens, hours and gigabytes, in a few lines.
    """
    with tempfile.TemporaryDirectory() as folder:
        units = prepare(arguments.inputs, Path(folder), reading, common.ROWS_PER_UNIT)
        documents = sum(unit.stop - unit.start for unit in units)
        step = max(1, len(units) // 8)
        sample = [d for unit in units[::step][:8] for d in read_documents(unit, reading)]
    prior = load_prior(config)
    lengths = [len(prior.tokenize(document.text)) for document in sample]
    size = sum(len(document.text.encode("utf-8", "replace")) for document in sample)
    share = documents / max(len(sample), 1)
    texts, total = [], 0
    for document, length in sorted(zip(sample, lengths, strict=True), key=lambda pair: pair[1]):
        if total < SAMPLE_TOKENS:
            texts.append(document.text)
            total += length
    list(prior.score(texts[:1], candidates))
    started = time.monotonic()
    list(prior.score(texts, candidates))
    rate = total / max(time.monotonic() - started, 1e-9) * arguments.workers
    tokens = sum(lengths) * share
    passes = getattr(arguments, "generations", 1)
    return (
        f"{documents} documents, about {tokens:.3g} tokens (from {len(sample)} of them)\n"
        f"about {passes * tokens / rate / 3600:.2g} hours at {rate:,.0f} tokens/s "
        f"({arguments.workers} workers, {passes} passes)\n"
        f"about {size * share / 1e9:.2g} GB of text, at most as much again while it works"
    )
