"""Stages are run once, continued after an interruption, and recomputed where forced."""

from dataclasses import dataclass

import pytest
from simple_stages import simple_stage

from experiments import runner
from experiments.config import Config, TrackerConfig
from experiments.store import Store
from experiments.store.curves import MetricsLog
from toedit.errors import UserError
from toedit.hub import MODEL, commit_of


@dataclass
class Number:
    value: int


class Work:
    """Stages that add their inputs, count their runs, and can be told to fail once."""

    def __init__(self):
        self.runs: list[str] = []
        self.fail: str | None = None

    def run(self, context):
        name = context.stage.name
        self.runs.append(name)
        if self.fail == name:
            self.fail = None
            (context.folder / "unfinished").write_text("x")
            raise KeyboardInterrupt
        context.log({"value": 1.0}, 1)
        total = context.stage.config.value + sum(m["sum"] for m in context.metrics.values())
        return {"sum": total, "continued": (context.folder / "unfinished").exists()}

    def stages(self, first=1):
        a = simple_stage("add", "a", self.run, Number(first))
        b = simple_stage("add", "b", self.run, Number(2), {"x": a}, arm="arm", tracked=True)
        c = simple_stage("sum", "c", self.run, Number(3), {"x": a, "y": b}, arm="arm", tracked=True)
        return [a, b, c]


CONFIG = Config(name="test", tracker=TrackerConfig(kind="none"))


def test_a_second_run_is_all_hits(tmp_path):
    work = Work()
    first = runner.execute(CONFIG, work.stages(), Store(tmp_path))
    again = runner.execute(CONFIG, work.stages(), Store(tmp_path))
    assert work.runs == ["a", "b", "c"]
    assert first == again
    assert first["sum/c"]["metrics"]["sum"] == 3 + 1 + 3
    assert first["sum/c"]["git_commit"] != ""
    assert first["add/a"]["hardware"]["cores"] > 0


def test_an_interrupted_stage_is_continued_in_its_folder(tmp_path):
    work = Work()
    work.fail = "b"
    with pytest.raises(KeyboardInterrupt):
        runner.execute(CONFIG, work.stages(), Store(tmp_path))
    records = runner.execute(CONFIG, work.stages(), Store(tmp_path))
    assert work.runs == ["a", "b", "b", "c"]
    assert records["add/b"]["metrics"]["continued"]


def test_a_name_of_the_hub_is_read_at_one_commit_that_records_name(tmp_path):
    """What two stages load is looked up once; an interrupted stage goes on at what it began."""
    cache, seen = tmp_path / "cache", []
    branch = cache / "models--some--model" / "refs" / "main"
    branch.parent.mkdir(parents=True)

    def move(number: str) -> None:
        snapshot = cache / "models--some--model" / "snapshots" / (number * 40)
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
        branch.write_text(number * 40)

    def load(context):
        seen.append(commit_of(MODEL, "some/model"))
        if len(seen) == 1:
            move("2")
            raise KeyboardInterrupt
        return {}

    def stages():
        base = simple_stage("add", "a", load)
        return [base, simple_stage("add", "b", load, Number(2)), simple_stage("sum", "c")]

    move("1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
        with pytest.raises(KeyboardInterrupt):
            runner.execute(CONFIG, stages(), Store(tmp_path / "store"))
        found = runner.execute(CONFIG, stages(), Store(tmp_path / "store"))
    assert seen == ["1" * 40] * 3
    assert found["add/a"]["commits"] == found["add/b"]["commits"] == {
        "models/some/model@main": "1" * 40
    }  # fmt: skip
    assert "commits" not in found["sum/c"] and "commits.json" not in found["add/a"]["files"]


def test_force_recomputes_a_stage_and_what_depends_on_it(tmp_path):
    work = Work()
    runner.execute(CONFIG, work.stages(), Store(tmp_path))
    forced = Config(name="test", tracker=TrackerConfig(kind="none"), force="add/b")
    runner.execute(forced, work.stages(), Store(tmp_path))
    assert work.runs == ["a", "b", "c", "b", "c"]
    with pytest.raises(UserError, match="did you mean 'add/b'"):
        runner.forced_stages("add/bb", work.stages())


def test_an_interrupted_force_is_continued_and_never_mixes_results(tmp_path):
    work = Work()
    store = Store(tmp_path)
    runner.execute(CONFIG, work.stages(), store)
    forced = Config(name="test", tracker=TrackerConfig(kind="none"), force="add/a")
    work.fail = "b"
    with pytest.raises(KeyboardInterrupt):
        runner.execute(forced, work.stages(), store)
    stages = work.stages()
    assert store.record(stages[0]) is not None
    assert store.record(stages[2]) is None  # its old result went before anything was recomputed
    records = runner.execute(forced, stages, store)
    assert work.runs == ["a", "b", "c", "a", "b", "b", "c"]
    assert records["add/b"]["metrics"]["continued"]
    runner.execute(forced, work.stages(), store)
    assert work.runs[7:] == ["a", "b", "c"]  # forcing again recomputes again


def test_a_force_that_ended_leaves_no_marker_behind(tmp_path):
    """Else another force, interrupted, would make the first one believe that it was."""
    work, store = Work(), Store(tmp_path)
    for name in ("add/a", "sum/c"):
        runner.execute(CONFIG, work.stages(), store)
        forced = Config(name="test", tracker=TrackerConfig(kind="none"), force=name)
        if name == "sum/c":
            work.fail = "c"
            with pytest.raises(KeyboardInterrupt):
                runner.execute(forced, work.stages(), store)
        else:
            runner.execute(forced, work.stages(), store)
    before = len(work.runs)
    again = Config(name="test", tracker=TrackerConfig(kind="none"), force="add/a")
    runner.execute(again, work.stages(), store)
    assert work.runs[before:] == ["a", "b", "c"]


def test_a_changed_configuration_says_what_changed(tmp_path, caplog):
    work = Work()
    runner.execute(CONFIG, work.stages(), Store(tmp_path))
    with caplog.at_level("INFO", logger="experiments.runner"):
        runner.execute(CONFIG, work.stages(first=10), Store(tmp_path))
    assert "config.value: 1 -> 10" in caplog.text


def test_metrics_are_logged_beside_the_record(tmp_path):
    work = Work()
    stages = work.stages()
    runner.execute(CONFIG, stages, Store(tmp_path))
    assert MetricsLog(Store(tmp_path).folder(stages[1])).read() == [{"step": 1, "value": 1.0}]


def test_one_wandb_run_an_arm_with_the_upstream_configuration(tmp_path):
    work = Work()
    config = Config(name="test", tracker=TrackerConfig(kind="wandb"))
    stages = work.stages()
    records = runner.execute(config, stages, Store(tmp_path))
    runs = list((tmp_path / "wandb").rglob("run-*.wandb"))
    assert [run.name for run in runs] == [f"run-{stages[2].fingerprint}-1.wandb"]
    assert records["add/a"]["tracker_run"] is None
    assert records["add/b"]["tracker_run"] == records["sum/c"]["tracker_run"]
    assert records["sum/c"]["tracker_run"] == f"{stages[2].fingerprint}-1"
    upstream = runner.upstream_config(stages[1:])
    assert set(upstream) == {"add/a", "add/b", "sum/c"}
    assert records["sum/c"]["config"] == {"value": 3}
    assert records["sum/c"]["inputs"] == {"x": stages[0].label, "y": stages[1].label}
    raw = runs[0].read_bytes()
    for expected in (b"add/a", b"sum/c", stages[0].fingerprint.encode(), b"sum/value"):
        assert expected in raw
    for expected in (b"add/a/sum", b"add/b/sum"):  # one kind, two stages
        assert expected in raw
