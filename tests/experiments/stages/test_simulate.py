"""The theory experiment: every curve, figure and verdict, and mistakes in one line."""

import csv
import json

import pytest
from commands import run

from experiments.config.compose import compose
from experiments.plans import plan
from experiments.reports.report import write_report
from experiments.reports.theory import FIGURES, verdicts
from experiments.stage import StageContext
from experiments.stages import simulate
from experiments.store import Store
from toedit.errors import UserError


@pytest.mark.slow
def test_the_experiment_writes_curves_figures_and_verdicts(tmp_path):
    run(["+exp=theory", f"store={tmp_path}/store", "tracker=none", "theory.draws=40",
         "theory.rows=40", "theory.features=4", "theory.generations=3",
         "theory.scales=[1,2,3,4]"], tmp_path / "log")  # fmt: skip
    (folder,) = (tmp_path / "store" / "reports").iterdir()
    values = json.loads((folder / "results.json").read_text())
    labels = [schedule.label for schedule in compose(["+exp=theory"]).theory.schedules]
    found = {row["name"] for row in values["curves"] if row["part"] == simulate.BY_GENERATION}
    assert found == set(labels)
    for part in (simulate.BY_SHARE, simulate.BY_RATIO, simulate.BY_EDITS, simulate.ANISOTROPIC):
        assert any(row["part"] == part for row in values["curves"])
    assert len(list(folder.glob("*.png"))) == len(list(folder.glob("*.pdf"))) == len(FIGURES)
    with (folder / "generations.csv").open() as handle:
        shown = {(row["name"], row["source"]) for row in csv.DictReader(handle)}
    assert ("collapse", "Monte Carlo") in shown
    assert ("collapse", "exact") in shown
    steps = next((tmp_path / "store" / "simulate").iterdir()) / "metrics.jsonl"
    assert len(steps.read_text().splitlines()) == 3


def test_verdicts_fail_where_the_numbers_do():
    found = {row["statement"].partition(":")[0]: row for row in verdicts(60, 6)}
    theorem = found["Theorem 1"]
    assert theorem["as stated"] == "fails"
    assert "1.72" in theorem["numbers"]  # 1.5 + 0.25 * 60 * 54 / (59 * 62)
    stated = [row["as stated"] for row in verdicts(60, 6)]
    assert stated == ["holds", "fails", "holds", "fails", "fails", "holds", "fails"]
    assert verdicts(12, 10)[5]["as stated"] == "says nothing here"  # T = d + 2


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ("theory.schedules=[{kind: random, fraction: 0.2}]", "bounds"),
        ("theory.generations=1", "edited"),
        ("theory.rows=13", "bounds"),
    ],
)
def test_what_is_not_there_is_not_drawn(tmp_path, change, missing):
    config = compose(
        ["+exp=theory", "theory.rows=40", "theory.features=10", "theory.draws=2", change]
    )
    store = Store(str(tmp_path / "store"))
    (stage,) = plan(config)
    folder = store.folder(stage)
    folder.mkdir(parents=True)
    stage.config.run(StageContext(stage, folder, {}, {}, lambda values, step: None))
    records = {"simulate/theory": {"seconds": 1.0, "metrics": {}}}
    page = write_report(config, [stage], records, store, tmp_path / "report")
    assert "| random 0." in page
    assert (tmp_path / "report" / "generations.png").exists()
    assert not (tmp_path / "report" / f"{missing}.png").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("theory.rows=11", r"T=11 rows for d=10 features: the error needs T >= d \+ 2"),
        ("theory.rows=200000", "theory.rows=200000 is out of range"),
        ("theory.draws=1", "theory.draws=1 is out of range; allowed: 2"),
        ("theory.scales=[1]", "theory.scales must hold 10 numbers"),
        ("theory.schedules=[]", "plan=theory needs theory.schedules"),
        ("theory.schedules=[{kind: random, fraction: 2}]", "fraction=2.0 must lie in 0..1"),
        ("theory.schedules=[{kind: randum}]", "did you mean 'random'"),
        ("theory.schedules=[{kind: disjoint, fraction: 0.3}]", "9 disjoint edits"),
        ("theory.schedules=[{kind: collapse}, {kind: collapse}]", "each schedule once"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        plan(compose(["+exp=theory", change]))
