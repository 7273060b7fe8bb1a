"""Estimates against scipy, statsmodels and resampling."""

import json
import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from evals.scoring import f1_of
from evals.suites import suite
from experiments.analysis import f1
from experiments.analysis import metrics as m
from experiments.analysis.compare import DifferentItems, aggregate, compare
from experiments.analysis.distributions import (
    half_width,
    mcnemar_p,
    tango_interval,
    tango_z,
    two_sided_p,
)
from experiments.analysis.estimate import (
    NONE,
    SEEDS_AND_ITEMS,
    STUDENT,
    SWAPPED,
    TANGO,
    Estimate,
)
from experiments.analysis.levels import contrast, geometric_level, level, over_seeds
from experiments.analysis.observations import Observations
from experiments.reports.format import difference_text, legend

TASKS = suite("biomedicine_embedded")
ACCURACY = m.benchmark(TASKS[0])
SENSITIVE = m.benchmark(TASKS[0], "norm_logprob")
BITS, PERPLEXITY, SHARE = m.bits_per_byte(), m.perplexity(), m.near_certain()


def observed(values, clusters=None, weights=None, order=None) -> Observations:
    rows = [
        {"item": f"i{n:05d}", "cluster": None if clusters is None else f"c{clusters[n]}"}
        for n in range(len(values))
    ]
    values = np.array(values, float)
    below = np.ones(len(values)) if weights is None else np.array(weights, float)
    order = range(len(values)) if order is None else order
    return Observations.of([rows[i] for i in order], values[list(order)], below[list(order)])


def test_an_estimate_goes_through_json_and_back():
    rng = np.random.default_rng(0)
    found = compare({s: observed(rng.normal(size=30)) for s in (0, 1)},
                    {s: observed(rng.normal(size=30)) for s in (0, 1)}, SENSITIVE)  # fmt: skip
    kept = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert Estimate.from_json(kept) == found
    assert {"value", "low", "high", "low90", "high90", "p", "se_items", "sd_seeds", "n_seeds",
            "n_items", "n_clusters", "scale", "method"} <= set(kept)  # fmt: skip


def test_different_items_raise_and_order_is_aligned_by_id():
    values = np.random.default_rng(1).normal(size=40)
    first, second = observed(values), observed(np.zeros(40))
    mixed = observed(values, order=np.random.default_rng(2).permutation(40))
    assert compare({0: first}, {0: second}, SENSITIVE) == compare(
        {0: mixed}, {0: second}, SENSITIVE
    )
    with pytest.raises(ValueError, match="different items"):
        compare({0: first}, {0: observed(np.zeros(39))}, SENSITIVE)
    with pytest.raises(ValueError, match="no seed in common"):
        compare({0: first}, {1: second}, SENSITIVE)
    rows = [{"item": "a"}, {"item": "a"}]
    with pytest.raises(ValueError, match="'a'"):
        Observations.of(rows, np.zeros(2), np.ones(2))


@pytest.mark.parametrize("metric", [ACCURACY, SENSITIVE, PERPLEXITY, SHARE, BITS])
@pytest.mark.parametrize("seeds", [1, 3])
def test_comparisons_are_antisymmetric(metric, seeds):
    rng = np.random.default_rng(3)
    arms = [
        {s: observed(rng.integers(0, 2, 50) + (metric is not ACCURACY), rng.integers(0, 20, 50))
         for s in range(seeds)} for _ in range(2)
    ]  # fmt: skip
    clusters = arms[0][0].clusters
    arms = [{s: Observations(o.items, clusters, o.above, o.below) for s, o in arm.items()}
            for arm in arms]  # fmt: skip
    one, other = compare(arms[0], arms[1], metric), compare(arms[1], arms[0], metric).negated
    for name in ("value", "low", "high", "low90", "high90", "p", "se_items"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9)
    assert one.negated.negated == one


def test_one_seed_of_right_and_wrong_is_mcnemar_and_tango():
    rng = np.random.default_rng(4)
    a, b = rng.random(80) < 0.7, rng.random(80) < 0.5
    found = compare({0: observed(a)}, {0: observed(b)}, ACCURACY)
    gained, lost = int((a & ~b).sum()), int((b & ~a).sum())
    assert found.p == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)
    assert found.method == TANGO
    assert found.value == pytest.approx(100 * (gained - lost) / 80)
    z = (tango_z(gained, lost, 80, found.low / 100), tango_z(gained, lost, 80, found.high / 100))
    assert z == pytest.approx((stats.norm.ppf(0.975), stats.norm.ppf(0.025)), abs=1e-6)
    exact = mcnemar([[0, gained], [lost, 0]], exact=False, correction=False)
    assert tango_z(gained, lost, 80, 0.0) ** 2 == pytest.approx(exact.statistic)
    assert mcnemar_p(gained, lost) == pytest.approx(mcnemar([[0, gained], [lost, 0]]).pvalue)


def test_arms_that_agree_on_all_items_may_differ_on_others():
    same = observed([1, 0] * 10)
    found = compare({0: same}, {0: same}, ACCURACY)
    reach = 100 * stats.norm.ppf(0.975) ** 2 / (20 + stats.norm.ppf(0.975) ** 2)
    assert (found.low, found.high) == pytest.approx((-reach, reach), abs=1e-6)
    assert (found.value, found.p) == (0, 1)
    assert tango_interval(20, 0, 20, 0.95)[1] == 1.0
    several = compare({0: same, 1: same}, {0: same, 1: same}, ACCURACY)
    assert several.se_items == pytest.approx(100 * math.sqrt(3) / 20)
    assert several.low < -10 < 10 < several.high
    assert several.unvaried == ("pubmedqa_yesno",)
    average = aggregate([({0: same}, {0: same}, m.benchmark(t)) for t in TASKS])
    assert average.unvaried == tuple(t.name for t in TASKS)
    assert average.se_items == pytest.approx(100 * math.sqrt(3) / 20 / math.sqrt(3))


def test_clusters_widen_tango_by_their_design_effect():
    rng = np.random.default_rng(5)
    a, b = rng.random(20).repeat(5) < 0.8, rng.random(20).repeat(5) < 0.4
    clusters = np.arange(20).repeat(5)
    alone = compare({0: observed(a)}, {0: observed(b)}, ACCURACY)
    together = compare({0: observed(a, clusters)}, {0: observed(b, clusters)}, ACCURACY)
    assert together.n_clusters == 20
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert 1.9 < ratio < 2.6  # items of a cluster are alike: about the root of 5
    assert together.p > alone.p
    single = compare({0: observed(a[::5])}, {0: observed(b[::5])}, ACCURACY)
    assert (together.low, together.high) == pytest.approx((single.low, single.high), rel=0.15)


def test_seeds_and_items_reduce_to_the_tests_of_each_alone():
    values = [0.3, 0.5, 1.1, 0.2]
    seeds_only = over_seeds(values, "nats")
    test = stats.ttest_1samp(values, 0)
    assert seeds_only.p == pytest.approx(test.pvalue)
    interval = test.confidence_interval(0.95)
    assert (seeds_only.low, seeds_only.high) == pytest.approx((interval.low, interval.high))
    low90, high90 = test.confidence_interval(0.9)
    assert (seeds_only.low90, seeds_only.high90) == pytest.approx((low90, high90))
    assert two_sided_p(1.3, 0, 3, 0.6) == pytest.approx(2 * stats.norm.sf(1.3 / 0.6))
    assert half_width(0.95, 0, 3, 0.6) == pytest.approx(0.6 * stats.norm.ppf(0.975))
    found = compare({0: observed([0.2, 0.4, 0.1, 0.9])}, {0: observed([0.0] * 4)}, SENSITIVE)
    test = stats.ttest_1samp([0.2, 0.4, 0.1, 0.9], 0)
    assert (found.p, found.method) == (pytest.approx(test.pvalue), STUDENT)


@pytest.mark.parametrize("df", [1, 2, 4])
@pytest.mark.parametrize("items", [0.2, 1.0, 4.0])
def test_the_sum_of_both_components_is_integrated_as_it_is_drawn(df, items):
    rng = np.random.default_rng(6)
    drawn = np.abs(rng.standard_t(df, 400_000) + items * rng.standard_t(12, 400_000))
    for value in (0.5, 2.0, 8.0):
        assert two_sided_p(value, 1, df, items, 12) == pytest.approx(
            (drawn >= value).mean(), abs=0.003
        )
    half = half_width(0.95, 1, df, items, 12)
    assert two_sided_p(half, 1, df, items, 12) == pytest.approx(0.05, abs=1e-9)


def test_clustered_errors_are_those_of_statsmodels():
    rng = np.random.default_rng(7)
    clusters = rng.integers(0, 15, 90)
    values = rng.normal(size=90) + rng.normal(size=15)[clusters]
    found = compare({0: observed(values, clusters)}, {0: observed(np.zeros(90), clusters)},
                    SENSITIVE)  # fmt: skip
    fit = sm.OLS(values, np.ones(90)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    assert found.se_items == pytest.approx(fit.bse[0])
    assert found.n_clusters == len(set(clusters))


@pytest.mark.parametrize("metric", [BITS, PERPLEXITY, SHARE])
def test_linearised_errors_are_those_of_joint_resamples(metric):
    rng = np.random.default_rng(8)
    sizes = rng.integers(20, 300, 150).astype(float)
    rates = rng.gamma(4, 0.5, 150)
    a, b = sizes * rates * rng.normal(1, 0.05, 150), sizes * rates * rng.normal(1.02, 0.05, 150)
    found = compare({0: observed(a, weights=sizes)}, {0: observed(b, weights=sizes)}, metric)
    picks = rng.integers(0, 150, (10_000, 150))
    ratios = [own[picks].sum(axis=1) / sizes[picks].sum(axis=1) for own in (a, b)]
    drawn = [metric.compared(x) - metric.compared(y) for x, y in zip(*ratios, strict=True)]
    assert found.se_items == pytest.approx(np.std(drawn, ddof=1), rel=0.03)
    whole = [own.sum() / sizes.sum() for own in (a, b)]
    assert found.value == pytest.approx(metric.compared(whole[0]) - metric.compared(whole[1]))


def answers(rng, n: int, right: float) -> np.ndarray:
    gold = rng.integers(0, 3, n)
    found = np.where(rng.random(n) < right, gold, rng.integers(0, 3, n))
    return np.stack([np.zeros(n, int), gold, found], axis=1)


def test_f1_draws_items_once_for_all_seeds():
    rng = np.random.default_rng(9)
    first, second = answers(rng, 120, 0.6), answers(rng, 120, 0.5)
    second[:, 1] = first[:, 1]
    names = [f"i{n}" for n in range(120)]
    once = f1.error([first], [second], names)
    again = f1.error([first] * 3, [second] * 3, names)
    assert again == pytest.approx(once)  # the items are the same: no more is known of others
    picks = rng.integers(0, 120, (2000, 120))
    ones = np.ones(120)
    drawn = [f1_of(first[p], ones) - f1_of(second[p], ones) for p in picks]
    assert once == pytest.approx(np.std(drawn, ddof=1), rel=0.06)
    clustered = f1.error([first.repeat(4, 0)], [second.repeat(4, 0)], np.repeat(names, 4))
    assert clustered == pytest.approx(once, rel=0.06)


def test_f1_is_tested_by_swapping_predictions():
    rng = np.random.default_rng(10)
    names = [f"i{n}" for n in range(80)]
    same = answers(rng, 80, 0.5)
    assert f1.swap_p(same, same, names) == 1.0
    better = same.copy()
    better[:, 2] = same[:, 1]
    assert f1.swap_p(better, same, names) == pytest.approx(1 / (1 + f1.DRAWS))
    other = same.copy()
    other[:, 2] = np.where(rng.random(80) < 0.5, same[:, 1], rng.integers(0, 3, 80))
    assert f1.swap_p(other, same, names) == f1.swap_p(same, other, names) > 0.01


def test_an_average_is_the_comparison_of_weighted_items():
    rng = np.random.default_rng(11)
    sizes, seeds = (30, 90), (0, 1, 2)
    a = [{s: observed(rng.normal(0.3, 1, n)) for s in seeds} for n in sizes]
    b = [{s: observed(rng.normal(0.0, 1, n)) for s in seeds} for n in sizes]
    metrics = [m.benchmark(t, "norm_logprob") for t in TASKS[:2]]
    found = aggregate(list(zip(a, b, metrics, strict=True)))
    joined = [
        {s: observed(np.concatenate([own[s].above * 120 / (2 * n)
                                     for own, n in zip(arm, sizes, strict=True)]))
         for s in seeds} for arm in (a, b)
    ]  # fmt: skip
    whole = compare(joined[0], joined[1], SENSITIVE)
    assert found.value == pytest.approx(whole.value)
    assert found.by_seed == pytest.approx(whole.by_seed)
    assert found.sd_seeds == pytest.approx(whole.sd_seeds)
    parts = [compare(x, y, metric) for x, y, metric in zip(a, b, metrics, strict=True)]
    assert found.se_items == pytest.approx(math.hypot(*(p.se_items for p in parts)) / 2)
    # Without the variance between tasks, which no sample of items knows, the errors agree too.
    assert found.se_items == pytest.approx(whole.se_items, rel=0.05)
    weighted = aggregate(list(zip(a, b, metrics, strict=True)), [0.25, 0.75])
    plain = [{s: observed(np.concatenate([own[s].above for own in arm])) for s in seeds}
             for arm in (a, b)]  # fmt: skip
    assert weighted.value == pytest.approx(compare(plain[0], plain[1], SENSITIVE).value)
    with pytest.raises(ValueError, match="scales"):
        aggregate([(a[0], b[0], SENSITIVE), (a[1], b[1], BITS)])


def test_the_exponential_of_a_log_ratio_is_that_of_geometric_means():
    rng = np.random.default_rng(12)
    domains = [m.perplexity(("domain", name)) for name in ("a", "b", "c")]
    arms = [
        [{s: observed(rng.gamma(5, 1, 40), weights=rng.integers(1, 9, 40)) for s in (0, 1)}
         for _ in domains] for _ in range(2)
    ]  # fmt: skip
    arms[1] = [
        {s: Observations(o.items, o.clusters, o.above, arms[0][i][s].below)
         for s, o in own.items()} for i, own in enumerate(arms[1])
    ]  # fmt: skip
    found = aggregate(list(zip(arms[0], arms[1], domains, strict=True)))
    means = [[stats.gmean([math.exp(own[s].ratio) for own in arm]) for s in (0, 1)] for arm in arms]
    ratios = [x / y for x, y in zip(*means, strict=True)]
    assert math.exp(found.value) == pytest.approx(stats.gmean(ratios))
    shown = geometric_level(list(zip(arms[0], domains, strict=True)))
    assert shown.value == pytest.approx(np.mean(means[0]))
    assert level(list(zip(arms[0], domains, strict=True))).value == pytest.approx(
        np.mean([math.exp(own[s].ratio) for own in arms[0] for s in (0, 1)])
    )


def test_contrasts_are_polynomials_fitted_seed_by_seed():
    rng = np.random.default_rng(13)
    ratios, values = [0, 0.25, 0.5, 0.75, 1], rng.normal(6, 0.3, (3, 5))
    for degree in (1, 2):
        found = contrast(ratios, values, degree, "log ratio")
        fits = [np.polyfit(ratios, row, degree)[0] for row in values]
        assert found.by_seed == pytest.approx(fits)
        assert found.p == pytest.approx(stats.ttest_1samp(fits, 0).pvalue)
    assert contrast(ratios, values[:1], 1, "nats").p is None  # one seed says nothing of others


def test_an_arm_without_seeds_stands_beside_every_seed():
    rng = np.random.default_rng(14)
    base, trained = (
        observed(rng.normal(size=20)),
        {s: observed(rng.normal(size=20)) for s in (4, 7)},
    )
    found = compare(trained, {None: base}, SENSITIVE)
    assert (found.n_seeds, found.method) == (2, SEEDS_AND_ITEMS)
    expected = [trained[s].ratio - base.ratio for s in (4, 7)]
    assert found.by_seed == pytest.approx(expected)


def test_models_that_are_the_same_have_no_interval():
    values = np.random.default_rng(15).normal(size=20)
    found = compare({0: observed(values)}, {0: observed(values)}, SENSITIVE)
    assert (found.value, found.low, found.high, found.method) == (0, None, None, NONE)
    assert found.p == 1.0
    assert found.detectable is None


def test_a_small_task_that_carries_the_variance_has_few_degrees_of_freedom():
    """Welch and Satterthwaite: of one noisy task of 5 items and one of 2,000 the df is 4."""
    rng = np.random.default_rng(8)
    small, large = observed(rng.normal(size=5)), observed(rng.normal(size=2000))
    nothing = [observed(np.zeros(n)) for n in (5, 2000)]
    found = aggregate([({0: small}, {0: nothing[0]}, SENSITIVE),
                       ({0: large}, {0: nothing[1]}, SENSITIVE)])  # fmt: skip
    assert found.df_items == pytest.approx(4, abs=0.1)
    width = stats.t.ppf(0.975, found.df_items) * found.se_items
    assert found.high == pytest.approx(found.value + width)
    again = Estimate.from_json(json.loads(json.dumps(found.to_json())))
    assert again.p_beyond(1.0) == found.p_beyond(1.0)


@pytest.mark.parametrize("seeds", [1, 2])
def test_agreement_on_copies_of_a_text_says_no_more_than_on_one(seeds):
    """400 answers about 40 texts that never differ leave as much open as 40 answers."""
    answers = np.arange(400) % 2
    of_texts = [observed(answers, clusters=np.arange(400) // 10) for _ in range(2)]
    of_items = [observed(answers[:40]) for _ in range(2)]
    whole = compare(*({s: o for s in range(seeds)} for o in of_texts), ACCURACY)
    few = compare(*({s: o for s in range(seeds)} for o in of_items), ACCURACY)
    assert whole.high == pytest.approx(few.high)
    assert whole.high > 5


def test_items_of_a_single_text_are_one_item():
    rng = np.random.default_rng(9)
    arms = [{0: observed(rng.integers(0, 2, 40), clusters=np.zeros(40, int))} for _ in range(2)]
    found = compare(*arms, ACCURACY)
    assert found.n_clusters == 1
    assert found.high - found.low > 100  # points
    assert math.isfinite(found.p_beyond(1.0))
    several = compare(*({s: arm[0] for s in (0, 1)} for arm in arms), SENSITIVE)
    assert several.p is None or math.isfinite(several.p)
    assert several.detectable is None or math.isfinite(several.detectable)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_share_of_nothing_has_no_ratio(seeds):
    none, some = observed(np.zeros(20)), observed(np.arange(20) % 2)
    for first, second in ((none, some), (some, none), (none, none)):
        found = compare({s: first for s in range(seeds)}, {s: second for s in range(seeds)}, SHARE)
        assert (found.low, found.high, found.p, found.method) == (None, None, None, NONE)
        assert "undefined" in difference_text(found, 2)
        assert Estimate.from_json(found.to_json()).low is None


def test_seeds_that_saw_different_items_are_refused():
    values = np.arange(10.0)
    other = observed(np.arange(11.0))
    with pytest.raises(DifferentItems, match="different items"):
        level([({0: observed(values), 1: other}, SENSITIVE)])
    with pytest.raises(DifferentItems, match="different items"):
        compare({0: observed(values)}, {0: other}, SENSITIVE)


@pytest.mark.parametrize("seeds", [1, 3])
def test_what_could_be_seen_is_found_in_four_of_five(seeds):
    """Power of the test itself, where all error is of items or all is of seeds."""
    rng, n = np.random.default_rng(10), 12
    drawn = rng.normal(0, 1, n)
    found = compare({s: observed(drawn) for s in range(seeds)},
                    {s: observed(np.zeros(n)) for s in range(seeds)}, SENSITIVE)  # fmt: skip
    by_hand = stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1)
    assert found.detectable == pytest.approx(by_hand * drawn.std(ddof=1) / math.sqrt(n))


def test_f1_says_how_it_was_tested():
    metric = next(m.benchmark(t) for t in suite("finance_adaptllm") if m.benchmark(t).shape == m.F1)
    rng = np.random.default_rng(11)
    rows = [{"item": str(n)} for n in range(40)]
    answers = [np.stack([np.zeros(40, int), *rng.integers(0, 2, (2, 40))], axis=1) for _ in "ab"]
    arms = [{0: Observations.of(rows, np.ones(40), np.ones(40), own)} for own in answers]
    found = compare(*arms, metric)
    assert found.method == SWAPPED
    assert "swapped" in legend([], [found])


@pytest.mark.parametrize("seeds", [1, 3])
def test_rows_that_name_no_cluster_take_those_of_the_others(seeds):
    """Rows of an older version beside newer ones of the same items."""
    rng = np.random.default_rng(13)
    texts = np.arange(200) // 10
    shift = rng.normal(size=20)[texts]
    old = {s: observed(rng.normal(size=200) + shift) for s in range(seeds)}
    new = {s: observed(rng.normal(size=200), clusters=texts) for s in range(seeds)}
    one, other = compare(old, new, SENSITIVE), compare(new, old, SENSITIVE)
    assert (one.n_clusters, other.n_clusters) == (20, 20)
    assert one.negated == other
    mixed = {**old, seeds: new[0]}
    assert level([(mixed, SENSITIVE)]).n_clusters == 20
