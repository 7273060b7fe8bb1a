"""Verdicts, what would decide them, and corrections for many p values."""

import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from experiments.analysis.estimate import STUDENT, Estimate
from experiments.analysis.levels import over_seeds
from experiments.analysis.verdicts import (
    BENJAMINI_HOCHBERG,
    CONTRADICTED,
    EQUIVALENT,
    HOLM,
    NO_EFFECT,
    NOT_RUN,
    NOT_TESTABLE,
    SMALLER,
    SUPPORTED,
    TOO_SMALL,
    UNDECIDED,
    correct,
    gatekept,
    required,
    verdict,
)


def estimate(low, high, low90=None, high90=None, seeds=3) -> Estimate:
    low90, high90 = low if low90 is None else low90, high if high90 is None else high90
    value = (low90 + high90) / 2
    return Estimate(value, low, high, low90, high90, 0.5, 0.1, 0.2, seeds, 100, 100, "points",
                    "seeds and items")  # fmt: skip


TABLE = [
    # low, high, low90, high90, margin, verdict
    (0.1, 3.0, 0.3, 2.8, 2.0, SUPPORTED),
    (0.1, 1.0, 0.2, 0.9, 2.0, SMALLER),
    (-3.0, -0.1, -2.8, -0.3, 2.0, CONTRADICTED),
    (-9.0, 1.0, -8.0, 0.5, 2.0, NO_EFFECT),
    (-1.0, 1.0, -0.9, 0.9, 2.0, EQUIVALENT),
    (-1.0, 2.5, -0.8, 2.1, 2.0, UNDECIDED),
    (-9.0, 9.0, -8.0, 8.0, 2.0, UNDECIDED),
    (0.0, 1.0, 0.1, 0.9, 2.0, EQUIVALENT),  # an end at 0 is no sign
    (-1.0, 2.1, -0.9, 2.0, 2.0, UNDECIDED),  # and one at the margin does not exclude it
]


@pytest.mark.parametrize(("low", "high", "low90", "high90", "margin", "word"), TABLE)
@pytest.mark.parametrize("sign", [1, -1])
def test_every_verdict(low, high, low90, high90, margin, word, sign):
    own = estimate(low, high, low90, high90)
    own = own if sign > 0 else own.negated
    assert verdict(own, sign, margin).word == word
    assert verdict(own, sign, margin, about_training=False).word == word


def test_every_order_of_ends_and_margin_has_the_verdict_of_the_rules():
    """All placements of both intervals relative to 0 and to the margin on a grid."""
    grid, margin = np.arange(-3, 4) * 0.5, 1.0
    for low, high in itertools.product(grid, grid):
        for inset in (0.0, 0.25):
            if high - low <= 2 * inset:
                continue
            low90, high90 = low + inset, high - inset
            found = verdict(estimate(low, high, low90, high90), 1, margin).word
            if low > 0:
                assert found == (SMALLER if high90 < margin else SUPPORTED)
            elif high < 0:
                assert found == CONTRADICTED
            elif high90 < margin:
                assert found == (EQUIVALENT if low90 > -margin else NO_EFFECT)
            else:
                assert found == UNDECIDED


def test_what_was_not_run_and_what_cannot_be_tested():
    strong = estimate(5.0, 6.0)
    assert verdict(None, 1, 1.0).word == NOT_RUN
    assert verdict(strong, 1, 1.0, informative=False).word == TOO_SMALL
    one = replace(strong, n_seeds=1, sd_seeds=None)
    assert verdict(one, 1, 1.0).word == NOT_TESTABLE  # never supports a claim about training
    assert verdict(one, 1, 1.0, about_training=False).word == SUPPORTED
    assert verdict(replace(strong, low=None), 1, 1.0).word == NOT_TESTABLE
    with pytest.raises(ValueError, match="positive"):
        verdict(strong, 1, 0.0)


def test_without_a_margin_the_sign_alone_is_decided():
    assert verdict(estimate(0.1, 1.0), 1, None).word == SUPPORTED
    assert verdict(estimate(-1.0, -0.1), 1, None).word == CONTRADICTED
    assert verdict(estimate(-0.1, 0.1), 1, None).word == UNDECIDED


def test_items_above_chance_find_the_margin_as_often_as_the_power_says():
    """The number of items that is named for a benchmark at chance, by simulation."""
    own = replace(estimate(-1.0, 1.0), se_items=2.0, n_items=100)
    why = verdict(own, 1, 1.0, informative=False).why
    items = int(re.search(r"([\d,]+) items", why)[1].replace(",", ""))
    spread = math.sqrt(2.0**2 * 100 / items)
    draws = np.random.default_rng(0).normal(1.0, spread, 20_000)
    assert np.mean(draws > 1.96 * spread) == pytest.approx(0.8, abs=0.01)


def test_margins_are_two_one_sided_tests():
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.normal(rng.normal(0, 1), 1, 6)
        own, margin = over_seeds(values.tolist(), "points"), 1.2
        p, _, _ = ttost_paired(values, np.zeros(6), -margin, margin)
        inside = own.low90 > -margin and own.high90 < margin
        assert inside == (p < 0.05)
        upper = stats.ttest_1samp(values, margin, alternative="less").pvalue
        assert own.p_beyond(margin) == pytest.approx(upper)


@pytest.mark.parametrize("margin", [0.5, 0.8, 1.5, 3.0])
def test_seeds_that_are_needed_are_those_of_a_power_analysis(margin):
    own = over_seeds([0.0, 1.0, 2.0, 1.0, -1.0], "points")
    seeds, _ = required(own, margin)
    exact = TTestPower().solve_power(margin / own.sd_seeds, power=0.8, alpha=0.05)
    assert abs(seeds - np.ceil(exact)) <= 1


def test_items_first_where_seeds_cannot_suffice():
    own = replace(estimate(-9.0, 9.0), se_items=3.0, sd_seeds=0.5)
    seeds, items = required(own, 2.0)
    assert items > own.n_items
    assert own.sd_seeds**2 / seeds + own.se_items**2 * own.n_items / items <= (2.0 / 2.0) ** 2
    assert "items first" in verdict(own, 1, 2.0).why
    assert required(replace(own, sd_seeds=None), 2.0) is None
    enough = replace(own, se_items=0.1)
    assert required(enough, 2.0)[1] == own.n_items
    exclusion, sign = (required(enough, 0.5, goal)[0] for goal in ("exclusion", "sign"))
    assert exclusion <= sign


def test_an_unknown_spread_over_seeds_is_said_and_not_guessed():
    alone = Estimate(-0.02, -0.08, 0.04, -0.07, 0.03, 0.5, 0.03, None, 1, 72, 72, "x", STUDENT)
    found = verdict(alone, sign=-1, margin=0.061, about_training=False)
    assert (found.word, found.why) == (UNDECIDED, "needs a second seed, or more items")


def test_corrections_are_those_of_statsmodels_and_scipy():
    rng = np.random.default_rng(1)
    for size in (1, 2, 7, 30):
        p = rng.beta(0.4, 1, size)
        assert correct(p.tolist(), HOLM) == pytest.approx(multipletests(p, method="holm")[1])
        expected = stats.false_discovery_control(p)
        assert correct(p.tolist(), BENJAMINI_HOCHBERG) == pytest.approx(expected)
    assert correct([]) == []


def test_columns_are_tested_only_after_their_average():
    found = gatekept([0.001, 0.2], [[0.01, 0.04], [0.0001, 0.5]])
    assert found[0] == [pytest.approx(0.002), pytest.approx(0.02), pytest.approx(0.04)]
    assert found[1] == [pytest.approx(0.2), None, None]
    assert gatekept([None], [[0.01, 0.02]]) == [[pytest.approx(0.02), pytest.approx(0.02)]]
