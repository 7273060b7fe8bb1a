"""Metrics of the domain tasks, against cases worked out by hand and a library."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals import scoring
from toedit.errors import UserError


def test_options_are_compared_by_token_and_the_first_of_equals_wins():
    assert scoring.best_option([-4.0, -3.0], [4, 1]) == 0  # 1 against 3 a token
    assert scoring.best_option([-4.0, -3.0], [1, 1]) == 1
    assert scoring.best_option([-2.0, -4.0, -1.0], [1, 2, 1]) == 2
    assert scoring.best_option([-2.0, -4.0], [1, 2]) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
@settings(max_examples=80)
def test_weighted_f1_is_that_of_scikit_learn(pairs):
    metrics = pytest.importorskip("sklearn.metrics")
    gold, found = zip(*pairs, strict=True)
    expected = metrics.f1_score(gold, found, average="weighted", zero_division=0)
    assert scoring.weighted_f1(pairs) == pytest.approx(expected)


def test_headline_is_a_mean_over_nine_classes():
    rows = [(c, gold, gold) for c in range(9) for gold in (0, 1)]
    assert scoring.headline_f1(rows) == pytest.approx(1)
    # Class 0: one label of each, both predicted 0: f1 of label 0 is 2/3, of label 1 is 0.
    rows[1] = (0, 1, 0)
    assert scoring.headline_f1(rows) == pytest.approx((8 + 1 / 3) / 9)
    # Not the weighted F1 over all items together.
    assert scoring.weighted_f1((g, p) for _, g, p in rows) != pytest.approx((8 + 1 / 3) / 9)
    with pytest.raises(UserError, match="mean over 9 classes of questions, but these items hold 8"):
        scoring.headline_f1(rows[:-2])
    assert math.isnan(scoring.weighted_f1([]))


def test_f1_of_several_classes_of_questions_is_the_mean_over_them():
    rng = np.random.default_rng(0)
    rows = [(i % 2, int(g), int(p)) for i, (g, p) in enumerate(rng.integers(0, 3, (120, 2)))]
    halves = [scoring.weighted_f1((g, p) for q, g, p in rows if q == own) for own in (0, 1)]
    assert scoring.f1_of_items(rows) == pytest.approx(sum(halves) / 2)


ENTITIES = "Smith (PER) of Acme Corp (ORG) met Smith (PER) in Rome (LOC)"


def test_entities_are_the_last_word_before_their_type_each_once():
    assert scoring.entities(ENTITIES) == [
        ("Smith", "(PER)"), ("Corp", "(ORG)"), ("Rome", "(LOC)"),
    ]  # fmt: skip
    assert scoring.entities("nothing here, (not this one)") == []
    # One character of white space is taken off, as the released code does.
    assert scoring.entities("Rome  (LOC) Rome\u00a0\n(LOC) Rome (LOC)") == [
        ("Rome ", "(LOC)"), ("Rome\u00a0", "(LOC)"), ("Rome", "(LOC)"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("label", "prediction", "half", "strict"),
    [
        ("A (PER), B (ORG)", "A (PER), B (ORG)", 1.0, 1.0),
        # A's own gives 2; B's first agreeing one is A, by type, which gives 1: 3 of 4 points.
        ("A (PER), B (PER)", "A (PER), B (PER)", 0.75, 1.0),
        ("A (PER)", "A (ORG)", 0.5, 0.0),
        ("A (PER)", "B (PER)", 0.5, 0.0),
        ("A (PER)", "B (ORG)", 0.0, 0.0),
        # 2 points; precision 2/4, recall 2/2.
        ("A (PER)", "A (PER), B (ORG)", 2 / 3, 2 / 3),
        ("A (PER)", "none", 0.0, 0.0),
        ("none", "none", 0.0, 1.0),
        ("none", "A (PER)", 0.0, 0.0),
        # With two spaces the text differs and the type agrees; a further one is another entity.
        ("A (PER)", "A  (PER)", 0.5, 1.0),
        ("A  (PER)", "A\t (PER)", 0.5, 1.0),
        ("A  (PER)", "A  (PER)", 1.0, 1.0),
        ("A (PER)", "B (ORG), A (PER), A  (PER)", 0.5, 2 / 3),
    ],
)
def test_entity_scores_by_hand(label, prediction, half, strict):
    assert scoring.ner_half_credit(label, prediction) == pytest.approx(half)
    assert scoring.ner_f1(label, prediction) == pytest.approx(strict)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", [12]), ("-3.5 and +4", [-3.5, 4]), (".5", [0.5]), ("1,234,567.8", [1234567.8]),
        ("1,23", [1, 23]), ("5%", [0.05]), ("5%%", [0.0005]), ("2e3", [2000]), ("1.", [1]),
        ("07", [math.inf]), ("0", [0]), ("0.7", [0.7]), ("no number", []), ("$12m", [12]),
        ("07.5", [7.5]), ("00", [0]), ("5" + "%" * 400, [0]),
        ("__import__('os')", []), ("9" * 400, [math.inf]), ("1e999", [math.inf]),
        ("\u0663", [math.inf]), ("5\uff15%", [math.inf]), ("1,\u0662\u0663\u0664", [math.inf]),
        ("\u0967.5 of 2", [math.inf, 2]), ("07e1", [70]), ("-07", [math.inf]), ("+.5%", [0.005]),
        (".5.5", [math.inf]), ("1" + "0" * 309 + "%", [1e307]), ("9" * 5000, [math.inf]),
        ("3\n4", [3]),
    ],
)  # fmt: skip
def test_numbers_are_read_and_never_evaluated(text, expected):
    assert scoring.numbers(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("label", "prediction", "right"),
    [
        ("5%", "5.5%", True), ("5%", "5", False), ("10.2", "about 10.205, or 7", True),
        ("10.2", "10.22", False), ("10", "11\n10", False), ("10", "", False), ("", "10", False),
        ("no", "no", False), ("07", "08", True), ("9" * 400, "8" * 500, True),
        ("1,000", "1000", True), ("-3", "3", False),
        ("3", "\u0663", False), ("\uff13", "3", False), ("\u0663", "\u0967", True),
        ("2", "\u0663 or 2", True), ("none\n4", "4", False), ("4\nnone", "4\n5", True),
        ("20,000,000", "20000000.015", True), ("20,000", "20000.015", False),
    ],
)  # fmt: skip
def test_a_number_is_right_within_a_hundredth(label, prediction, right):
    assert scoring.numeric_match(label, prediction) is right


@given(st.text(max_size=80))
@settings(max_examples=200)
def test_no_text_breaks_a_score(text):
    assert 0 <= scoring.ner_half_credit(text, text) <= 1
    assert scoring.ner_half_credit(text, "") == 0
    assert scoring.ner_f1(text, text) == 1
    assert scoring.numeric_match(text, text.split("\n")[0]) in (True, False)
    assert all(not math.isnan(value) for value in scoring.numbers(text))
