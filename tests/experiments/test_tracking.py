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
