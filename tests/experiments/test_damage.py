"""Files that are damaged, gone or cannot be written: one line that names them, and a way on."""

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
from commands import Command, files, records, run, small_run, wait_for
from conftest import corpus_text


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("damage")
    corpus = folder / "corpus.jsonl"
    rows = [{"id": f"doc-{i}", "text": corpus_text(i)} for i in range(60)]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(small_run(corpus, tiny_model, folder / "store"), folder / "log")
    return corpus, folder / "store"


def flip(path: Path) -> None:
    """Other bytes, as many as before."""
    path.write_bytes(bytes(b ^ 0x5A for b in path.read_bytes()))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


slow = pytest.mark.slow
DAMAGE = [
    ("corpus/local-*/train/00000.parquet", flip, ["score", "edit", "train", "evaluate"]),
    pytest.param("corpus/local-*/heldout/00000.parquet", cut, ["evaluate"], marks=slow),
    ("score/local-*/shards/00001.parquet", flip, ["edit", "train", "evaluate"]),
    pytest.param("score/local-*/.work/manifest.json", flip, ["edit"], marks=slow),
    pytest.param("score/local-*/shards/00000.parquet", Path.unlink, ["edit"], marks=slow),
    pytest.param(
        "edit/released_code-*/shards/00000.parquet", flip, ["train", "evaluate"], marks=slow
    ),
    ("train/edited-*/model/model.safetensors", flip, ["evaluate"]),
    pytest.param("train/source-*/model/config.json", cut, ["evaluate"], marks=slow),
    ("evaluate/edited-*/predictions/heldout.parquet", flip, []),
    ("evaluate/base-*/record.json", cut, []),
]


@pytest.mark.parametrize(
    ("pattern", "damage", "lost"), DAMAGE, ids=lambda v: v if isinstance(v, str) else ""
)
def test_damage_is_named_and_deleting_the_named_folder_recomputes_it(
    finished, tiny_model, tmp_path, pattern, damage, lost
):
    """``lost`` are kinds of stages to be computed again, so that the damaged file is read."""
    corpus, intact = finished
    store = tmp_path / "store"
    shutil.copytree(intact, store)
    for kind in lost:
        shutil.rmtree(store / kind)
    (path,) = store.glob(pattern)
    damage(path)
    arguments = small_run(corpus, tiny_model, store)
    command = Command(arguments, tmp_path / "log")
    assert command.wait() == 2, command.output[-2000:]
    assert "Traceback" not in command.output
    error = command.output.splitlines()[-1]
    named = re.search(r"delete the folder '([^']+)'", error)
    assert named, error
    assert path.name in error or path.parent.name in error
    assert Path(named[1]) in path.parents
    shutil.rmtree(named[1])
    run(arguments, tmp_path / "log")
    assert records(store) == records(intact)
    assert files(store) == files(intact)


@slow
@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json"]
)
@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_checkpoint_is_named(finished, tiny_model, tmp_path, name, damage):
    corpus, intact = finished
    store = tmp_path / "store"
    shutil.copytree(intact, store)
    shutil.rmtree(store / "train")
    arguments = small_run(corpus, tiny_model, store)
    command = Command(arguments, tmp_path / "log")
    wait_for(lambda: list(store.glob("train/*/checkpoints/checkpoint-8/whole")), command)
    command.signal(signal.SIGKILL)
    command.wait()
    (checkpoint,) = store.glob("train/*/checkpoints/checkpoint-8")
    damage(checkpoint / name)
    command = Command(arguments, tmp_path / "log")
    assert command.wait() == 2, command.output[-2000:]
    error = command.output.splitlines()[-1]
    assert str(checkpoint) in error
    assert "delete it: training continues from the one before" in error
    shutil.rmtree(checkpoint)
    run(arguments, tmp_path / "log")
    assert records(store) == records(intact)


@pytest.mark.parametrize("file_size", [20_000, 90_000])
def test_a_full_disk_ends_in_one_line_and_the_run_continues_later(
    finished, tiny_model, tmp_path, file_size
):
    """A limit on the size of a file stands for the disk: weights or checkpoints do not fit."""
    corpus, intact = finished
    arguments = small_run(corpus, tiny_model, tmp_path / "store")
    command = Command(arguments, tmp_path / "log", file_size=file_size)
    assert command.wait() == 2, command.output[-2000:]
    error = command.output.splitlines()[-1]
    assert error.startswith("error: the disk is full"), error
    assert "then the same command continues" in error
    run(arguments, tmp_path / "log2")
    assert records(tmp_path / "store") == records(intact)


@pytest.mark.parametrize("size", [
    "700k", *(pytest.param(f"{size}k", marks=slow) for size in (8, 100, 300, 500, 780, 900, 960)),
])  # fmt: skip
def test_a_real_full_disk_ends_in_one_line_and_the_run_continues_later(
    finished, tiny_model, tmp_path, small_disk, size
):
    """Text, scores, weights, optimizer state or a report do not fit."""
    corpus, intact = finished
    store = small_disk(size) / "store"
    arguments = small_run(corpus, tiny_model, store)
    command = Command(arguments, tmp_path / "log")
    assert command.wait() == 2, command.output[-2000:]
    assert "Traceback" not in command.output
    error = command.output.splitlines()[-1]
    assert error.startswith("error: the disk is full at '") and str(store.parent) in error, error
    small_disk("16m")
    run(arguments, tmp_path / "log2")
    assert records(store) == records(intact)


def test_a_full_disk_while_editing_leaves_no_half_of_a_shard(finished, tiny_model, tmp_path):
    corpus, _ = finished
    out = tmp_path / "out"
    arguments = ["edit", str(corpus), "--output", str(out), "--prior", str(tiny_model)]
    command = Command(arguments, tmp_path / "log", "toedit.__main__", file_size=3_000)
    assert command.wait() == 2, command.output[-2000:]
    assert command.output.splitlines()[-1].startswith("error: the disk is full")
    assert not list(out.rglob("shards/*.parquet"))
    assert Command(arguments, tmp_path / "log", "toedit.__main__").wait() == 0
    assert len(list((out / "data").iterdir())) == 1
