"""Rows of tables against each other: which are compared, how, and what is marked as best."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest
from written import block_of, evaluation, right, run, three_arms

from experiments.paper.significance import holm, items_and_seeds, mcnemar
from experiments.paper.tables import markdown


def test_one_seed_is_compared_by_mcnemar_and_holm_over_the_table(tmp_path):
    three_arms(tmp_path)
    built, _, place, _ = block_of(tmp_path)
    tests = [t for t in built.comparisons.planned if t.block == place]
    own = {(t.first.label, t.column): t for t in tests}
    a, b = (np.array(right(share, 10)["medmcqa_en"]) for share in (0.9, 0.4))
    test = own["ToEdit", "MedMCQA"]
    assert test.p == mcnemar(int((a > b).sum()), int((a < b).sum()))
    assert test.value == pytest.approx(100 * (a.mean() - b.mean()))
    assert test.low < test.value < test.high
    assert {t.second.label for t in tests} == {"CPT"}
    assert [t.p_holm for t in tests] == holm([t.p for t in built.comparisons.planned])
    assert built.comparisons.best[place]["MedMCQA"] == "ToEdit"


def test_several_seeds_must_agree(tmp_path):
    three_arms(tmp_path, (0, 1, 2))
    built, block, place, _ = block_of(tmp_path)
    (test,) = (t for t in built.comparisons.planned
               if (t.block, t.column, t.first.label) == (place, "MedMCQA", "ToEdit"))  # fmt: skip
    changes = [
        block.rows[2].cells["MedMCQA"].seeds[seed] - block.rows[1].cells["MedMCQA"].seeds[seed]
        for seed in range(3)
    ]
    assert test.p >= items_and_seeds(changes, test.error) > 0
    assert (test.value, test.seeds) == (pytest.approx(fmean(changes)), 3)


def test_only_seeds_that_both_have_are_paired(tmp_path):
    stages = three_arms(tmp_path, (0, 1, 2))
    kept = {k: v for k, v in stages.items() if k != "evaluate/edited-seed0"}
    run(tmp_path, next((tmp_path / "reports").iterdir()).name, "cpt_bio", kept)
    built, block, place, _ = block_of(tmp_path)
    tests = {
        (t.first.label, t.second.label): t
        for t in built.comparisons.pairs
        if (t.block, t.column) == (place, "MedQA (5 options)")
    }
    cells = [row.cells["MedQA (5 options)"].seeds for row in block.rows]
    test = tests["ToEdit", "CPT"]
    expected = fmean(cells[2][seed] - cells[1][seed] for seed in (1, 2))
    assert (test.seeds, test.value) == (2, pytest.approx(expected))
    assert tests["CPT", "base"].seeds == 3  # the base model has no seed: it stands beside each
    other = {
        k: v for k, v in kept.items() if k in ("evaluate/source-seed0", "evaluate/edited-seed1")
    }
    run(tmp_path, next((tmp_path / "reports").iterdir()).name, "cpt_bio", other)
    built, _, _, _ = block_of(tmp_path)
    assert not built.comparisons.pairs


def test_arms_that_were_trained_otherwise_are_not_compared(tmp_path):
    stages = three_arms(tmp_path)
    longer = evaluation(tmp_path, "source", 0, right(0.1, 5), [40.0] * 8, tokens=9000)
    run(tmp_path, "cpt_bio-6", "cpt_bio", {**stages, "evaluate/source": longer})
    built, block, _, _ = block_of(tmp_path)
    rows = [row for row in block.rows if row.row.label == "CPT"]
    assert len(rows) == 2
    tests = [t for t in built.comparisons.pairs if t.column == "MedMCQA"]
    compared = {(t.first.row.label, t.second.label) for t in tests}
    assert len([pair for pair in compared if pair[0] == "ToEdit" and "CPT" in pair[1]]) == 1


def test_best_is_not_marked_where_chance_suffices(tmp_path):
    stages = {}
    for arm, seed in (("base", 3), ("source", 4), ("edited", 5)):
        label = evaluation(tmp_path, arm, 0, right(0.5, seed), [20.0] * 8)
        stages[f"evaluate/{arm}"] = label
    run(tmp_path, "cpt_bio-1", "cpt_bio", stages)
    built, block, place, _ = block_of(tmp_path)
    assert len({row.cells["Avg"].value for row in block.rows}) > 1
    assert built.comparisons.best[place] == {}
    assert "**" not in markdown.markdown(built)


def test_arms_on_different_items_are_not_compared(tmp_path):
    stages = three_arms(tmp_path)
    shorter = {task: own[:50] for task, own in right(0.9, 10).items()}
    stages["evaluate/edited"] = evaluation(tmp_path, "edited", 0, shorter, [15.0] * 8)
    run(tmp_path, next((tmp_path / "reports").iterdir()).name, "cpt_bio", stages)
    built, block, _, evidence = block_of(tmp_path)
    assert block.rows[2].cells["MedMCQA"].items == 50
    compared = {(t.first.label, t.column) for t in built.comparisons.planned}
    assert compared & {("ToEdit", column.label) for column in block.block.columns} == {
        ("ToEdit", "held-out bits/byte")
    }
    assert any("different items" in why for why in evidence.refused.values())
