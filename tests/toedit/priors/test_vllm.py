"""The vLLM prior: its dictionaries become arrays, and its scores are those of transformers."""

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toedit import PriorConfig, UserError, load_prior
from toedit.priors import CandidateRange
from toedit.priors.vllm import from_dictionaries


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


@pytest.mark.slow()
def test_scores_agree_with_transformers():
    pytest.importorskip("vllm", reason="vllm is not installed: pip install 'toedit[vllm]'")
    text = "Mitochondria are the site of oxidative phosphorylation in eukaryotic cells. " * 8
    for length in (2048, 64):  # one window, and several
        ours = load_prior(PriorConfig(max_length=length, overlap=16))
        theirs = load_prior(PriorConfig(kind="vllm", max_length=length, overlap=16))
        wanted = CandidateRange(8, above=0.9)
        (a,), (b,) = ours.score([text], wanted), theirs.score([text], wanted)
        assert np.allclose(a.logprobs, b.logprobs, atol=5e-3, equal_nan=True)
        both = np.intersect1d(a.rows, b.rows)
        assert len(both) > 0.95 * len(a.rows)
