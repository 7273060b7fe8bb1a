"""The vLLM prior: its dictionaries become arrays, and its scores are those of transformers."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import SENTENCES, corpus_text, with_vllm
from hypothesis import given
from hypothesis import strategies as st

from toedit import EditRule, PriorConfig, TokenScores, UserError, load_prior
from toedit.document import Document
from toedit.editor import edit_documents
from toedit.priors import CandidateRange, load_vocabulary
from toedit.priors.vllm import VLLMPrior, from_dictionaries


@dataclass
class Logprob:
    """The part of vLLM's own class that is read."""

    logprob: float


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_dictionaries_say_the_same_as_the_whole_distribution(seed, k):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (7, 20))
    logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    targets = rng.integers(0, 20, 7)
    given_ = []
    for row, target in zip(logprobs, targets, strict=True):
        order = np.argsort(-row)[:k]
        # As vLLM does: the token itself first, then the most probable ones.
        given_.append({int(t): Logprob(float(row[t])) for t in [target, *order]})
    wanted = CandidateRange(k, above=0.3)
    found, rows, ids, values = from_dictionaries(given_, targets, wanted)
    own = logprobs[np.arange(7), targets]
    assert np.allclose(found, own, atol=1e-6)
    assert rows.tolist() == np.flatnonzero(own >= np.log(0.3)).tolist()
    assert np.array_equal(ids, np.argsort(-logprobs, axis=1)[rows, :k])
    assert np.allclose(values, -np.sort(-logprobs, axis=1)[rows, :k], atol=1e-6)


def test_without_the_package_one_line_says_what_to_install(tiny_model):
    if find_spec("vllm") is not None:
        pytest.skip("vllm is installed")
    with pytest.raises(UserError, match="pip install"):
        load_prior(PriorConfig(kind="vllm", model=str(tiny_model)))


def test_an_ensemble_in_vllm_is_refused():
    with pytest.raises(UserError, match="one model"):
        PriorConfig(kind="vllm", ensemble=["other"])


TEXTS = [*SENTENCES, corpus_text(3), "", "x", " ".join(SENTENCES) * 3]
WANTED = CandidateRange(8, above=0.003)
BOUND = 5e-4
"""Of differences of log-probabilities in float32."""

FAST = {"enforce_eager": True, "kv_cache_memory_bytes": 1 << 28}
"""Without compilation, which takes most of the start."""


@contextmanager
def engine_of(model: Path, **options) -> Iterator[VLLMPrior]:
    yield load_prior(PriorConfig(kind="vllm", model=str(model), **options))
    load_prior.cache_clear()


@pytest.fixture(scope="module")
def in_vllm(wide_model):
    with engine_of(wide_model, max_length=500, vllm=FAST) as prior:
        yield prior


def of_transformers(model: Path, texts: list[str] = TEXTS, **options) -> list[TokenScores]:
    return list(load_prior(PriorConfig(model=str(model), **options)).score(texts, WANTED))


def require_near(ours: list[TokenScores], theirs: list[TokenScores], bound: float) -> None:
    """Scores are equal within a bound, and so are candidates that are at no boundary."""
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(a.tokens.ids, b.tokens.ids)
        assert np.array_equal(a.scored, b.scored)
        assert np.allclose(a.logprobs, b.logprobs, atol=bound, rtol=0, equal_nan=True)
        at_boundary = np.flatnonzero(np.abs(a.logprobs - np.log(WANTED.above)) <= bound)
        assert not {*np.setxor1d(a.rows, b.rows).tolist()} - {*at_boundary.tolist()}
        _, mine, other = np.intersect1d(a.rows, b.rows, return_indices=True)
        values, others = a.candidate_logprobs[mine], b.candidate_logprobs[other]
        assert np.allclose(values, others, atol=bound, rtol=0)
        gaps = np.abs(np.diff(values, axis=1))
        alone = (gaps[:, :-1] > 2 * bound) & (gaps[:, 1:] > 2 * bound)  # of all but the outer two
        same = (a.candidate_ids[mine] == b.candidate_ids[other])[:, 1:-1]
        assert same[alone].all()


@with_vllm
@pytest.mark.parametrize("length", [500, 48])
def test_scores_are_those_of_transformers(wide_model, in_vllm, length):
    """In one window, and in several; without a beginning token the first token is unscored."""
    ours = of_transformers(wide_model, max_length=length, overlap=16)
    rows = len(in_vllm.vocabulary.proposable)
    windowed = VLLMPrior(in_vllm.engine, in_vllm.tokenizer, rows, length, length, 16)
    assert sum(len(scores.rows) for scores in ours) >= 5
    assert not ours[0].scored[0]
    require_near(ours, list(windowed.score(TEXTS, WANTED)), BOUND)


@with_vllm
def test_a_beginning_token_precedes_every_window(wide_model_with_begin):
    options = {"max_length": 48, "overlap": 16}
    ours = of_transformers(wide_model_with_begin, **options)
    assert all(scores.scored.all() for scores in ours)
    with engine_of(wide_model_with_begin, vllm=FAST, **options) as prior:
        require_near(ours, list(prior.score(TEXTS, WANTED)), BOUND)


@with_vllm
def test_order_and_batches_change_rounding_alone_and_a_rerun_nothing(in_vllm):
    first, again = list(in_vllm.score(TEXTS, WANTED)), list(in_vllm.score(TEXTS, WANTED))
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.logprobs, b.logprobs, equal_nan=True)
        assert np.array_equal(a.candidate_ids, b.candidate_ids)
    require_near(first, list(in_vllm.score(TEXTS[::-1], WANTED))[::-1], BOUND)
    require_near(first, [s for text in TEXTS for s in in_vllm.score([text], WANTED)], BOUND)


@with_vllm
def test_bfloat16_differs_by_its_rounding(wide_model):
    """From float32 at most twice as much as transformers does in bfloat16."""
    exact, ours = of_transformers(wide_model), of_transformers(wide_model, dtype="bfloat16")
    with engine_of(wide_model, max_length=500, vllm=FAST, dtype="bfloat16") as prior:
        theirs = list(prior.score(TEXTS, WANTED))
    for a, b, c in zip(exact, ours, theirs, strict=True):
        assert np.array_equal(a.scored, c.scored)
        if a.scored.any():
            own = np.nanmean(np.abs(a.logprobs - b.logprobs))
            assert np.nanmean(np.abs(a.logprobs - c.logprobs)) <= 2 * own + 0.01


@with_vllm
def test_edited_text_is_that_of_transformers(wide_model, in_vllm):
    """But where a token lies at a boundary: where noise within the bound changes the edit."""
    rule = EditRule(threshold=WANTED.above, k=8)
    documents = [Document(str(n), corpus_text(n)) for n in range(20)]
    texts = [document.text for document in documents]
    vocabulary = load_vocabulary(PriorConfig(model=str(wide_model)))

    def edited(scores: list[TokenScores]) -> list[str]:
        scored = list(zip(documents, scores, strict=True))
        return [e.document.text for e in edit_documents(scored, rule, vocabulary)]

    def disturbed(scores: TokenScores, seed: int) -> TokenScores:
        rng = np.random.default_rng(seed)
        noise = [rng.uniform(-BOUND, BOUND, part.shape).astype(np.float32)
                 for part in (scores.logprobs, scores.candidate_logprobs)]  # fmt: skip
        known = np.isin(np.arange(len(scores.logprobs)), scores.rows)
        moved = np.minimum(scores.logprobs + noise[0], 0)
        # A token without candidates cannot become eligible.
        logprobs = np.where(known, moved, scores.logprobs)
        return replace(
            scores, logprobs=logprobs, candidate_logprobs=scores.candidate_logprobs + noise[1]
        )

    ours, theirs = of_transformers(wide_model, texts), list(in_vllm.score(texts, WANTED))
    plain, other = edited(ours), edited(theirs)
    tries = [edited([disturbed(scores, seed) for scores in ours]) for seed in range(8)]
    clear = [
        n
        for n, text in enumerate(plain)
        if all(t[n] == text for t in tries)
        and (np.abs(ours[n].logprobs - np.log(WANTED.above))[ours[n].scored] > BOUND).all()
    ]
    assert len(clear) >= 10
    assert sum(plain[n] != texts[n] for n in clear) >= 5
    assert [other[n] for n in clear] == [plain[n] for n in clear]


@with_vllm
def test_the_embedded_model_agrees_too_with_the_defaults_of_the_engine():
    text = "Mitochondria are the site of oxidative phosphorylation in eukaryotic cells. " * 8
    ours = of_transformers(Path("embedded"), [text])
    before = children()
    with engine_of(Path("embedded")) as prior:
        assert len(children() - before) == 1
        require_near(ours, list(prior.score([text], WANTED)), BOUND)
    del prior
    gc.collect()
    assert children() <= before  # the engine ends with its prior


def children() -> set[int]:
    """Processes of engines that this process started."""
    return {p.pid for p in psutil.Process().children() if "VLLM" in " ".join(p.cmdline())}


@with_vllm
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"gpu_memory_share": 0.5},
            "no argument 'gpu_memory_share'; did you mean 'gpu_memory_utilization'",
        ),
        ({"gpu_memory_utilization": 1.0}, r"would reserve .* GiB of memory, of which .* are free"),
        ({"quantization": "no such"}, "vLLM cannot start with the model .*no such"),
    ],
)
def test_what_an_engine_cannot_do_is_said_in_one_line(wide_model, settings, message):
    with pytest.raises(UserError, match=message):
        load_prior(PriorConfig(kind="vllm", model=str(wide_model), vllm=settings))
