"""The tracker: what wandb refuses is an error before anything runs, and nothing else ends a run."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from simple_stages import simple_stage

from experiments import run, runner, tracking
from experiments.config import Config, TrackerConfig
from experiments.config.compose import compose
from experiments.store import Store
from toedit.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Number:
    value: int


CONFIG = Config(name="test", tracker=TrackerConfig(kind="wandb"))


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No state of wandb is left of another test."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(tracking, "_warned", set())
    tracking._reset()
    yield
    tracking._reset()


def executed(store: Path, trouble=lambda: None) -> dict:
    """The records of a run of two arms; ``trouble`` happens within the first."""

    def first(context):
        context.log({"loss": 1.0}, 1)
        trouble()
        context.log({"loss": 0.5}, 2)
        return {"value": 1}

    def second(context):
        context.log({"loss": 2.0}, 1)
        return {"value": 2}

    stages = [
        simple_stage("train", "a", first, Number(1), arm="a", tracked=True),
        simple_stage("train", "b", second, Number(2), arm="b", tracked=True),
    ]
    records = runner.execute(CONFIG, stages, Store(store))
    assert [records[f"train/{name}"]["metrics"] for name in "ab"] == [{"value": 1}, {"value": 2}]
    return records


def warnings(caplog) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]


def test_what_is_interrupted_and_continued_is_one_run_an_arm(tmp_path):
    """Also twice, and where nothing is left to do of what was logged; a forced one is another."""
    interrupted: list[str] = []

    def work(context):
        name = context.stage.name
        if name not in interrupted:
            interrupted.append(name)
            for step in (1, 2) if name == "a" else (4, 5):  # steps of a run ascend
                context.log({"loss": float(step)}, step)
            raise KeyboardInterrupt
        if name == "a":
            context.log({"loss": 3.0}, 3)
        return {"value": 1}

    def stages():
        first = simple_stage("train", "a", work, Number(1), arm="a", tracked=True)
        last = simple_stage("rest", "b", work, Number(2), {"x": first}, arm="a", tracked=True)
        return [first, last]

    def folders() -> list[str]:
        return [path.name for path in (tmp_path / "wandb").rglob("offline-run-*")]

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            runner.execute(CONFIG, stages(), Store(tmp_path))
    records = runner.execute(CONFIG, stages(), Store(tmp_path))
    assert {record["tracker_run"] for record in records.values()} == {
        f"{stages()[1].fingerprint}-1"
    }
    assert len(folders()) == 1
    (file,) = (tmp_path / "wandb").rglob("run-*.wandb")
    logged = file.read_bytes()
    assert logged.count(b"train/loss") == 6 and logged.count(b"rest/loss") == 4  # and as summary
    forced = Config(name="test", tracker=TrackerConfig(kind="wandb"), force="train")
    again = runner.execute(forced, stages(), Store(tmp_path))
    assert {record["tracker_run"][-2:] for record in again.values()} == {"-2"}
    assert len(folders()) == 2


def test_two_processes_at_one_arm_have_two_runs(tmp_path):
    (stage,) = [simple_stage("train", "a", lambda context: {}, Number(1))]
    store = Store(tmp_path)
    with store.attempt(stage) as first, store.attempt(stage) as second:
        assert [first, second] == [(1, False), (2, False)]
    with store.attempt(stage) as again:  # neither has a result
        assert again == (1, True)
    (tmp_path / "attempts" / f"{stage.fingerprint}-1").write_text("")  # of a finished one
    (tmp_path / "attempts" / f"{stage.fingerprint}-2").unlink()
    (tmp_path / "attempts" / f"{stage.fingerprint}-2").symlink_to(tmp_path / "elsewhere")
    with store.attempt(stage) as new:
        assert new == (3, False)


def file_there(folder: Path) -> None:
    folder.write_text("x")


def file_within(folder: Path) -> None:
    folder.mkdir()
    (folder / "wandb").write_text("x")


@pytest.mark.parametrize("occupy", [file_there, file_within])
def test_a_file_where_wandb_writes_is_one_warning(tmp_path, caplog, occupy):
    occupy(tmp_path / "wandb")
    records = executed(tmp_path)
    assert [records[name]["tracker_run"] for name in ("train/a", "train/b")] == [None, None]
    (warning,) = warnings(caplog)
    assert warning.startswith("warning: wandb holds nothing of this run") and "\n" not in warning


@pytest.fixture()
def small_disk(tmp_path):
    """A file system at the folder of wandb, from its options."""
    folder = tmp_path / "wandb"

    def mount(options: str) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no file system can be mounted here")
        return folder

    yield mount
    tracking._reset()
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def fill(folder: Path) -> None:
    with pytest.raises(OSError), (folder / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("options", ["ro", "size=64k"])
def test_a_disk_that_takes_nothing_is_one_warning(tmp_path, caplog, small_disk, options):
    folder = small_disk(options)
    if options != "ro":
        fill(folder)
    executed(tmp_path)
    assert len(warnings(caplog)) == 1


def test_a_disk_that_fills_up_within_a_run_ends_no_run(tmp_path, caplog, small_disk):
    folder = small_disk("size=1m")
    records = executed(tmp_path, lambda: fill(folder))
    assert records["train/a"]["tracker_run"] is not None
    lost, nothing = warnings(caplog)
    assert "the store holds" in lost and "No space left" in nothing


def test_wandb_that_dies_within_a_run_ends_no_run_and_is_started_again(tmp_path, caplog):
    def kill() -> None:
        for process in psutil.Process().children(recursive=True):
            if "wandb" in process.name():
                process.kill()
                process.wait()

    records = executed(tmp_path, kill)
    (warning,) = warnings(caplog)
    assert "wandb has not all curves" in warning
    (found,) = (tmp_path / "wandb").rglob(f"run-{records['train/b']['tracker_run']}.wandb")
    assert found.stat().st_size > 100


@pytest.mark.parametrize("key", ["short", None])
def test_a_login_that_fails_is_one_warning_before_anything_runs(tmp_path, caplog, monkeypatch, key):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    tracking.require_tracker(CONFIG.tracker, tmp_path / "wandb")
    (warning,) = warnings(caplog)
    assert warning.startswith("warning: wandb is offline for this run") and "\n" not in warning
    executed(tmp_path)
    assert len(list((tmp_path / "wandb").rglob("offline-run-*/run-*.wandb"))) == 2
    assert warnings(caplog) == [warning]


def test_a_project_may_name_its_team():
    found = TrackerConfig(project="my-team/text data")
    assert (found.entity, found.project) == ("my-team", "text data")
    assert TrackerConfig(project="t/p", entity="t") == TrackerConfig(project="p", entity="t")
    with pytest.raises(UserError, match="name two teams"):
        TrackerConfig(project="t/p", entity="u")


@pytest.mark.parametrize("project", ["a/b/c", "/a", "a/", "a#b", "50%", "a:b", "a\\b", "x" * 129])
@pytest.mark.parametrize("swept", [False, True])
def test_a_project_that_wandb_refuses_is_refused_before_anything_runs(tmp_path, project, swept):
    words = ["+exp=theory", f"store={tmp_path / 'store'}"]
    config = compose(words)
    config.tracker = TrackerConfig(project=project)
    with pytest.raises(UserError, match="wandb refuses tracker"):
        run.run(config, swept=swept)
    assert not list(tmp_path.glob("store/simulate/**/*"))


def test_a_variable_that_wandb_refuses_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(UserError, match="WANDB_ variable"):
        tracking.require_tracker(CONFIG.tracker, tmp_path)


def test_the_agent_of_a_wandb_sweep_runs_a_command_that_plans_and_gets_the_objective(
    tmp_path, monkeypatch
):
    """The agent itself needs a server; what it composes and what it reads is wandb's own code."""
    import yaml
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    from experiments.plans import plan

    sweep = yaml.safe_load((ROOT / "docs" / "wandb_sweep.yaml").read_text())
    chosen = {"train.learning_rate": 0.000123, "train.warmup_ratio": 0.3}
    assert sweep["parameters"].keys() == chosen.keys()
    arguments = create_sweep_command_args({"args": {k: {"value": v} for k, v in chosen.items()}})
    arguments |= {"env": ["/usr/bin/env"], "interpreter": ["python"]}
    words = [
        word
        for part in create_sweep_command(sweep["command"])
        for word in arguments.get(part.removeprefix("${").removesuffix("}"), [part])
    ]
    assert words[:4] == ["/usr/bin/env", "python", "-m", "experiments.run"]
    config = compose(words[4:])
    assert (config.train.learning_rate, config.train.warmup_ratio) == tuple(chosen.values())
    assert any(stage.name == "source" for stage in plan(config))

    parameters = tmp_path / "config.yaml"
    parameters.write_text("wandb_version: 1\ntrain.learning_rate: {value: 0.000123}\n")
    monkeypatch.setattr(tracking, "_agent", {})
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep7")
    monkeypatch.setenv("WANDB_RUN_ID", "chosenrun")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(parameters))
    assert tracking.in_wandb_sweep()
    folder = tmp_path / "store" / "wandb"
    executed(tmp_path / "store")  # arms are runs of their own
    tracking.log_objective(CONFIG.tracker, "test", 1.25, folder)
    assert tracking.in_wandb_sweep() and "WANDB_RUN_ID" not in os.environ
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 3
    (run_folder,) = (folder / "wandb").glob("offline-run-*-chosenrun")
    (file,) = run_folder.glob("*.wandb")
    read = file.read_bytes()
    assert b"objective" in read and b"1.25" in read and b"train.learning_rate" in read


def test_a_run_outside_a_wandb_sweep_has_no_agent(monkeypatch):
    monkeypatch.setattr(tracking, "_agent", {})
    monkeypatch.setenv("WANDB_RUN_ID", "mine")
    assert not tracking.in_wandb_sweep()
