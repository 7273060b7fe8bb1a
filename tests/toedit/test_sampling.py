"""Samplers against their exact distributions, and randomness that depends on its key alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toedit.rules import EditRule
from toedit.sampling import CHUNK, KeyedUniforms, inverse_cdf, make_sampler, softmax

DRAWS = 40_000
LOGPROBS = np.log(np.array([0.55, 0.2, 0.12, 0.08, 0.03, 0.02]))

RULES = [
    EditRule(sampler="top_k", k=4, temperature=1.0),
    EditRule(sampler="top_k", k=6, temperature=1.5),
    EditRule(sampler="top_p", top_p=0.8, temperature=1.0),
    EditRule(sampler="rejection", k=6, proposal="uniform", beta=1.0),
    EditRule(sampler="rejection", k=6, proposal="prior", beta=0.5),
    EditRule(sampler="rejection", k=4, proposal="uniform", beta=2.0, temperature=1.3, max_rounds=2),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.sampler}-{r.temperature}-{r.max_rounds}")
def test_draws_follow_the_stated_distribution(rule):
    sampler = make_sampler(rule)
    logprobs = np.where(sampler.support(LOGPROBS[None]), LOGPROBS, -np.inf)
    exact = sampler.distribution(logprobs)[0]
    uniforms = KeyedUniforms(["chi-square"])(np.arange(DRAWS), sampler.draws)
    repeated = np.repeat(logprobs, DRAWS, axis=0)
    drawn, rounds = sampler.draw(repeated, sampler.distribution(repeated), uniforms)
    assert rounds.min() == 1
    assert rounds.max() <= (rule.max_rounds if rule.sampler == "rejection" else 1)
    counts = np.array([(drawn == column).sum() for column in range(len(exact))])
    given_up = (drawn < 0).sum()
    observed = np.append(counts, given_up)
    expected = np.append(exact, 1 - exact.sum()) * DRAWS
    assert observed[expected < 1e-6].sum() == 0
    keep = expected > 1e-6
    statistic = ((observed[keep] - expected[keep]) ** 2 / expected[keep]).sum()
    assert statistic < 30  # the 99.999 % point of chi-square with 5 degrees of freedom is 30.9


def test_exact_distributions():
    p = np.exp(LOGPROBS)
    top_k = make_sampler(RULES[1])
    assert np.allclose(top_k.distribution(LOGPROBS[None]), softmax(LOGPROBS[None] / 1.5))
    nucleus = make_sampler(RULES[2]).support(LOGPROBS[None])[0]
    assert nucleus.tolist() == [True, True, True, False, False, False]  # 0.55 + 0.2 < 0.8
    uniform = make_sampler(RULES[3]).distribution(LOGPROBS[None])[0]
    assert np.allclose(uniform / uniform.sum(), p)  # a uniform proposal draws from p^(1/beta)
    prior = make_sampler(RULES[4]).distribution(LOGPROBS[None])[0]
    assert np.allclose(prior / prior.sum(), p**3 / (p**3).sum())  # the prior: from p^(1 + 1/beta)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda p: sum(p) > 1e-3),
    st.floats(0, 1, exclude_max=True),
)
def test_inverse_cdf_never_picks_an_impossible_column(weights, uniform):
    probabilities = np.array([weights]) / sum(weights)
    column = inverse_cdf(probabilities, np.array([uniform]))[0]
    assert probabilities[0, column] > 0


def test_randomness_depends_on_its_key_alone():
    places = np.arange(100)
    whole = KeyedUniforms(["document"], seed=3)(places, 2)
    some = np.array([0, 3, 39])
    assert np.array_equal(whole[some], KeyedUniforms(["document"], seed=3)(some, 2))
    row = KeyedUniforms(["before", "none", "document"], [50, 50, 150], seed=3)
    assert np.array_equal(whole, row(places + 50, 2))
    assert np.array_equal(whole[some], row(np.concatenate([[7, 8], some + 50]), 2)[2:])
    others = [(4, 0, "document"), (3, 1, "document"), (3, 0, "documents")]
    for seed, generation, document in others:
        other = KeyedUniforms([document], seed=seed, generation=generation)
        assert not np.array_equal(whole, other(places, 2))
    assert whole.min() >= 0
    assert whole.max() < 1


def test_a_long_document_draws_from_the_same_stream_in_parts():
    draws = 64
    last = 3 * CHUNK // draws + 5
    some = np.array([1, CHUNK // draws - 1, CHUNK // draws, last])
    stream = np.random.Philox()
    KeyedUniforms(["long"])._seed(stream, "long")
    whole = (stream.random_raw((last + 1) * draws) >> np.uint64(11)) * 2.0**-53
    expected = whole.reshape(-1, draws)[some]
    assert np.array_equal(KeyedUniforms(["long"])(some, draws), expected)


def test_golden_stream():
    """A change of this stream changes every edit ever made."""
    values = KeyedUniforms(["golden"])(np.arange(2), 2)
    assert np.allclose(values, GOLDEN, rtol=0, atol=1e-15)


GOLDEN = [[0.4188601093855354, 0.6701034865859841], [0.8492906190279395, 0.1077804165127384]]
