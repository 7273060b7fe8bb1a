"""Rows of tables against each other: which are compared, how, and what is marked as best."""

from dataclasses import replace

import numpy as np
import pytest
from written import block_of, evaluation, right, run, three_arms, write

from experiments.analysis.estimate import SEEDS_AND_ITEMS, TANGO
from experiments.analysis.verdicts import correct
from experiments.reports.tables import comparisons, markdown

AVERAGED = ("PubMedQA yes/no", "MedQA (5 options)", "MedMCQA")


def planned(built, place: int) -> dict:
    return {(own.first.label, own.column): own for own in built.comparisons.planned
            if own.block == place}  # fmt: skip


def test_one_seed_is_compared_by_mcnemar(tmp_path):
    three_arms(tmp_path)
    built, _, place, _ = block_of(tmp_path)
    own = planned(built, place)
    a, b = (np.array(right(share, 10)["medmcqa_en"]) for share in (0.9, 0.4))
    found = own["ToEdit", "MedMCQA"].estimate
    assert found.method == TANGO
    assert found.value == pytest.approx(100 * (a.mean() - b.mean()))
    assert found.low < found.value < found.high
    assert {c.second.label for c in own.values()} == {"CPT"}
    assert built.comparisons.best[place] == {}  # one seed is never the best of anything


def test_averages_are_corrected_first_and_columns_only_behind_them(tmp_path):
    three_arms(tmp_path)
    built, _, place, _ = block_of(tmp_path)
    own = planned(built, place)
    averages = [own[row, "Avg"] for row in ("base", "ToEdit")]
    corrected = correct([c.estimate.p for c in averages])
    assert [c.p_corrected for c in averages] == pytest.approx(corrected)
    for row, average in zip(("base", "ToEdit"), corrected, strict=True):
        columns = [own[row, name] for name in AVERAGED]
        if average < 0.05:
            expected = correct([c.estimate.p for c in columns])
            assert [c.p_corrected for c in columns] == pytest.approx(expected)
        else:
            assert [c.p_corrected for c in columns] == [None] * 3
    bits = [own[row, "held-out bits/byte"] for row in ("base", "ToEdit")]
    assert [c.p_corrected for c in bits] == pytest.approx(correct([c.estimate.p for c in bits]))


def test_several_seeds_must_agree_and_only_they_make_a_best(tmp_path):
    three_arms(tmp_path, (0, 1, 2))
    built, block, place, _ = block_of(tmp_path)
    found = planned(built, place)["ToEdit", "MedMCQA"].estimate
    cells = [block.rows[n].cells["MedMCQA"].seeds for n in (2, 1)]
    changes = [cells[0][seed] - cells[1][seed] for seed in range(3)]
    assert found.by_seed == pytest.approx(changes)
    assert (found.n_seeds, found.method) == (3, SEEDS_AND_ITEMS)
    assert built.comparisons.best[place]["Avg"] == "ToEdit"
    assert "**" in markdown.markdown(built)


def test_only_seeds_that_both_have_are_paired(tmp_path):
    stages = three_arms(tmp_path, (0, 1, 2))
    kept = {k: v for k, v in stages.items() if k != "evaluate/edited-seed0"}
    run(tmp_path, next((tmp_path / "reports").iterdir()).name, "cpt_bio", kept)
    built, block, place, _ = block_of(tmp_path)
    tests = {
        (c.first.label, c.second.label): c.estimate
        for c in built.comparisons.pairs
        if (c.block, c.column) == (place, "MedQA (5 options)")
    }
    cells = [row.cells["MedQA (5 options)"].seeds for row in block.rows]
    found = tests["ToEdit", "CPT"]
    assert found.by_seed == pytest.approx([cells[2][seed] - cells[1][seed] for seed in (1, 2)])
    assert tests["CPT", "base"].n_seeds == 3  # the base model has no seed: it stands beside each
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
    tests = [c for c in built.comparisons.pairs if c.column == "MedMCQA"]
    compared = {(c.first.row.label, c.second.label) for c in tests}
    assert len([pair for pair in compared if pair[0] == "ToEdit" and "CPT" in pair[1]]) == 1


def test_best_is_not_marked_where_chance_suffices(tmp_path):
    stages = {"evaluate/base": evaluation(tmp_path, "base", 0, right(0.5, 3), [20.0] * 8)}
    for seed in (0, 1, 2):
        for arm, first in (("source", 40), ("edited", 50)):
            label = evaluation(tmp_path, arm, seed, right(0.5, first + seed), [20.0 + seed] * 8)
            stages[f"evaluate/{arm}-seed{seed}"] = label
    run(tmp_path, "cpt_bio-1", "cpt_bio", stages)
    built, block, place, _ = block_of(tmp_path)
    assert len({row.cells["Avg"].value for row in block.rows}) > 1
    assert built.comparisons.best[place] == {}
    assert "**" not in markdown.markdown(built)


def test_best_is_what_wins_on_the_seeds_that_both_have(tmp_path):
    """A third seed that another row lacks makes the mean, not the winner."""
    answered, stages = right(0.5, 3), {}
    for arm, seed, nll in (("source", 0, 15.2), ("source", 1, 15.3), ("source", 2, 1.0),
                           ("edited", 0, 15.0), ("edited", 1, 15.1)):  # fmt: skip
        held = [nll * (1 + n / 1e4) for n in range(8)]
        label = evaluation(tmp_path, arm, seed, answered, held)
        stages[f"evaluate/{arm}-seed{seed}"] = label
    run(tmp_path, "cpt_bio-1", "cpt_bio", stages)
    built, block, place, _ = block_of(tmp_path)
    bits = "held-out bits/byte"
    source, edited = (next(r for r in block.rows if r.row.label == n) for n in ("CPT", "ToEdit"))
    assert source.cells[bits].value < edited.cells[bits].value
    (pair,) = (c for c in built.comparisons.pairs if (c.block, c.column) == (place, bits))
    assert (pair.first.label, pair.estimate.n_seeds) == ("ToEdit", 2)
    assert pair.estimate.value < 0
    assert pair.estimate.p < 1e-3
    assert bits not in built.comparisons.best[place]


def test_columns_without_an_average_are_corrected_over_rows(tmp_path):
    """Table 7 has one column a metric, and rows that are compared with one reference."""
    three_arms(tmp_path)
    built, _, place, _ = block_of(tmp_path)
    alone = [c for c in built.comparisons.planned if c.block == place and c.column == "MedMCQA"]
    block = built.blocks[place]
    comparisons._correct(alone, block)
    assert len(alone) == 2
    expected = correct([c.estimate.p for c in alone])
    assert [c.p_corrected for c in alone] == pytest.approx(expected)


def test_an_average_that_does_not_vary_hides_no_column(tmp_path):
    three_arms(tmp_path)
    built, _, place, _ = block_of(tmp_path)
    own = [c for c in built.comparisons.planned if c.block == place]
    for c in own:
        if c.column == "Avg":
            c.estimate, c.p_corrected = replace(c.estimate, p=None), None
    comparisons._correct(own, built.blocks[place])
    assert all(c.p_corrected is None for c in own if c.column == "Avg")
    assert all(c.p_corrected is not None for c in own if c.column in AVERAGED)


def test_arms_on_different_items_are_not_compared(tmp_path):
    stages = three_arms(tmp_path)
    shorter = {task: own[:50] for task, own in right(0.9, 10).items()}
    stages["evaluate/edited"] = evaluation(tmp_path, "edited", 0, shorter, [15.0] * 8)
    run(tmp_path, next((tmp_path / "reports").iterdir()).name, "cpt_bio", stages)
    built, block, _, evidence = block_of(tmp_path)
    assert block.rows[2].cells["MedMCQA"].estimate.n_items == 50
    compared = {(c.first.label, c.column) for c in built.comparisons.planned}
    assert compared & {("ToEdit", column.label) for column in block.columns} == {
        ("ToEdit", "held-out bits/byte")
    }
    assert any("different items" in why for why in evidence.refused.values())


def test_what_the_numbers_mean_is_said_once_for_a_table(tmp_path):
    three_arms(tmp_path)
    built, _, _, _ = block_of(tmp_path)
    page = markdown.markdown(built)
    for said in ("± is the standard error over items", "[–, –] is a 95 % interval",
                 "Tango's score interval and McNemar's exact test", "p, corrected:"):  # fmt: skip
        assert page.count(said) == 1
    assert "standard deviation over seeds" not in page  # there is one seed
    three_arms(tmp_path / "more", (0, 1, 2))
    built, _, _, _ = block_of(tmp_path / "more")
    assert "in brackets stands the standard deviation over seeds" in markdown.markdown(built)


def test_models_that_started_from_different_ones_are_not_compared(tmp_path):
    """The same training on source and on edited text, but of two bases."""
    for other in (1000, 2000):
        root = tmp_path / str(other)
        bases = [
            write(root, "train", "base", {"train": {"tokens": tokens}, "seed": 0}, {}, {})
            for tokens in (1000, other)
        ]
        labels = {
            f"evaluate/{arm}": evaluation(root, arm, 0, right(0.5, 1), [20.0] * 8, start=base)
            for arm, base in zip(("source", "edited"), bases, strict=True)
        }
        run(root, "cpt_bio-1", "cpt_bio", labels)
        built, _, place, _ = block_of(root)
        compared = [own for own in built.comparisons.pairs if own.block == place]
        assert bool(compared) == (other == 1000)
