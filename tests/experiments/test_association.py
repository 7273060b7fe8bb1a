"""Correlation with a ratio, and its permutation test against one written out by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.paper.association import association, interval

RATIOS = [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_perfect_rise_has_the_smallest_p_there_is():
    rising = [[1.0, 2, 3, 4, 5]]
    found = association(RATIOS, rising)
    assert found.r == pytest.approx(1)
    assert found.p == pytest.approx(2 / math.factorial(5))
    assert association(RATIOS, rising * 2).p == pytest.approx(2 / math.factorial(5) ** 2)
    assert association(RATIOS, [[5.0, 4, 3, 2, 1]]).r == pytest.approx(-1)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=8, max_size=8).filter(
    lambda v: len(set(v[:4])) > 1 and len(set(v[4:])) > 1))  # fmt: skip
def test_p_is_the_share_of_permutations_at_least_as_extreme(numbers):
    ratios, values = [0.0, 0.3, 0.5, 1.0], [numbers[:4], numbers[4:]]

    def statistic(orders):
        return sum(np.corrcoef(ratios, [row[i] for i in order])[0, 1]
                   for row, order in zip(values, orders, strict=True))  # fmt: skip

    every = [statistic(o) for o in itertools.product(itertools.permutations(range(4)), repeat=2)]
    observed = statistic([range(4), range(4)])
    share = np.mean([abs(s) >= abs(observed) - 1e-9 for s in every])
    found = association(ratios, values)
    assert found.exact
    assert found.p == pytest.approx(share, abs=1e-9)
    assert found.r == pytest.approx(observed / 2)


def test_one_exchange_for_all_seeds_cannot_be_rarer_than_its_orders():
    rising = [[1.0, 2, 3, 4, 5]] * 3
    assert association(RATIOS, rising).p_joint == pytest.approx(2 / math.factorial(5))
    assert association(RATIOS, rising).p < 1e-5


def test_values_that_do_not_vary_are_no_evidence():
    found = association(RATIOS, [[1.0, 2, 3, 4, 5], [2.0] * 5])
    assert math.isnan(found.r)
    assert math.isnan(found.p)


def test_a_sampled_p_is_never_zero():
    assert association(RATIOS, [[1.0, 2, 3, 4, 5]] * 4).p > 0


def test_seeds_are_strata():
    """An offset between seeds is no evidence of anything."""
    values = [[1.0, 3, 2, 5, 4], [101.0, 103, 102, 105, 104]]
    shifted = [[1.0, 3, 2, 5, 4], [1.0, 3, 2, 5, 4]]
    assert association(RATIOS, values) == association(RATIOS, shifted)


def test_many_seeds_are_sampled_and_say_so():
    rng = np.random.default_rng(1)
    found = association(RATIOS, rng.normal(size=(5, 5)))
    assert not found.exact
    assert 0 < found.p <= 1


def test_interval_of_a_mean():
    assert math.isnan(interval([1.0]))
    assert interval([1.0, 2.0, 3.0]) == pytest.approx(4.303 / math.sqrt(3), rel=1e-3)
