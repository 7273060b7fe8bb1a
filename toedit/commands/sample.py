"""Score a sample of the inputs, and estimate the size, time and disk of a run from it."""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from toedit import terminal
from toedit.commands import common
from toedit.commands.stored import StoredScores
from toedit.corpora.documents import read_documents
from toedit.corpora.scores import pair_scores, read_scores, row_groups
from toedit.corpora.units import Unit
from toedit.devices import FORWARD, device, is_device
from toedit.document import Document
from toedit.editor import ScoredDocument, score_documents
from toedit.errors import UserError
from toedit.priors import load_prior, load_vocabulary
from toedit.priors.base import CandidateRange, Vocabulary
from toedit.priors.loading import count_weights, load_tokenizer
from toedit.progress import counted, progress, working

UNITS = 8
"""Units, spread over the inputs, whose documents are counted; the first of each are scored."""

TOKENS, LONGEST = 4096, 8000
"""Tokens that are scored at least, and characters of a document that are."""

UNLOADED = 2_000_000_000
"""Weights from which a model is not loaded to estimate its time on another device."""

TOKEN_BYTES, CANDIDATE_BYTES = 11.0, 6.6
"""Of stored scores: a token, and each of its candidates."""


@contextmanager
def sampling() -> Iterator[None]:
    """Show that a sample is scored, and nothing that libraries print."""
    with terminal.captured(None), working("sample"):
        yield


class Sample:
    """A sample of the inputs of a command, in a fixed order, with its scores.

    Args:
        arguments: of the command.
        candidates: that are scored.
        least: tokens to score, unless the inputs have fewer.
        stored: scores to read instead.

    Attributes:
        documents: of all inputs.
        tokens: of all inputs, estimated.
        bytes: of text, estimated.
        scored: the sample with its scores; empty if the model is too large to load, or of vLLM.
        vocabulary: of the prior; None if nothing is scored.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        candidates: CandidateRange,
        least: int = TOKENS,
        stored: StoredScores | None = None,
    ) -> None:
        self._arguments, self._config = arguments, common.prior_of(arguments)
        self._rates: list[float] = []  # tokens per second of each batch
        self._flops = 0.0  # per token
        self.scored: list[ScoredDocument] = []
        self.vocabulary: Vocabulary | None = None
        with tempfile.TemporaryDirectory() as folder:
            units = common.units_of(arguments, Path(folder))
            chosen = range(0, len(units), max(1, len(units) // UNITS))[:UNITS]
            if stored is None:
                lists: list[list[ScoredDocument]] = [
                    [(d, None) for d in self._read(units[i])] for i in chosen
                ]
            else:
                groups = row_groups(stored.folder, len(units))
                lists = [list(pair_scores(self._read(units[i]), read_scores(*groups[i])))
                         for i in chosen]  # fmt: skip
        pairs = [p for p in chain.from_iterable(zip_longest(*lists)) if p is not None]
        lengths = self._scored(pairs, candidates, max(least, 2 * arguments.batch_tokens), stored)
        self.documents = sum(unit.stop - unit.start for unit in units)
        scale = self.documents / max(len(pairs), 1)
        self._read_documents, self.tokens = len(pairs), sum(lengths) * scale
        self.bytes = scale * sum(len(d.text.encode("utf-8", "replace")) for d, _ in pairs)

    def _read(self, unit: Unit) -> Iterator[Document]:
        return read_documents(unit, common.reading_of(self._arguments))

    def _scored(
        self,
        pairs: list[ScoredDocument],
        candidates: CandidateRange,
        least: int,
        stored: StoredScores | None,
    ) -> list[int]:
        """Score documents until there are ``least`` tokens; return the tokens of every document."""
        config = self._config
        if stored is not None:
            lengths = [0 if scores is None else len(scores.tokens) for _, scores in pairs]
            number = int(np.searchsorted(np.cumsum(lengths), least)) + 1
            self.scored, self.vocabulary = pairs[:number], load_vocabulary(config)
            return lengths
        if is_device(self._arguments.device) and config.kind in ("hf", "vllm"):
            weights = count_weights(config.model, config.revision)
            weights += sum(count_weights(name) for name in config.ensemble)
            self._flops = 2.0 * weights
            if weights > UNLOADED or config.kind == "vllm":
                tokenizer = load_tokenizer(config.model, config.revision)
                texts = [document.text for document, _ in pairs]
                found = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
                return [len(ids) for ids in found]
        prior = load_prior(config)
        self.vocabulary = prior.vocabulary
        all_pairs = counted(pairs, "sample", "documents tokenized", len(pairs))
        lengths = [len(prior.tokenize(document.text)) for document, _ in all_pairs]
        batches: list[list[Document]] = [[]]
        total = tokens = 0
        work_tokens = 0.0
        for (document, _), length in zip(pairs, lengths, strict=True):
            if total >= least:
                break
            if tokens >= self._arguments.batch_tokens:
                batches, tokens = [*batches, []], 0
            batches[-1].append(replace(document, text=document.text[:LONGEST]))
            work_tokens += length * min(1.0, LONGEST / max(len(document.text), 1))
            total, tokens = total + length, tokens + length
        if len(batches) > 1 and tokens < self._arguments.batch_tokens / 2:  # too few to time
            batches[-2] += batches.pop()
        list(score_documents(batches[0][:1], prior, candidates))  # warms up
        with progress(work_tokens, "sample", "tokens") as work:
            for batch in batches:
                started = time.monotonic()
                found = list(score_documents(
                    batch, prior, candidates, heard=lambda _, more: work.advance(more)
                ))  # fmt: skip
                seconds = time.monotonic() - started
                self._rates.append(sum(len(s.tokens) for _, s in found if s) / max(seconds, 1e-9))
                self.scored += found
        return lengths

    @property
    def is_whole(self) -> bool:
        """Whether the sample that was scored just now is all of the inputs."""
        return bool(self._rates) and len(self.scored) == self.documents

    def candidate_bytes(self, candidates: CandidateRange) -> float:
        """Bytes of scores with candidates for all inputs."""
        known = [scores for _, scores in self.scored if scores is not None]
        share = sum(len(s.rows) for s in known) / max(sum(len(s.tokens) for s in known), 1)
        return self.tokens * (TOKEN_BYTES + CANDIDATE_BYTES * candidates.k * share)

    def describe(self) -> str:
        """Documents, tokens, time and disk of a run."""
        passes = getattr(self._arguments, "generations", 1)
        return (
            f"{self.documents} documents, about {self.tokens:.3g} tokens "
            f"(from {self._read_documents} of them)\n{self._time(passes * self.tokens)}"
            f"{f' ({passes} passes)' if passes > 1 else ''}\n"
            f"about {size(self.bytes)} of text, at most as much again while it works"
        )

    def _time(self, tokens: float) -> str:
        """How long a forward pass over tokens takes, and where."""
        name, workers = self._arguments.device, self._arguments.workers
        if is_device(name):
            on = device(name)
            if not self._flops:
                raise UserError(f"--device {name} estimates models of transformers and vLLM alone")
            rate = on.rate(FORWARD, 0, self._config.dtype) * on.count / self._flops
            tasks = f" and --workers {on.count}" if on.count > 1 else ""
            time_ = duration(tokens / (1.5 * rate), 1.5 * tokens / rate)
            return (
                f"about {time_} on {on.count} {on.label}{tasks}, by its data sheet: "
                f"{rate:,.0f} tokens/s in {self._config.dtype}"
            )
        if not self._rates:
            return "no forward pass: the scores are stored"
        elsewhere = self._arguments.engine != "local"
        copies = workers if elsewhere else 1
        low, high = (max(copies * rate, 1e-9)
                     for rate in (0.9 * min(self._rates), 1.1 * max(self._rates)))  # fmt: skip
        place = f"by {workers} tasks as fast as this machine" if elsewhere else f"on {_here(name)}"
        return (
            f"about {duration(tokens / high, tokens / low)} {place}, "
            f"at {low:,.0f} to {high:,.0f} tokens/s"
        )


def _here(name: str) -> str:
    """What the prior runs on."""
    import torch

    if name.startswith("cuda") or (name == "auto" and torch.cuda.is_available()):
        return f"this {torch.cuda.get_device_name()}"
    cores = len(os.sched_getaffinity(0))
    return f"these {cores} cores" if cores > 1 else "this core"


def size(number: float) -> str:
    """Bytes in megabytes or gigabytes."""
    return f"{number / 1e6:.2g} MB" if number < 1e9 else f"{float(f'{number / 1e9:.2g}'):,g} GB"


def duration(low: float, high: float) -> str:
    """A range of seconds in units to plan with: ``150 to 190 hours (6 to 8 days)``."""
    if high < 1:
        return "a second"
    units = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0}
    unit, seconds = next((u for u in units.items() if high < 120 * u[1]), ("hours", 3600.0))
    text = f"{_range(low / seconds, high / seconds)} {unit}"
    return text + (f" ({_range(low / 86400, high / 86400)} days)" if high > 2 * 86400 else "")


def _range(low: float, high: float) -> str:
    shown = [f"{float(f'{value:.2g}'):,g}" for value in (low, high)]
    return shown[0] if shown[0] == shown[1] else " to ".join(shown)
