"""Estimates about corpora: resampled documents, permuted labels, means whose error is known."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.analysis import means, resampling
from experiments.analysis.estimate import Estimate
from experiments.analysis.means import around, exact_ends
from experiments.analysis.resampling import bca, bootstrap, permuted_p, subsampled


def test_bootstrap_intervals_cover_and_pair(monkeypatch):
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(60):
        (found,) = bootstrap(lambda x: [x.mean(axis=-1)], [rng.normal(1, 2, 80)], ["x"])
        inside += found.low <= 1 <= found.high
    assert inside >= 50
    values = rng.normal(0, 5, 600)
    shifted = values + 0.1 + rng.normal(0, 0.01, 600)
    for largest in (20_000, 200):  # beyond which a part of the documents is resampled
        monkeypatch.setattr(resampling, "LARGEST", largest)
        (paired,) = bootstrap(
            lambda a, b: [(b - a).mean(axis=-1)], [values, shifted], ["x"], paired=True
        )
        assert 0.09 < paired.low < paired.value < paired.high < 0.11


def test_bca_is_that_of_scipy():
    from scipy import stats

    rng = np.random.default_rng(4)
    for paired in (False, True):
        first, second = rng.gamma(2, 1, 60), rng.gamma(2, 1.5, 60)

        def ratio(a, b, axis=-1):
            widths = [np.subtract(*np.quantile(x, [0.75, 0.25], axis=axis)) for x in (a, b)]
            return np.log(widths[1] / widths[0])

        found = bca(ratio, [first, second], "log ratio", paired)
        own = stats.bootstrap((first, second), ratio, paired=paired, method="BCa",
                              n_resamples=9999, rng=np.random.default_rng(0))  # fmt: skip
        width = own.confidence_interval.high - own.confidence_interval.low
        assert found.low == pytest.approx(own.confidence_interval.low, abs=0.12 * width)
        assert found.high == pytest.approx(own.confidence_interval.high, abs=0.12 * width)
        assert found.value == pytest.approx(float(ratio(first, second)))


def test_the_error_of_mean_similarity_is_that_of_a_u_statistic():
    """Documents of one word in four: the mean similarity of a corpus over many corpora."""
    rng = np.random.default_rng(5)

    def responses(kinds: np.ndarray) -> np.ndarray:
        same = kinds[:, None] == kinds[None, :]
        return (same.sum(axis=1) - 1) / (len(kinds) - 1)

    shares = (0.55, 0.25, 0.15, 0.05)
    drawn = [responses(rng.choice(4, 80, p=shares)) for _ in range(800)]
    truth = np.std([own.mean() for own in drawn], ddof=1)
    told = np.mean([means.mean_similarity(own).se_items for own in drawn])
    assert told == pytest.approx(truth, rel=0.12)
    naive = np.mean([own.std(ddof=1) / np.sqrt(80) for own in drawn])
    assert truth > 1.7 * naive


def test_halves_of_the_documents_tell_the_error_of_a_mean():
    rng = np.random.default_rng(6)
    values = rng.normal(0, 2, 400)
    (found,) = subsampled(lambda x: np.array([x.mean()]), [values], [0], ["x"])
    assert found.se_items == pytest.approx(2 / 20, rel=0.3)
    other = values + 0.3
    (apart,) = subsampled(lambda a, b: np.array([(b - a).mean()]), [values, other], [0, 0], ["x"])
    assert (apart.value, apart.se_items) == (pytest.approx(0.3), pytest.approx(0, abs=1e-9))


def test_permuted_labels_hold_their_level_and_find_what_is_there():
    rng = np.random.default_rng(7)

    def difference(a: np.ndarray, b: np.ndarray) -> float:
        return float(a.mean() - b.mean())

    p = [permuted_p(difference, *rng.normal(0, 1, (2, 20)), paired=False) for _ in range(60)]
    assert np.mean(np.array(p) < 0.2) < 0.4
    base = rng.normal(0, 5, 40)
    moved = base + 0.5 + rng.normal(0, 0.1, 40)
    assert permuted_p(difference, base, moved, paired=True) == resampling.LEAST_P
    assert permuted_p(difference, base, moved, paired=False) > 0.2


def test_shares_of_none_and_of_all_have_exact_ends():
    from scipy.stats import binomtest

    def flat(value: float) -> Estimate:
        return Estimate(value, value, value, value, value, None, 0.0, None, 1, 166, 166, "x", "y")

    for count in (0, 166):
        found = exact_ends(flat(count / 166), 166)
        exact = binomtest(count, 166).proportion_ci(0.95, "exact")
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    none = around(1.0, None, 1, "x")
    assert exact_ends(none, 1) == none


def test_p_is_below_five_percent_just_where_the_interval_leaves_a_threshold_out():
    rng = np.random.default_rng(4)
    found = bca(lambda x: x.mean(axis=-1), [rng.exponential(size=30)], "mean")
    assert found.low is not None and found.high is not None
    assert found.value - found.low != pytest.approx(found.high - found.value, rel=0.05)
    for end, outside in ((found.low, -1e-6), (found.high, 1e-6)):
        assert (means.p_against(found, end + outside) or 1) < 0.05
        assert (means.p_against(found, end - outside) or 0) > 0.05
    certain = replace(found, high=found.value)  # resamples that never exceed the value
    assert (means.p_against(certain, found.value + 10 * found.se_items) or 1) < 1e-6
    assert means.p_against(around(1.0, None, 1, "mean"), 0) is None
