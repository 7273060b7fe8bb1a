"""Iterated linear regression: simulation, recursion and closed forms agree, and bounds hold."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toedit.errors import UserError
from toedit.theory import closed_forms as forms
from toedit.theory.procedure import Schedule, simulate
from toedit.theory.recursion import (
    directions,
    exact,
    exact_random,
    expected,
    limit,
    sampled_directions,
)

SETTINGS = [
    (40, 4, Schedule("collapse")), (40, 4, Schedule("accumulate")),
    (40, 4, Schedule("disjoint", 0.25)), (20, 8, Schedule("disjoint", 0.5, 0.5)),
    (40, 4, Schedule("random", 0.3)), (16, 10, Schedule("random", 0.6, 0.7)),
    (40, 4, Schedule("fixed", 0.4)), (24, 12, Schedule("fixed", 0.7)),
    (40, 4, Schedule("round_robin", 0.4)), (30, 3, Schedule("random", 0.9)),
    (12, 8, Schedule("disjoint", 0.3)),
]  # fmt: skip
MASKS = hnp.arrays(bool, st.tuples(st.integers(1, 5), st.just(12)))


@pytest.mark.parametrize(("rows", "features", "schedule"), SETTINGS)
def test_what_is_simulated_is_what_the_recursion_says(rows, features, schedule):
    found = simulate(rows, features, schedule, 4, 2000, seed=3)
    known = expected(rows, features, schedule, 4, draws=100, seed=5)
    spread = np.hypot(found.stderr, known.std(axis=0, ddof=1) / math.sqrt(len(known)))
    assert np.all(np.abs(found.mean - known.mean(axis=0)) < 4 * spread)


@given(MASKS, st.integers(1, 9), st.integers(0, 99))
def test_the_recursion_is_that_of_whole_matrices_and_never_below_least_squares(masks, d, seed):
    u = directions(12, d, np.random.default_rng(seed))
    outside = np.eye(12) - u @ u.T
    covariance, errors = np.eye(12), [1.0]
    for mask in masks:
        step = np.eye(12) - np.diag(mask.astype(float)) @ outside
        covariance = step @ covariance @ step.T + np.diag(mask.astype(float))
        errors.append(np.trace(u.T @ covariance @ u) / d)
    found = exact(u, masks)
    np.testing.assert_allclose(found, errors, atol=1e-9)
    assert found.min() >= 1 - 1e-9


def test_collapse_is_the_number_of_fits_for_any_data():
    for u in sampled_directions(15, 6, 5, seed=1):
        np.testing.assert_allclose(exact(u, np.ones((7, 15), bool)), forms.collapsed(8), atol=1e-9)
    assert forms.accumulated(10_000)[-1] < math.pi**2 / 6


def test_random_masks_are_the_mean_over_all_masks():
    u = directions(5, 2, np.random.default_rng(0))
    every = np.array(list(itertools.product([False, True], repeat=5)))
    weights = 0.3 ** every.sum(1) * 0.7 ** (~every).sum(1)
    mean = np.zeros(3)
    for (i, first), (j, second) in itertools.product(enumerate(every), repeat=2):
        mean += weights[i] * weights[j] * exact(u, np.array([first, second]))
    np.testing.assert_allclose(exact_random(u, [0.3, 0.3]), mean, atol=1e-9)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_one_edit_at_finite_size(fraction):
    found = simulate(10, 5, Schedule("fixed", fraction), 2, 6000, seed=1)
    assert abs(found.mean[1] - forms.one_edit(fraction, 10, 5)) < 4 * found.stderr[1]


@given(st.floats(0, 1), st.integers(1, 50), st.integers(2, 500))
def test_one_edit_never_exceeds_two(fraction, features, more):
    assert 1 <= forms.one_edit(fraction, features + more, features) <= 2 + 1e-12


def test_closed_limits_are_those_of_the_recursion_over_classes():
    rng = np.random.default_rng(0)
    for fractions, schedule in (([0.25] * 4, Schedule("disjoint", 0.25)),
                                ([0.5, 0.25, 0.125], Schedule("disjoint", 0.5, 0.5))):  # fmt: skip
        masks = schedule.masks(16, len(fractions), rng)
        closed = [forms.disjoint_limit(fractions[:n]) for n in range(len(fractions) + 1)]
        np.testing.assert_allclose(limit(masks), closed, atol=1e-9)
    masks = Schedule("fixed", 0.25).masks(16, 6, rng)
    np.testing.assert_allclose(
        limit(masks), [forms.fixed_limit(0.25, n) for n in range(7)], atol=1e-9
    )
    assert forms.fixed_limit(0.25, 200) == pytest.approx(1.5 / (1 - 0.25**2))
    every = np.array(list(itertools.product([False, True], repeat=5))).T  # shares of one half
    np.testing.assert_allclose(
        limit(every), [forms.random_limit([0.5] * n) for n in range(6)], atol=1e-9
    )
    np.testing.assert_allclose(
        limit(every, original=True), [forms.original_limit(0.5, n) for n in range(6)], atol=1e-9
    )
    assert forms.original_limit(0.3, 200) == pytest.approx(1 + 0.3 * 1.7 / (1 - 0.09))
    halves = forms.random_limit([0.3 * 0.5**n for n in range(60)])
    assert forms.geometric_limit(0.3, 0.5) == pytest.approx(halves)


@pytest.mark.parametrize("schedule", [Schedule("random", 0.3), Schedule("fixed", 0.3),
                                      Schedule("disjoint", 0.2)])  # fmt: skip
def test_finite_sizes_tend_to_the_limit(schedule):
    masks = schedule.masks(1000, 4, np.random.default_rng(0))
    known = limit(masks)
    far, near = (
        np.abs(exact(directions(1000, d, np.random.default_rng(1)), masks) - known).max()
        for d in (200, 10)
    )
    assert near < far / 4


def test_rows_of_small_residual_and_the_original_labels():
    chosen = simulate(1500, 15, Schedule("residual", 0.4), 2, 200, seed=2)
    assert abs(chosen.mean[1] - forms.residual_limit(0.4)) < 4 * chosen.stderr[1]
    assert forms.residual_limit(0.4) < forms.one_edit(0.4, 1500, 15)
    again = simulate(1500, 15, Schedule("original", 0.4), 5, 200, seed=2)
    closed = [forms.original_limit(0.4, n) for n in range(5)]
    assert np.all(np.abs(again.mean - closed) < 4 * again.stderr + 0.02)  # d/T is 0.01
    assert np.all(np.abs(chosen.share - 0.4) < 0.06)  # 5 standard deviations of 1,500 rows


def test_shares_of_small_residuals_come_about():
    """Edited labels carry fresh noise, so later models find other residuals small."""
    found = simulate(400, 4, Schedule("residual", 0.3), 6, 100, seed=1).share.mean(axis=0)
    assert found[0] == pytest.approx(0.3, abs=0.01)
    assert np.all(np.diff(found) < 0)
    many = simulate(50_000, 2, Schedule("residual", 0.3), 4, 4, seed=1).share.mean(axis=0)
    assert many == pytest.approx([0.3, 0.3**2, 0.3**3], abs=0.005)  # each stays with probability f
    assert simulate(40, 4, Schedule("residual", 1.0), 2, 3).share.min() == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_disjoint_edits_stay_below_their_supremum(weights):
    total = sum(weights)
    fractions = [w / max(total, 1.0) for w in weights]
    assert forms.disjoint_limit(fractions) <= 2 * math.exp(sum(fractions)) - 1 + 1e-9
    assert forms.disjoint_limit(fractions) <= forms.SUPREMUM + 1e-9
    assert forms.disjoint_limit(fractions) >= forms.theorem_1(fractions) - 1e-9


def test_the_supremum_is_approached_and_theorem_2_is_exceeded():
    assert forms.disjoint_limit([1e-4] * 10_000) > forms.SUPREMUM - 1e-3
    assert forms.disjoint_limit([0.5, 0.5]) == pytest.approx(2.6875)
    halves = expected(200, 10, Schedule("disjoint", 0.5), 3, 16)[:, -1]
    assert halves.mean() > forms.THEOREM_2 + 0.5
    assert forms.theorem_1([0.5, 0.5]) == 2


@given(MASKS)
def test_rows_that_are_never_edited_bound_the_limit(masks):
    kept = (~masks.any(axis=0)).mean()
    if kept:
        assert limit(masks).max() <= 1 / kept**2 + 1e-9


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(1, 9), st.integers(0, 99))
def test_random_edits_stay_below_their_limit_at_every_size(fractions, d, seed):
    found = exact_random(directions(11, d, np.random.default_rng(seed)), fractions)
    bound = [forms.random_limit(fractions[:n]) for n in range(len(found))]
    assert np.all(found <= np.array(bound) + 1e-9)


def test_at_finite_size_that_bound_is_exceeded():
    assert expected(40, 30, Schedule("fixed", 0.5), 20, 16)[:, -1].mean() > 4


@pytest.mark.parametrize("kind", ["random", "disjoint"])
@pytest.mark.parametrize(("rows", "features"), [(20, 4), (200, 10), (30, 24)])
def test_the_geometric_bound_is_not_exceeded(kind, rows, features):
    schedule = Schedule(kind, 0.4, 0.5)
    bound = forms.geometric_bound(rows, features, 0.4, 0.5)
    assert expected(rows, features, schedule, 10, 16).mean(axis=0).max() < bound


def test_scales_of_features_and_of_noise_do_not_matter():
    schedule = Schedule("random", 0.4)
    plain = simulate(40, 4, schedule, 3, 4000, seed=1)
    other = simulate(40, 4, schedule, 3, 4000, seed=2, sigma=3.0, scales=[0.1, 1.0, 10.0, 100.0])
    assert np.all(np.abs(plain.mean - other.mean) < 4 * np.hypot(plain.stderr, other.stderr))


def test_the_same_seed_gives_the_same_numbers():
    one, two, other = (simulate(20, 3, Schedule("random", 0.5), 3, 5, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.error, two.error)
    assert not np.array_equal(one.error, other.error)


def test_memory_grows_with_the_data_and_with_the_square_of_its_rows():
    tracemalloc.start()
    simulate(20_000, 5, Schedule("random", 0.1), 3, 2)
    assert tracemalloc.get_traced_memory()[1] < 10 * 20_000 * 5 * 8
    tracemalloc.reset_peak()
    masks = np.random.default_rng(0).random((3, 1000)) < 0.3
    exact(directions(1000, 5, np.random.default_rng(0)), masks)
    assert tracemalloc.get_traced_memory()[1] < 4 * 1000**2 * 8
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: simulate(11, 10, Schedule("collapse"), 2, 2),
            r"T=11 rows for d=10 .* T >= d \+ 2",
        ),
        (lambda: forms.one_edit(0.5, 4, 3), r"T >= d \+ 2"),
        (lambda: forms.geometric_bound(13, 10, 0.5, 0.5), r"geometric bound needs T >= d \+ 4"),
        (lambda: forms.geometric_limit(0.5, 1.0), "without 1"),
        (lambda: forms.geometric_bound(30, 10, 0.5, 1.0), "without 1"),
        (lambda: forms.one_edit(1.5, 40, 3), r"fraction=1.5 must lie in 0..1"),
        (lambda: Schedule("random", 0.5, -1), r"decay=-1 must lie in 0..1"),
        (lambda: Schedule("randum"), "did you mean 'random'"),
        (lambda: Schedule("disjoint", 0.4).fractions(3), r"3 disjoint edits .* add up to 1.2"),
        (lambda: expected(40, 4, Schedule("residual", 0.4), 3), "has no recursion here"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(call, message):
    with pytest.raises(UserError, match=message):
        call()
