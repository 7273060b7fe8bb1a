"""The report of a run as a run of the tracker, read back from its files."""

import json

import pytest
from written import three_arms

from experiments.config import Config, TrackerConfig
from experiments.reports import tracked
from experiments.reports.report import arms_report
from experiments.tracking import _reset


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """The report of three arms and two seeds, and the files that wandb wrote of it."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    store = tmp_path / "store"
    three_arms(store, (0, 1))
    (folder,) = (store / "reports").iterdir()
    arms_report(store, folder, draw=False)
    edit = {"id": "7", "before": "the ", "old": "<b>", "new": "old", "after": " man",
            "probability": 0.995, "drawn_probability": 0.001}  # fmt: skip
    (folder / "examples.json").write_text(json.dumps({"edited": [edit]}))
    config = Config(name="cpt_bio", tracker=TrackerConfig(kind="wandb"))
    _reset()
    tracked.log_report(config, folder, tmp_path / "wandb")
    _reset()
    (run,) = (tmp_path / "wandb").rglob("offline-run-*")
    return json.loads((folder / "results.json").read_text()), run


def test_arms_edits_and_page_of_a_run_are_panels(logged):
    values, run = logged
    tables = {path.name: json.loads(path.read_text()) for path in run.rglob("*.table.json")}
    arms = next(table for name, table in tables.items() if name.startswith("arms_"))
    assert arms["columns"] == list(tracked.ARMS)
    metrics = {row["metric"]: row for row in values["rows"]}
    assert {line[0] for line in arms["data"]} == set(metrics)
    for metric, arm, value, low, _high, difference, *_ in arms["data"]:
        level = metrics[metric]["arms"][arm]
        assert (value, low) == (level["value"], level["low"])
        assert (difference is None) == (arm == values["reference"])
    edits = next(table for name, table in tables.items() if name.startswith("edits_"))
    assert edits["data"] == [["edited", "7", "the ", "<b>", "old", " man", 0.995, 0.001]]
    bars = [table for table in tables.values() if table["columns"] == ["arm", "value"]]
    assert len(bars) == len(metrics)
    assert all([name for name, _ in own["data"]] == ["base", "source", "edited"] for own in bars)
    (page,) = run.rglob("report_*.html")
    assert "# cpt_bio" in page.read_text()


def test_the_summary_is_named_as_the_rows_of_the_page(logged):
    values, run = logged
    (file,) = run.glob("*.wandb")
    content = file.read_bytes()
    for row in values["rows"]:
        assert f"{row['metric']}/edited".encode() in content
