"""Cells of tables: what fills them, and what stands in every row of the catalogue."""

import csv
import json
import math
from io import StringIO
from pathlib import Path
from statistics import fmean, stdev

import pytest
from written import block_named, block_of, evaluation, right, run, three_arms

from experiments.analysis.evidence import Evidence
from experiments.config.compose import compose
from experiments.plans import plan
from experiments.reports.tables import settings
from experiments.reports.tables.build import build, missing
from experiments.reports.tables.catalogue import TABLES
from experiments.reports.tables.cells import printed_at, printed_row
from experiments.reports.tables.files import cells_csv, tex
from experiments.reports.tables.layout import PAPER
from experiments.reports.tables.markdown import markdown
from toedit.rules import EditRule

TASK_LABELS = ("PubMedQA yes/no", "MedQA (5 options)", "MedMCQA")
ROOT = Path(__file__).resolve().parents[3]


def test_a_cell_is_the_recorded_metric_with_what_is_printed_beside(tmp_path):
    three_arms(tmp_path)
    _, block, _, evidence = block_of(tmp_path)
    base, source, edited = block.rows
    expected = 100 * fmean(right(0.9, 10)["pubmedqa_yesno"])
    cell = edited.cells["PubMedQA yes/no"]
    assert (cell.value, cell.estimate.sd_seeds) == (pytest.approx(expected), None)
    values = right(0.9, 10)["pubmedqa_yesno"]
    error = 100 * stdev(values) / math.sqrt(len(values))
    assert cell.estimate.se_items == pytest.approx(error)
    assert cell.published == "65.00"
    assert cell.difference == pytest.approx(expected - 65.0)
    assert cell.id == "3.biomedicine-embedded.ToEdit.PubMedQA_yes/no"
    average = edited.cells["Avg"]
    assert average.value == pytest.approx(100 * fmean(fmean(r) for r in right(0.9, 10).values()))
    errors = [row.estimate.se_items for name, row in edited.cells.items() if name in TASK_LABELS]
    assert average.estimate.se_items == pytest.approx(math.hypot(*errors) / 3)
    assert average.published is None  # the paper's is of other tests
    assert base.cells["MedMCQA"].published is None
    bits = source.cells["held-out bits/byte"].value
    assert bits == pytest.approx(sum(20 + n for n in range(8)) / 320 / math.log(2))
    assert not evidence.refused


def test_seeds_become_mean_and_standard_deviation(tmp_path):
    three_arms(tmp_path, (0, 1, 2))
    _, block, _, _ = block_of(tmp_path)
    row = block.rows[2]
    values = [100 * fmean(right(0.9, 10 + seed)["medqa_en"]) for seed in range(3)]
    cell = row.cells["MedQA (5 options)"]
    assert list(row.results) == [0, 1, 2]
    assert cell.value == pytest.approx(fmean(values))
    assert cell.estimate.sd_seeds == pytest.approx(stdev(values))
    assert block.rows[0].cells["MedMCQA"].estimate.sd_seeds is None


def test_two_settings_of_a_row_are_two_rows(tmp_path):
    three_arms(tmp_path)
    label = evaluation(tmp_path, "edited", 0, right(0.8, 9), [18.0] * 8, tokens=9000)
    run(tmp_path, "cpt_bio-2", "cpt_bio", {"evaluate/edited": label})
    _, block, _, _ = block_of(tmp_path)
    labels = [row.label for row in block.rows]
    assert len(labels) == 4
    assert sorted(labels[2:]) == [
        "ToEdit (training tokens 1,000)",
        "ToEdit (training tokens 9,000)",
    ]
    ids = {row.cells["MedMCQA"].id for row in block.rows}
    assert len(ids) == 4
    assert sum("ToEdit@" in own for own in ids) == 2


def test_settings_that_change_no_result_are_one_row_of_all_seeds(tmp_path):
    """Which candidates were kept for rules, of one seed each and of one both."""
    kept = [{}, {"k": 64}, {"below": 0.1}, {"k": 64}]
    for number, (seed, score) in enumerate(zip((0, 1, 2, 0), kept, strict=True)):
        label = evaluation(
            tmp_path, "edited", seed, right(0.8, seed), [18.0 + seed] * 8, score=score
        )
        run(tmp_path, f"cpt_bio-{number}", "cpt_bio", {f"evaluate/edited-seed{seed}": label})
    _, block, _, _ = block_of(tmp_path)
    assert [row.label for row in block.rows] == ["base", "CPT", "ToEdit"]
    assert list(block.rows[2].results) == [0, 1, 2]


def test_rules_are_named_in_words(tmp_path):
    rules = [{"k": 64}, {"sampler": "top_p", "top_p": 0.95}, {"delete_below": 0.001},
             {"sampler": "mine:MinP", "arguments": {"min_p": 0.05}}]  # fmt: skip
    results = []
    for number, rule in enumerate(rules):
        label = evaluation(tmp_path, "edited", 0, right(0.8, number), [18.0] * 8, **rule)
        run(tmp_path, f"cpt_bio-{number}", "cpt_bio", {"evaluate/edited": label})
    results = Evidence([tmp_path]).results("cpt_bio", "evaluate")
    assert set(settings.labels(results)) == {
        "p > .99, top-k 64",
        "p > .99, top-p .95",
        "p > .99, top-k 8, deleting p < .001",
        "p > .99, mine:MinP k 8, min p .05",
    }
    short = EditRule(threshold=0.5, ceiling=0.9)
    assert settings.rule_text(short, set()) == "p ≥ .5 and p ≤ .9, top-k 8"
    assert settings.rule_text(short, {"temperature"}).endswith("top-k 8, temperature 1")
    assert settings.rule_text(EditRule(sampler="none"), set()) == "p ≥ .99, no edit"


def test_another_rule_fills_its_own_table_only(tmp_path):
    three_arms(tmp_path, threshold=0.999, strict=False)
    _, block, _, _ = block_of(tmp_path)
    assert block.rows[2].cells == {}
    _, block, _, _ = block_of(tmp_path, 5, "embedded")
    assert [bool(row.cells) for row in block.rows] == [False, True, False, False, False]


def test_one_result_in_two_stores_counts_once_but_other_numbers_twice(tmp_path):
    for name in ("a", "b", "c"):
        three_arms(tmp_path / name)
    evidence = Evidence([tmp_path / "a", tmp_path / "b"])
    built = build(TABLES[3], evidence)
    assert len(block_named(built).rows) == 3
    record = next((tmp_path / "c" / "evaluate").glob("edited-*/record.json"))
    changed = json.loads(record.read_text())
    changed["metrics"]["medqa_en"]["acc_stderr"] = 0.02
    record.write_text(json.dumps(changed))
    built = build(TABLES[3], Evidence([tmp_path / "a", tmp_path / "c"]))
    assert [row.row.label for row in block_named(built).rows] == ["base", "CPT", "ToEdit", "ToEdit"]


@pytest.mark.parametrize("number", sorted(TABLES))
def test_every_command_names_an_experiment_and_every_row_what_is_printed(number):
    table = TABLES[number]
    built = build(table, Evidence([]))
    for block in built.blocks:
        layout = block.block
        for line, cost, _ in missing(block):
            name = line.partition("+exp=")[2].split()[0]
            assert (ROOT / "conf" / "exp" / f"{name}.yaml").is_file()
            assert cost != "not stated", line
        if layout.reference:
            assert layout.reference in [row.label for row in layout.rows]
        if layout.scale == PAPER:
            for row in layout.rows:
                assert layout.pivot or not row.printed or printed_row(layout, row), row.label
                for column in layout.columns:
                    found = printed_at(layout, row, column)
                    assert found or not row.printed, (layout.name, row.label, column.label)
        elif any(column.printed for column in layout.columns):
            found = [printed_at(layout, r, c) for r in layout.rows for c in layout.columns]
            assert any(found), layout.name


@pytest.mark.slow
@pytest.mark.parametrize("number", sorted(TABLES))
def test_every_row_is_an_arm_of_its_experiment(number):
    """Every arm is planned, with the configuration that its row asks for."""
    planned = {}
    for block in TABLES[number].blocks:
        for row in block.rows:
            for name in filter(None, (row.experiment or block.experiment, row.also)):
                options = [word for word in row.options.split() if "sweep" not in word]
                key = (name, *options)
                if key not in planned:
                    planned[key] = plan(compose([f"+exp={name}", *OWN.get(name, []), *options]))
                kind = block.columns[0].metric.kind
                own = [s for s in planned[key] if s.kind == kind]
                places = {(s.arm, s.checkpoint) for s in own} | {(s.name, None) for s in own}
                if name != row.also or row.arm in {s.arm for s in own}:
                    assert (row.arm, row.checkpoint) in places, (name, row.arm)
                for where, wanted in {**block.where, **row.where}.items():
                    if where.startswith("edit.rule") and "+sweep" in row.options:
                        continue
                    holds = [
                        _field(stage.config, where.split(".")[1:]) == wanted
                        for stage in planned[key]
                        if stage.kind == where.partition(".")[0]
                    ]
                    assert any(holds), (name, where, wanted)


OWN = {
    name: ["corpus.paths=[README.md]"]
    for name in ("cpt_finance", "paper/cpt_finance", "paper/cpt_finance_llama3")
}
"""What an experiment does not run without."""


def _field(config, path: list[str]):
    for name in path:
        config = getattr(config, name)
    return config


def counted(root: Path, arm: str, **counts: int) -> None:
    """Adds the number of cut items of some tasks to the record of an evaluation."""
    path = next((root / "evaluate").glob(f"{arm}-*/record.json"))
    record = json.loads(path.read_text())
    for task, number in counts.items():
        record["metrics"][task]["cut_items"] = number
    path.write_text(json.dumps(record))


def test_captions_say_how_many_items_were_cut(tmp_path):
    three_arms(tmp_path)
    table, *_ = block_of(tmp_path)
    assert "longer than the model reads" not in markdown(table) + tex(table)  # none was counted
    for arm in ("base", "source", "edited"):
        counted(tmp_path, arm, pubmedqa_yesno=0, medqa_en=0)
    table, *_ = block_of(tmp_path)
    sentence = "No item was longer than the model reads (not counted in 3 of 9 results)."
    assert sentence in markdown(table) and sentence in tex(table)
    counted(tmp_path, "source", pubmedqa_yesno=4)
    counted(tmp_path, "edited", pubmedqa_yesno=5)
    for arm in ("base", "source", "edited"):
        counted(tmp_path, arm, medmcqa_en=7)
    table, *_ = block_of(tmp_path)
    sentence = (
        "Items that were longer than the model reads lost the beginning of their prompt: PubMedQA "
        "yes/no 0 to 5, MedMCQA 7."
    )
    assert sentence in markdown(table) and sentence in tex(table)
    cells = {(row["row"], row["column"]): row["cut_items"]
             for row in csv.DictReader(StringIO(cells_csv(table))) if row["id"]}  # fmt: skip
    assert cells["CPT", "PubMedQA yes/no"] == "4"
    assert cells["CPT", "MedQA (5 options)"] == "0"
    assert cells["CPT", "Avg"] == cells["CPT", "held-out bits/byte"] == ""


def test_a_result_that_was_counted_is_the_one_that_was_not(tmp_path):
    for name in ("old", "new"):
        three_arms(tmp_path / name)
    for arm in ("base", "source", "edited"):
        counted(tmp_path / "new", arm, medqa_en=3)
    built = build(TABLES[3], Evidence([tmp_path / "old", tmp_path / "new"]))
    assert [row.label for row in block_named(built).rows] == ["base", "CPT", "ToEdit"]
