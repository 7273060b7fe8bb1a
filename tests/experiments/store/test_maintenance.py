"""`python -m experiments.store`: what is there and for what, what may go, what is damaged."""

import json
from dataclasses import dataclass

import pytest
from simple_stages import simple_stage

from experiments import runner
from experiments.config import Config, TrackerConfig
from experiments.stage import Stage
from experiments.store import Store
from experiments.store.__main__ import main
from experiments.store.jobs import declared, jobs


@dataclass
class Number:
    value: int


def work(context):
    (context.folder / "result.txt").write_text(f"{context.stage.config.value}")
    (context.folder / "scratch").mkdir(exist_ok=True)
    (context.folder / "scratch" / "big").write_text("x" * 1000)
    return {"value": context.stage.config.value}


def chain(value: int, fail: bool = False) -> list[Stage]:
    def stop(context):
        (context.folder / "half").write_text("half")
        raise KeyboardInterrupt

    text = simple_stage("corpus", "text", work, Number(value), scratch=("scratch",))
    train = simple_stage("train", "arm", work, Number(value), {"text": text}, scratch=("scratch",))
    check = simple_stage("evaluate", "arm", stop if fail else work, Number(value), {"model": train},
                  scratch=("scratch",))  # fmt: skip
    return [text, train, check]


CONFIG = Config(name="test", tracker=TrackerConfig(kind="none"))


def command(capsys, *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return stop.value.code, capsys.readouterr().out


@pytest.fixture()
def store(tmp_path):
    """An evaluated chain, an interrupted one, and a result that nothing reads."""
    store = Store(tmp_path)
    runner.execute(CONFIG, chain(1), store)
    with pytest.raises(KeyboardInterrupt):
        runner.execute(CONFIG, chain(2, fail=True), store)
    runner.execute(CONFIG, chain(3)[:2], store)
    return store


def test_optimizer_state_goes_once_the_record_exists(store):
    assert not list(store.root.rglob("scratch"))
    record = store.record(chain(1)[0])
    assert list(record["files"]) == ["result.txt"]
    assert record["files"]["result.txt"]["bytes"] == 1


def test_ls_says_what_each_result_is_for(store, capsys):
    code, said = command(capsys, "ls", "--store", str(store.root))
    lines = {line.split()[0]: line for line in said.splitlines()}
    text, train, check = (stage.label for stage in chain(1))
    assert code == 0
    assert train in lines[text]
    assert check in lines[train]
    assert "tables" in lines[check]
    assert "unfinished" in lines[chain(2)[2].label]
    assert "job test" in lines[chain(2)[0].label]
    assert "nothing (gc would remove it)" in lines[chain(3)[1].label]
    assert "interrupted or failed" in said


def test_gc_shows_first_and_never_removes_what_is_needed(store, capsys):
    folders = {stage.label: store.folder(stage) for value in (1, 2, 3) for stage in chain(value)}
    unneeded = {stage.label for stage in chain(3)[:2]}
    code, said = command(capsys, "gc", "--store", str(store.root))
    assert code == 0
    assert all(folder.exists() for label, folder in folders.items() if label != chain(3)[2].label)
    assert all(label in said for label in unneeded)
    command(capsys, "gc", "--delete", "--store", str(store.root))
    left = {label for label, folder in folders.items() if folder.exists()}
    assert left == set(folders) - unneeded - {chain(3)[2].label}
    assert "nothing to remove" in command(capsys, "gc", "--store", str(store.root))[1]
    command(capsys, "gc", "--interrupted", "--delete", "--store", str(store.root))
    left = {label for label, folder in folders.items() if folder.exists()}
    assert left == {stage.label for stage in chain(1)}
    assert not jobs(store.root)


def test_gc_keeps_what_a_running_job_is_going_to_need(store, capsys):
    labels = [stage.label for stage in chain(3)]
    with declared(store.root, "running", labels, "run.py"):
        command(capsys, "gc", "--interrupted", "--delete", "--store", str(store.root))
        assert all(store.folder(stage).exists() for stage in chain(3)[:2])
    command(capsys, "gc", "--delete", "--store", str(store.root))
    assert not store.folder(chain(3)[0]).exists()


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("run.json", lambda label: [{"label": label}]),
        ("run.json", lambda label: {"kind/name": label}),  # of format 1
        ("results.json", lambda label: {label: 1.0}),  # of before runs were listed
    ],
)
def test_gc_keeps_what_a_report_lists(store, capsys, name, listed):
    (store.root / "reports" / "test-1").mkdir(parents=True)
    own = {"stages": listed(chain(3)[1].label)}
    (store.root / "reports" / "test-1" / name).write_text(json.dumps(own))
    command(capsys, "gc", "--delete", "--store", str(store.root))
    assert all(store.folder(stage).exists() for stage in chain(3)[:2])  # the stage and its input


def test_gc_leaves_alone_what_is_no_stage_and_what_a_scheduler_may_work_on(store, capsys):
    mine = store.root / "corpus" / "my-notes"
    submitted = store.root / "score" / "x-0123456789ab" / ".work"
    for folder in (mine, submitted):
        folder.mkdir(parents=True)
    (submitted / "slurm_job.json").write_text('{"id": "7"}')
    command(capsys, "gc", "--interrupted", "--delete", "--store", str(store.root))
    assert mine.exists()
    assert submitted.exists()


def test_no_folder_but_a_store_is_cleaned(tmp_path, capsys):
    (tmp_path / "photos" / "2020-0123456789ab").mkdir(parents=True)
    code, _ = command(capsys, "gc", "--interrupted", "--delete", "--store", str(tmp_path))
    assert code == 2
    assert (tmp_path / "photos" / "2020-0123456789ab").exists()


def test_gc_keeps_a_stage_under_its_lock(store):
    from experiments.store.maintenance import garbage

    stage = chain(3)[1]
    with store.lock(stage):
        assert store.folder(stage) not in [item.path for item in garbage(store)]
    assert store.folder(stage) in [item.path for item in garbage(store)]


@pytest.mark.parametrize("how", ["other", "longer", "gone"])
def test_verify_finds_a_changed_file(store, capsys, how):
    assert command(capsys, "verify", "--store", str(store.root)) == (
        0,
        "7 results checked, 0 damaged\n",
    )
    path = store.folder(chain(1)[1]) / "result.txt"
    path.unlink() if how == "gone" else path.write_text("7" if how == "other" else "17")
    code, said = command(capsys, "verify", "--store", str(store.root))
    assert code == 1
    assert f"{chain(1)[1].label}: result.txt" in said
    assert "delete the folder" in said


def test_an_interrupted_job_is_replaced_by_the_same_one(store):
    (job,) = jobs(store.root)
    assert (job.experiment, job.running) == ("test", False)
    runner.execute(CONFIG, chain(2), store)
    assert not jobs(store.root)
