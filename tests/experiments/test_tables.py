"""Tables from stores: what fills a cell, what is compared, what is refused."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from written import TASKS, evaluation, run

from experiments import tables as command
from experiments.compose import compose
from experiments.paper.evidence import Evidence
from experiments.paper.result import NAME
from experiments.paper.significance import holm, items_and_seeds, mcnemar
from experiments.paper.tables import files, markdown
from experiments.paper.tables.build import build, missing
from experiments.paper.tables.catalogue import TABLES
from experiments.paper.tables.cells import printed_at, printed_row
from experiments.paper.tables.layout import PAPER
from experiments.plans import plan
from toedit.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
ITEMS = 60


def right(share: float, seed: int) -> dict[str, list[int]]:
    rng = np.random.default_rng(seed)
    return {task: (rng.random(ITEMS) < share).astype(int).tolist() for task in TASKS}


def three_arms(root: Path, seeds: tuple[int, ...] = (0,), **rule) -> dict[str, str]:
    """A run of cpt_bio in a store; returns the labels of its evaluations."""
    stages = {"evaluate/base": evaluation(root, "base", 0, right(0.3, 1), [30.0] * 8)}
    for seed in seeds:
        suffix = f"-seed{seed}" if len(seeds) > 1 else ""
        for arm, share, nll in (("source", 0.4, 20.0), ("edited", 0.9, 15.0)):
            answered = right(share, 10 + seed)
            held = [nll + seed / 10 + n for n in range(8)]
            own = rule if arm == "edited" else {}
            label = evaluation(root, arm, seed, answered, held, **own)
            stages[f"evaluate/{arm}{suffix}"] = label
    name = f"cpt_bio-{abs(hash(tuple(stages.values()))):x}"
    run(root, name, "cpt_bio", stages)
    return stages


def block_of(root: Path, number: int = 3, name: str = "biomedicine-embedded"):
    evidence = Evidence([root])
    built = build(TABLES[number], evidence)
    place = [block.block.name for block in built.blocks].index(name)
    return built, built.blocks[place], place, evidence


def block_named(built, name: str = "biomedicine-embedded"):
    return next(block for block in built.blocks if block.block.name == name)


def test_a_cell_is_the_recorded_metric_with_what_is_printed_beside(tmp_path):
    three_arms(tmp_path)
    _, block, _, evidence = block_of(tmp_path)
    base, source, edited = block.rows
    expected = 100 * fmean(right(0.9, 10)["pubmedqa_yesno"])
    cell = edited.cells["PubMedQA yes/no"]
    assert (cell.value, cell.stderr, cell.sd) == (pytest.approx(expected), 1.0, None)
    assert cell.published == "65.00"
    assert cell.difference == pytest.approx(expected - 65.0)
    assert cell.id == "3.biomedicine-embedded.ToEdit.PubMedQA_yes/no"
    average = edited.cells["Avg"]
    assert average.value == pytest.approx(100 * fmean(fmean(r) for r in right(0.9, 10).values()))
    assert average.stderr == pytest.approx(math.sqrt(3) / 3)
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
    assert (cell.sd, cell.stderr) == (pytest.approx(stdev(values)), None)
    assert block.rows[0].cells["MedMCQA"].sd is None


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


def test_two_settings_of_a_row_are_two_rows(tmp_path):
    three_arms(tmp_path)
    label = evaluation(tmp_path, "edited", 0, right(0.8, 9), [18.0] * 8, tokens=9000)
    run(tmp_path, "cpt_bio-2", "cpt_bio", {"evaluate/edited": label})
    _, block, _, _ = block_of(tmp_path)
    labels = [row.label for row in block.rows]
    assert len(labels) == 4
    assert sum("evaluate" not in label and "#" in label for label in labels) == 2
    ids = {row.cells["MedMCQA"].id for row in block.rows}
    assert len(ids) == 4
    assert sum("ToEdit@" in own for own in ids) == 2


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


def _other_metric(folder: Path) -> None:
    record = json.loads((folder / "record.json").read_text())
    record["metrics"]["medqa_en"] = {"items": 60, "acc_norm": 0.5, "acc_norm_stderr": 0.01}
    (folder / "record.json").write_text(json.dumps(record))


def _other_identity(folder: Path) -> None:
    record = json.loads((folder / "record.json").read_text())
    record["identity"]["rev"] = 7
    (folder / "record.json").write_text(json.dumps(record))


def _cut_record(folder: Path) -> None:
    path = folder / "record.json"
    path.write_text(path.read_text()[:100])


def _other_answers(folder: Path) -> None:
    path = folder / "predictions" / "medqa_en.parquet"
    pq.write_table(pa.Table.from_pylist([{"item": "i0", "value": 1.0}]), path)


@pytest.mark.parametrize(
    ("damage", "said", "left"),
    [
        (_other_metric, "medqa_en was measured as acc_norm, not as acc", 3),
        (_other_identity, "has an identity that its fingerprint does not fit", 0),
        (_cut_record, "is damaged", 0),
        (_other_answers, "medqa_en.parquet", 3),
    ],
)
def test_what_cannot_be_trusted_is_refused_by_name(tmp_path, damage, said, left, capsys):
    label = three_arms(tmp_path)["evaluate/edited"]
    damage(tmp_path / label)
    _, block, _, evidence = block_of(tmp_path)
    name, why = next(iter(evidence.refused.items()))
    assert label.partition("/")[2] in name
    assert said in why
    row = block.rows[2]
    assert "MedQA (5 options)" not in row.cells
    assert "Avg" not in row.cells
    assert len(row.cells) == left
    command.main(["--store", str(tmp_path), "--out", str(tmp_path / "out"), "--no-figures"])
    assert said in capsys.readouterr().err
    assert said in (tmp_path / "out" / "ledger.md").read_text()


@pytest.mark.parametrize("kind", ["evaluate", "edit"])
def test_a_result_of_another_revision_is_refused_whatever_rests_on_it(tmp_path, kind):
    label = evaluation(tmp_path, "edited", 0, right(0.9, 1), [9.0] * 8, {kind: 7})
    run(tmp_path, "cpt_bio-5", "cpt_bio", {"evaluate/edited": label})
    _, block, _, evidence = block_of(tmp_path)
    assert block.filled == 0
    assert list(evidence.refused.values()) == [f"is of revision 7 of {kind}, this version has 1"]


def test_a_list_of_another_version_is_refused(tmp_path):
    three_arms(tmp_path)
    run(tmp_path, "cpt_bio-9", "cpt_bio", {}, format=99)
    (tmp_path / "reports" / "cut").mkdir()
    (tmp_path / "reports" / "cut" / "run.json").write_text("{")
    evidence = Evidence([tmp_path])
    assert len(evidence.runs) == 1
    assert sorted(evidence.refused.values()) == [
        "is damaged",
        "is of format 99, this version reads 1",
    ]


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


def test_empty_cells_name_the_command_and_its_cost(tmp_path, capsys):
    three_arms(tmp_path)
    arguments = ["--store", str(tmp_path), "--out", str(tmp_path / "out"), "--table", "3,5,8"]
    command.main(arguments)
    said = capsys.readouterr().out
    assert "`python -m experiments.run +exp=paper/cpt_bio_llama3` (cost: dry_run=true" in said
    assert "+exp=cpt_bio +sweep=threshold` (cost: a job: " in said
    assert "Empty: 64. Filled by `python -m experiments.run +exp=cpt_bio +sweep=k`" in said
    assert "### Embedded scale: Biomedicine" in said


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
                kind = block.columns[0].measure.kind
                arms = {NAME.fullmatch(s.name)["arm"]: s for s in planned[key] if s.kind == kind}
                kept = {s.name: s for s in planned[key] if s.kind == kind}
                if name != row.also or row.arm in arms:
                    assert row.arm in arms or row.arm in _unseeded(kept), (name, row.arm)
                for where, wanted in {**block.where, **row.where}.items():
                    if where.startswith("edit.rule") and "+sweep" in row.options:
                        continue
                    holds = [
                        _field(stage.config, where.split(".")[1:]) == wanted
                        for stage in planned[key]
                        if stage.kind == where.partition(".")[0]
                    ]
                    assert any(holds), (name, where, wanted)


OWN = {"cpt_finance": ["corpus.paths=[README.md]"]}
"""What an experiment does not run without."""


def _unseeded(stages: dict) -> set[str]:
    return {re.sub(r"-seed\d+", "", name) for name in stages}


def _field(config, path: list[str]):
    for name in path:
        config = getattr(config, name)
    return config


def test_files_hold_every_cell(tmp_path):
    three_arms(tmp_path)
    built, block, _, _ = block_of(tmp_path)
    rows = list(csv.DictReader(StringIO(files.cells_csv(built))))
    rows = [row for row in rows if row["column"] != "Avg"]
    assert len(rows) == built.total
    filled = [row for row in rows if row["value"]]
    assert len(filled) == built.filled == block.filled == 12
    assert all(row["results"].startswith("evaluate/") for row in filled)
    tests = list(csv.DictReader(StringIO(files.comparisons_csv(built))))
    assert len(tests) == len(built.comparisons.planned)


def test_latex_is_well_formed(tmp_path):
    three_arms(tmp_path)
    built, _, _, _ = block_of(tmp_path)
    text = files.tex(built)
    depth = 0
    for line in text.replace(r"\{", "").replace(r"\}", "").splitlines():
        depth += line.count("{") - line.count("}")
        assert depth >= 0
    assert depth == 0
    assert text.count(r"\begin{") == text.count(r"\end{")
    widths = {line.count("&") - line.count(r"\&") for line in text.splitlines() if "&" in line}
    assert widths == {len(block.columns) for block in built.blocks}
    assert not re.search(r"(?<!\\)[%#&_](?!begin)", re.sub(r" & ", " ", text).replace("{%", "{"))
    assert r"\textbf{" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX is installed")
def test_latex_compiles(tmp_path):
    three_arms(tmp_path / "store")
    built, _, _, _ = block_of(tmp_path / "store")
    head = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "a.tex").write_text(f"{head}\n{files.tex(built)}\n\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


def test_tables_import_nothing_heavy(tmp_path):
    three_arms(tmp_path, (0, 1, 2))
    code = (
        "import sys; from experiments.tables import main; "
        f"main(['--store', {str(tmp_path)!r}, '--out', {str(tmp_path / 'out')!r}]); "
        "assert not {'torch', 'transformers', 'lm_eval', 'wandb'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)
    assert len(list((tmp_path / "out").glob("table*.md"))) == len(TABLES) + 3


def test_help_lists_tables_and_cells(capsys):
    command.main(["--help"])
    said = capsys.readouterr().out
    assert "usage: python -m experiments.tables" in said
    for number, table in TABLES.items():
        assert f"{number:>2}  {table.title}" in said
    assert "paper/cpt_bio_llama3" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--table", "10000"], "there is no such table"),
        (["--table", "x"], "there is no such table"),
        (["--format", "html"], "allowed: md, tex, csv"),
        (["--store", "/nowhere"], "no results at '/nowhere'"),
        (["trace", "3.biomedicine.ToEdit.PubMedQA", "--store", "/nowhere"], "no results at"),
    ],
)
def test_mistakes_are_one_line(arguments, said, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert said in error
    assert error.count("\n") == 1


def test_a_number_is_traced_to_its_record(tmp_path, capsys):
    labels = three_arms(tmp_path)
    for name in ("3.biomedicine-embedded.ToEdit.PubMedQA_yes/no", "3.biomedicine.ToEdit.PubMedQA"):
        command.main(["trace", name, "--store", str(tmp_path)])
        said = capsys.readouterr().out
        assert str(tmp_path / labels["evaluate/edited"] / "record.json") in said
        assert "commit c0ffee" in said
        assert "run-7" in said
        assert "printed 65.00" in said
        assert "temperature" in said
        record = json.loads((tmp_path / labels["evaluate/edited"] / "record.json").read_text())
        digest = record["files"]["predictions/pubmedqa_yesno.parquet"]["sha256"]
        assert digest in said
    command.main(["trace", "3.biomedicine-embedded.ToEdit", "--store", str(tmp_path)])
    assert capsys.readouterr().out.count("scale: embedded") == 5
    with pytest.raises(SystemExit):
        command.main(["trace", "3.biomedicine.ToEdt.PubMedQA", "--store", str(tmp_path)])
    assert "nearest: 3.biomedicine-embedded.ToEdit" in capsys.readouterr().err


def test_words_hold_edits_and_quotations(tmp_path, capsys):
    three_arms(tmp_path)
    folder = next((tmp_path / "reports").iterdir())
    edit = {"id": "d", "before": "a ", "old": "red", "new": "blue", "after": " car|",
            "probability": 0.99, "drawn_probability": 0.001}  # fmt: skip
    (folder / "results.json").write_text(json.dumps({"examples": {"edited": [edit]}}))
    arguments = ["--store", str(tmp_path), "--out", str(tmp_path / "out"), "--table", "10,12,18"]
    command.main(arguments)
    said = capsys.readouterr().out
    assert re.search(r"\| +a +\| +red +\| +0.9900 +\| +blue +\| +0.001 +\|", said)
    assert "car\\|" in said
    assert "Common Crawl" in said
    assert "ToEdit" in said


def test_an_interrupted_run_is_listed(tmp_path, capsys):
    three_arms(tmp_path)
    failed = tmp_path / "train" / "edited-0123456789ab"
    failed.mkdir(parents=True)
    (failed / ".failed.json").write_text(json.dumps({"when": "then", "error": "loss is NaN"}))
    (tmp_path / "score" / "x-0123456789ac").mkdir(parents=True)
    command.main(["--store", str(tmp_path), "--out", str(tmp_path / "out"), "--no-figures"])
    said = capsys.readouterr().err
    assert "train/edited-0123456789ab (failed then: loss is NaN)" in said
    assert "score/x-0123456789ac (interrupted" in said
    with pytest.raises(UserError):
        command._stores([tmp_path / "elsewhere"])
