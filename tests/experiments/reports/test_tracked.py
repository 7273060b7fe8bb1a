"""The report of a run as a run of the tracker, read back from its files."""

import json
import re

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
    panels = {path.name.partition("_")[0]: path.read_text() for path in run.rglob("*.html")}
    assert set(panels) == {"arms", "edits", "report"}
    header = re.findall("<th>(.*?)</th>", panels["arms"])
    assert header == ["metric", "base", "source", "edited", "base − source", "edited − source"]
    lines = [re.findall("<td>(.*?)</td>", line) for line in panels["arms"].split("<tr>")[2:]]
    assert [line[0] for line in lines] == [row["metric"] for row in values["rows"]]
    for row, (_, base, *_, difference) in zip(values["rows"], lines, strict=True):
        assert base.startswith(f"{row['arms']['base']['value']:.{row['digits']}f}")
        assert difference.startswith(("+", "-", "×"))
    assert "…the <del>&lt;b&gt;</del><ins>old</ins> man…" in panels["edits"]
    assert "0.9950" in panels["edits"] and "# cpt_bio" in panels["report"]
    assert not list(run.rglob("*.table.json"))  # whose staging folder would be in the run's file


def test_the_summary_is_named_as_the_rows_of_the_page(logged):
    values, run = logged
    (file,) = run.glob("*.wandb")
    content = file.read_bytes()
    for row in values["rows"]:
        assert f"{row['metric']}/edited".encode() in content
