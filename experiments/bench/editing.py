"""Benchmarks of editing: against a forward pass, a loop over tokens, and a pass per rule."""

import math
import tempfile
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from evals.items import sciriff_contexts
from experiments.bench.compare import Side, timed
from toedit import pipeline
from toedit.corpora.documents import write_documents
from toedit.corpora.files import save_table
from toedit.corpora.prepare import hub_copy
from toedit.corpora.scores import read_scores, write_scores
from toedit.corpora.units import make_units, manifest_path, write_units
from toedit.document import Document, windows
from toedit.editor import candidates_for, edit_documents, score_documents
from toedit.priors import CandidateRange, PriorConfig, TokenScores, load_prior
from toedit.priors.hf import HFPrior
from toedit.priors.loading import EMBEDDED, load_tokenizer
from toedit.rules import PRESETS, EditRule

RULE = PRESETS["released_code"]
SWEEP = [
    EditRule(threshold=threshold, k=k, temperature=temperature)
    for threshold, k, temperature in [
        (0.99, 8, 1.0), (0.999, 8, 1.0), (0.95, 8, 1.0), (0.9, 8, 1.0), (0.99, 4, 1.0),
        (0.99, 2, 1.0), (0.99, 8, 1.5), (0.99, 8, 2.0), (0.999, 8, 1.5), (0.9, 4, 1.5),
    ]
]  # fmt: skip


def documents(count: int) -> list[Document]:
    """The first documents of the embedded biomedical text."""
    contexts = sciriff_contexts("bioasq")
    return [Document(d["id"], d["context"]) for d in islice(contexts, count)]


def embedded_prior() -> HFPrior:
    prior = load_prior(PriorConfig())
    assert isinstance(prior, HFPrior)
    return prior


def forward() -> tuple[Side, Side, int]:
    """Editing from text to file, against ``model(input_ids).logits`` of the same documents."""
    prior, texts = embedded_prior(), documents(3)
    tokens = [prior.tokenize(d.text) for d in texts]
    jobs = [
        (i, w) for i, t in enumerate(tokens) for w in windows(len(t), prior.window, prior.overlap)
    ]
    batches = []
    for batch in prior._batches(jobs):
        width = max(w.stop - w.start for _, w in batch)
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        for row, (i, w) in enumerate(batch):
            ids[row, : w.stop - w.start] = torch.from_numpy(
                tokens[i].ids[w.start : w.stop].astype(np.int64)
            )
        batches.append(ids)

    def ours() -> None:
        scored = score_documents(texts, prior, candidates_for(RULE))
        edited = [e.document for e in edit_documents(scored, RULE, prior.vocabulary)]
        with tempfile.TemporaryDirectory() as folder:
            write_documents(Path(folder, "00000.parquet"), edited)

    def plain() -> None:
        with torch.inference_mode():
            for ids in batches:
                prior.model(ids).logits  # noqa: B018

    return timed(ours), timed(plain), sum(map(len, tokens))


@lru_cache(maxsize=1)
def _every_candidate() -> list[tuple[Document, TokenScores]]:
    prior, texts = embedded_prior(), documents(64)
    everywhere = CandidateRange(RULE.k, above=1e-300)
    return [(d, s) for d, s in score_documents(texts, prior, everywhere) if s is not None]


def postprocessing() -> tuple[Side, Side, int]:
    """From scores to edited text and statistics, against a loop over a dictionary per token.

    The loop gets each token's candidates as a dictionary from token to log-probability, as
    inference engines return them, and does the same: it finds eligible tokens, draws from the
    softmax of the candidates and the token itself, counts, and decodes.
    """
    scored, tokenizer = _every_candidate(), load_tokenizer(EMBEDDED)
    vocabulary = embedded_prior().vocabulary
    needed = candidates_for(RULE)
    restricted = [(d, _within(s, needed)) for d, s in scored]
    dictionaries = [_dictionaries(s) for _, s in scored]
    ids = [s.tokens.ids.tolist() for _, s in scored]
    threshold, temperature = RULE.threshold or 0.0, RULE.temperature

    def ours() -> None:
        for edited in edit_documents(restricted, RULE, vocabulary):
            edited.document.text  # noqa: B018

    def loop() -> None:
        random = np.random.default_rng(0)
        histogram, eligible, changed = [0] * 10, 0, 0
        likelihood = smoothing = divergence = 0.0
        for source, candidates in zip(ids, dictionaries, strict=True):
            edited = []
            for token, alternatives in zip(source, candidates, strict=True):
                new = token
                if alternatives is not None:
                    logprob = alternatives[token]
                    likelihood += logprob
                    p = math.exp(logprob)
                    histogram[min(int(10 * p), 9)] += 1
                    if p > threshold:
                        eligible += 1
                        names = list(alternatives)
                        weights = np.exp(np.array(list(alternatives.values())) / temperature)
                        weights /= weights.sum()
                        stay = float(weights[names.index(token)])
                        smoothing += 1 - stay
                        divergence -= math.log(stay)
                        new = int(random.choice(names, p=weights))
                        changed += new != token
                edited.append(new)
            tokenizer.decode(edited)

    return timed(ours), timed(loop), sum(map(len, ids))


def _within(scores: TokenScores, needed: CandidateRange) -> TokenScores:
    """Scores with alternatives only where a rule needs them, as a prior returns them."""
    lower, upper = needed.log_bounds()
    logprobs = scores.logprobs[scores.rows]
    keep = (logprobs >= lower) | (logprobs <= upper)
    return TokenScores(
        scores.tokens,
        scores.logprobs,
        scores.rows[keep],
        scores.candidate_ids[keep],
        scores.candidate_logprobs[keep],
    )


def _dictionaries(scores: TokenScores) -> list[dict[int, float] | None]:
    dictionaries: list[dict[int, float] | None] = [None] * len(scores.tokens)
    columns = (scores.rows, scores.candidate_ids, scores.candidate_logprobs)
    for row, ids, values in zip(*(c.tolist() for c in columns), strict=True):
        token = int(scores.tokens.ids[row])
        logprobs = {token: float(scores.logprobs[row])}
        dictionaries[row] = logprobs | dict(zip(ids, values, strict=True))
    return dictionaries


def sweep() -> tuple[Side, Side, int]:
    """Ten rules on scores stored once, the scoring included, against a scoring pass per rule."""
    prior, texts = embedded_prior(), documents(2)
    needs = [candidates_for(rule) for rule in SWEEP]
    widest = CandidateRange(max(n.k for n in needs), min(n.above or 1 for n in needs))

    def stored() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "scores.parquet")
            scored = score_documents(texts, prior, widest)
            write_scores(path, ((d.id, s) for d, s in scored), widest.k)
            for rule in SWEEP:
                pairs = zip(texts, (s for _, s in read_scores(path)), strict=True)
                list(edit_documents(pairs, rule, prior.vocabulary))

    def passes() -> None:
        for rule, need in zip(SWEEP, needs, strict=True):
            scored = score_documents(texts, prior, need)
            list(edit_documents(scored, rule, prior.vocabulary))

    tokens = sum(len(prior.tokenize(d.text)) for d in texts) * len(SWEEP)
    return timed(stored), timed(passes), tokens


TEXT = "seven wizards mix jovial liquid vaccines in every clinical cohort study number {}."


def pipeline_over(count: int) -> Callable[[], None]:
    """Editing so many short documents by the table prior, from file to file."""
    folder = Path(tempfile.mkdtemp())
    write_documents(
        folder / "corpus.parquet", (Document(f"d{i}", TEXT.format(i)) for i in range(count))
    )
    units = make_units([folder / "corpus.parquet"], 512)
    write_units(manifest_path(folder / "out"), units)
    prior = PriorConfig(kind="table")

    def run() -> None:
        steps = [
            pipeline.ReadUnit(str(manifest_path(folder / "out"))),
            pipeline.ScoreStep(prior, candidates_for(RULE)),
            pipeline.EditStep(prior, RULE),
            pipeline.WriteDocuments(str(folder / "out")),
        ]
        pipeline.run_steps(steps, units, folder / "out", f"{count} documents")

    return run


def copy_of(count: int) -> Callable[[], None]:
    """Copying a data set of so many shards, of 20 MB of text each, as the hub's are."""
    folder = Path(tempfile.mkdtemp())
    for number in range(count):
        texts = (f"{i} " + TEXT.format(i) * 100 for i in range(2_500))
        rows = [{"id": f"{number}-{i}", "text": text} for i, text in enumerate(texts)]
        save_table(folder / "set" / f"train-{number:05d}.parquet", rows, row_group_size=500)

    def run() -> None:
        hub_copy(str(folder / "set"), folder / "copy")

    return run
