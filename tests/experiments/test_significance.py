"""p values and their correction, against statsmodels and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests

from experiments.paper.comparison import KEPT_ITEMS, RESAMPLES, resampled_ratio
from experiments.paper.significance import (
    EXACT,
    WHOLE,
    exchanged,
    holm,
    items_and_seeds,
    mcnemar,
    normal,
)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_exact_one_of_statsmodels(gained, lost):
    expected = reference_mcnemar([[7, gained], [lost, 9]], exact=True).pvalue
    assert mcnemar(gained, lost) == pytest.approx(min(1.0, expected), rel=1e-9)


def test_mcnemar_of_many_items_is_near_the_exact_one():
    exact = stats.binomtest(560, 1100).pvalue
    assert mcnemar(560, 540) == pytest.approx(exact, rel=0.02)
    assert mcnemar(550, 551) == pytest.approx(1.0, abs=0.03)
    assert mcnemar(0, 0) == 1.0


@settings(max_examples=10)  # statsmodels collects garbage in each
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_is_that_of_statsmodels(values):
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1].tolist())


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=EXACT + 4))
def test_exchanging_right_and_wrong_answers_is_mcnemars_test(changes):
    gained, lost = changes.count(1.0), changes.count(-1.0)
    tolerance = 1e-9 if gained + lost <= EXACT else 0.02
    assert exchanged(np.array(changes)) == pytest.approx(mcnemar(gained, lost), abs=tolerance)


@pytest.mark.parametrize("items", [10, 60, 400, WHOLE + 100])
def test_exchanging_is_that_of_scipy(items):
    changes = np.random.default_rng(items).normal(0.15, 1, items)
    found = stats.permutation_test(
        (changes,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=2000 if items > 12 else np.inf, rng=np.random.default_rng(0),
    ).pvalue  # fmt: skip
    assert exchanged(changes) == pytest.approx(found, abs=0.03 if items > EXACT else 1e-9)
    assert exchanged(changes) == exchanged(-changes) == exchanged(np.append(changes, 0.0))


def test_few_items_are_never_certain():
    assert exchanged(np.array([3.0])) == 1.0
    assert exchanged(np.array([2.0, 3.0, 5.0])) == 0.25
    assert exchanged(np.zeros(9)) == 1.0


def test_seeds_alone_are_students_test_and_items_alone_normal():
    changes = [0.5, 0.9, 0.1, 0.7]
    assert items_and_seeds(changes, 0.0) == pytest.approx(stats.ttest_1samp(changes, 0).pvalue)
    assert items_and_seeds([0.5, 0.5], 0.25) == pytest.approx(normal(2.0))
    assert items_and_seeds(changes, 0.3) > items_and_seeds(changes, 0.1)
    assert items_and_seeds([0.0, 0.0], 0.0) == 1.0


def test_other_items_and_other_seeds_are_found_apart_by_chance_one_time_in_twenty():
    rng, found = np.random.default_rng(3), []
    for _ in range(2000):
        items = rng.normal(0, 1, 100)  # what these items favour
        changes = [float(rng.normal(0, 0.1) + items.mean()) for _ in range(3)]
        found.append(items_and_seeds(changes, items.std(ddof=1) / 10) < 0.05)
    assert 0.02 < np.mean(found) < 0.065


@given(st.floats(-8, 8))
def test_normal_is_that_of_scipy(z):
    assert normal(z) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)


@pytest.mark.parametrize("items", [3, 500, KEPT_ITEMS + 300])
def test_resamples_are_paired_repeatable_and_spread_as_a_mean_does(items):
    rng = np.random.default_rng(items)
    parts = np.stack([rng.normal(5, 2, items), np.ones(items)], axis=1)
    draws = resampled_ratio(parts)
    assert draws.shape == (RESAMPLES,)
    assert np.array_equal(draws, resampled_ratio(parts))
    shifted = parts + np.array([1.0, 0.0])
    assert resampled_ratio(shifted) - draws == pytest.approx(np.ones(RESAMPLES))
    assert not np.array_equal(draws, resampled_ratio(parts, seed=1))
    error = parts[:, 0].std() / math.sqrt(items)
    assert draws.std() == pytest.approx(error, rel=0.1)
    assert draws.mean() == pytest.approx(parts[:, 0].mean(), abs=5 * error / math.sqrt(RESAMPLES))
