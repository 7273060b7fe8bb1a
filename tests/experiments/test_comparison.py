"""The paired bootstrap against what is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.paper.comparison import (
    bits_per_byte,
    column_mean,
    f1_difference,
    mean_difference,
    paired_difference,
)
from experiments.stages.evaluate import mean_and_error, summarize_held_out


def rows(values):
    return [{"item": str(i), "value": float(v)} for i, v in enumerate(values)]


def test_difference_interval_and_detectable_effect():
    rng = np.random.default_rng(1)
    base = rng.normal(size=400)
    noise = rng.normal(0.1, 0.5, 400)
    result = paired_difference(rows(base + noise), rows(base), column_mean("value"))
    error = noise.std(ddof=1) / math.sqrt(400)
    assert result.value == pytest.approx(noise.mean())
    assert result.low == pytest.approx(noise.mean() - 1.96 * error, abs=0.1 * error * 1.96)
    assert result.high == pytest.approx(noise.mean() + 1.96 * error, abs=0.1 * error * 1.96)
    assert result.detectable == pytest.approx(2.8016 * error, rel=0.05)


def test_intervals_cover_the_truth():
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        a, b = rng.random(60) < 0.6, rng.random(60) < 0.5
        result = paired_difference(rows(a), rows(b), column_mean("value"))
        covered += result.low <= 0.1 <= result.high
    assert 180 <= covered <= 199


def test_equal_arms_differ_by_nothing():
    result = paired_difference(rows([1, 0, 1]), rows([1, 0, 1]), column_mean("value"))
    assert (result.value, result.low, result.high) == (0, 0, 0)


def test_agreement_on_few_items_detects_little():
    """Twenty items on which two arms agree cannot exclude that they differ on three in twenty."""
    same = rows([1, 0] * 10)
    result = paired_difference(same, same, column_mean("value"))
    assert result.detectable == pytest.approx(2.8016 * math.sqrt(0.15 / 20), rel=1e-4)
    average = mean_difference([same, same], [same, same], ["acc", "acc"])
    assert average.detectable == pytest.approx(result.detectable / math.sqrt(2))
    other = rows([0, 1] * 10)  # every item discordant
    assert paired_difference(same, other, column_mean("value")).detectable == pytest.approx(
        2.8016 / math.sqrt(20), rel=1e-4
    )


def test_f1_of_arms_that_agree_detects_little():
    same = [
        {"item": i, "group": 0, "gold": i % 2, "prediction": 0, "value": 0.0} for i in range(20)
    ]
    found = f1_difference(same, same)
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert found.detectable == pytest.approx(2.8016 * math.sqrt(0.15 / 20), rel=1e-4)
    average = mean_difference([same, same], [same, same], ["weighted_f1", "weighted_f1"])
    assert average.detectable == pytest.approx(found.detectable / math.sqrt(2))


def test_different_items_cannot_be_compared():
    with pytest.raises(ValueError, match="different items"):
        paired_difference(rows([1, 0]), rows([1, 0, 1]), column_mean("value"))


def test_average_over_tasks_weighs_tasks_equally():
    first = [rows([1, 1, 1, 1]), rows([0, 0])]
    second = [rows([0, 0, 0, 0]), rows([0, 0])]
    assert mean_difference(first, second, ["acc"] * len(first)).value == pytest.approx(0.5)


def test_bits_per_byte_is_a_ratio_of_sums():
    held = [
        {"item": "a", "nll": 10 * math.log(2), "tokens": 3, "bytes": 10},
        {"item": "b", "nll": 90 * math.log(2), "tokens": 30, "bytes": 40},
    ]
    half = [{**row, "nll": row["nll"] / 2} for row in held]
    assert paired_difference(held, half, bits_per_byte).value == pytest.approx(1.0)
    summary = summarize_held_out(held)
    assert summary["bits_per_byte"] == pytest.approx(2.0)
    assert summary["perplexity"] == pytest.approx(math.exp(100 * math.log(2) / 33))


def test_standard_error_of_a_mean():
    assert mean_and_error([1.0, 0.0, 1.0, 0.0]) == (0.5, pytest.approx(math.sqrt(1 / 12)))
    assert mean_and_error([3.0]) == (3.0, 0.0)
