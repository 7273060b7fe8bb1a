"""p values and their correction, against statsmodels and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests

from experiments.paper.comparison import KEPT_ITEMS, RESAMPLES, resampled_ratio
from experiments.paper.significance import holm, mcnemar, normal, student


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_exact_one_of_statsmodels(gained, lost):
    expected = reference_mcnemar([[7, gained], [lost, 9]], exact=True).pvalue
    assert mcnemar(gained, lost) == pytest.approx(min(1.0, expected), rel=1e-9)


def test_mcnemar_of_many_items_is_near_the_exact_one():
    exact = stats.binomtest(560, 1100).pvalue
    assert mcnemar(560, 540) == pytest.approx(exact, rel=0.02)
    assert mcnemar(550, 551) == pytest.approx(1.0, abs=0.03)
    assert mcnemar(0, 0) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_holm_is_that_of_statsmodels(values):
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1].tolist())


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=8).filter(lambda v: np.std(v) > 1e-3))
def test_student_is_that_of_scipy(values):
    assert student(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-6)


def test_seeds_that_all_differ_by_the_same_are_certain_or_say_nothing():
    assert student([0.0, 0.0, 0.0]) == 1.0
    assert student([0.5, 0.5]) == 0.0


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
