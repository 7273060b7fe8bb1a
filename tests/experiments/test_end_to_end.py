"""The whole experiment on a tiny random model and the exact prior, also interrupted."""

import json
import re
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from commands import ROOT, Command, files, records, run, small_run, wait_for
from conftest import corpus_text

from toedit.embedded import cache_folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_model):
    """The run that every other one is compared with, by the real command line."""
    folder = tmp_path_factory.mktemp("end-to-end")
    corpus = folder / "corpus.jsonl"
    rows = [{"id": f"doc-{i}", "text": corpus_text(i)} for i in range(60)]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = small_run(corpus, tiny_model, folder / "store")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return corpus, folder / "store", done.stdout


def test_the_report_and_its_files(finished):
    _, store, output = finished
    blocks = [block.splitlines()[0] for block in output.split("\n\n")]
    assert [block.partition(",")[0] for block in blocks] == ["cpt_bio", "Editing", "Arms", "Files"]
    assert "held-out bits per byte" in output
    assert max(len(line) for line in output.splitlines() if "/" not in line) <= 80
    assert "\x1b" not in output and "|" not in output
    for preset in ("released_code", "paper_text", "forced"):
        assert preset in output
    report = next((store / "reports").iterdir())
    assert "| minus source [95 %], p" in (report / "results.md").read_text()
    values = json.loads((report / "results.json").read_text())
    editing = values["editing"]
    assert editing["forced"]["changed"] > editing["released_code"]["changed"] > 0
    assert {arm["steps"] for arm in values["training"].values()} == {12}
    assert {arm["tokens"] for arm in values["training"].values()} == {1536}
    found = values["rows"][0]["differences"]["edited"]
    assert found["low"] <= found["value"] <= found["high"]
    assert (report / "examples.json").exists()
    for name, metrics in editing.items():  # a page of its changes for each edit
        text = (report / "edits" / f"{name}.html").read_text()
        (data,) = re.findall(r'id="documents">(.*?)</script>', text)
        changes = [s for d in json.loads(data) for s in d["segments"] if isinstance(s, list)]
        if name != "forced":  # of many changes a sample is recorded, and words are compared
            assert len(changes) == metrics["changed"] and all(len(c) == 4 for c in changes)
        assert len(json.loads(data)) == metrics["documents"]
        assert f"<b>{metrics['changed']:,}</b> of {metrics['tokens']:,} tokens changed" in text


def test_records_say_where_a_result_comes_from(finished):
    _, store, _ = finished
    found = records(store)
    assert set(found) == {
        "corpus/local", "score/local", "edit/released_code", "edit/paper_text", "edit/forced",
        "train/source", "train/edited", "evaluate/base", "evaluate/source", "evaluate/edited",
    }  # fmt: skip
    for record in found.values():
        assert record["packages"]["torch"]
        assert record["hardware"]["cpu"]
        assert record["identity"]["kind"] == record["kind"]
        assert record["config"]
    assert (
        found["edit/forced"]["metrics"]["documents"]
        == found["corpus/local"]["metrics"]["train_documents"]
    )


def test_nothing_written_holds_a_home_path_or_a_secret(finished, tiny_model, tmp_path):
    """With the temporary folder as home, every path on the command line is below it."""
    corpus, _, _ = finished
    home = str(corpus.parents[1])
    store = corpus.parent / "store-home"
    secrets = {"WANDB_API_KEY": "0123456789" * 4, "HF_TOKEN": "hf_abcdefghijklmnop"}
    environment = {"HOME": home, "TOEDIT_CACHE": str(cache_folder()), **secrets}
    secrets["typed"] = "ghp_a1B2c3D4e5F6g7H8i9J0k1L2"
    note = f"note='pushed with {secrets['typed']} from {home}/work'"
    arguments = small_run(corpus, tiny_model, store, "tracker=wandb", "arms=[source]", note)
    run(arguments, tmp_path / "log", **environment)
    assert list(store.rglob("run-*.wandb"))
    for path in [p for p in store.rglob("*") if p.is_file() and not p.is_symlink()]:
        content = path.read_bytes()
        for secret in secrets.values():
            assert secret.encode() not in content, path
        if path.name in ("record.json", "run.json", "results.json") or path.suffix == ".wandb":
            assert home.encode() not in content, path
    for path in store.glob("*/*/record.json"):
        assert "${oc.env:HOME}/" in path.read_text()  # the paths, without the home they stand in


def test_arms_differ_in_text_alone_and_optimizer_state_is_gone(finished):
    _, store, _ = finished
    found = records(store)
    source, edited = found["train/source"], found["train/edited"]
    assert source["identity"]["config"] == edited["identity"]["config"]
    assert source["metrics"]["loss"] != edited["metrics"]["loss"]
    for folder in (store / "train").iterdir():
        assert (folder / "model" / "model.safetensors").is_file()
        assert not (folder / "checkpoints").exists()
        assert len((folder / "metrics.jsonl").read_text().splitlines()) == 12
    assert not [p for suffix in ("bin", "pt", "pth") for p in store.rglob(f"*.{suffix}")]


def test_predictions_are_kept(finished):
    _, store, _ = finished
    for folder in (store / "evaluate").iterdir():
        rows = pq.read_table(folder / "predictions" / "heldout.parquet").to_pylist()
        assert set(rows[0]) == {"item", "nll", "tokens", "bytes", "cluster"}


def test_the_same_command_again_computes_nothing(finished, tiny_model, tmp_path):
    corpus, store, output = finished
    before = {p: p.stat().st_mtime_ns for p in store.glob("*/*/record.json")}
    again = run(small_run(corpus, tiny_model, store), tmp_path / "log", COLUMNS="80")
    assert again.endswith(output[output.index("cpt_bio, seed 0") :])
    assert again.count("hit ") == 10
    assert {p: p.stat().st_mtime_ns for p in store.glob("*/*/record.json")} == before


def test_too_little_text_is_refused(finished, tiny_model, tmp_path):
    corpus, _, _ = finished
    command = Command(
        small_run(corpus, tiny_model, tmp_path / "s", "train.tokens=1280000"), tmp_path / "log"
    )
    assert command.wait() == 2
    assert command.output.splitlines()[-1].startswith("error: the text of arm source holds")


@pytest.mark.parametrize(
    ("number", "code", "word", "workers"),
    [
        (signal.SIGINT, 130, "interrupted", 1),
        pytest.param(signal.SIGINT, 130, "interrupted", 2, marks=pytest.mark.slow),
        (signal.SIGTERM, 143, "terminated", 1),
    ],
)
def test_an_interruption_ends_in_one_line_that_says_how_to_continue(
    finished, tiny_model, tmp_path, number, code, word, workers
):
    corpus, store, _ = finished
    fresh = tmp_path / "store"
    arguments = small_run(corpus, tiny_model, fresh, f"engine.workers={workers}")
    command = Command(arguments, tmp_path / "log")
    kind = "train/*/checkpoints" if workers == 1 else "score/*/shards"
    wait_for(lambda: list(fresh.glob(kind)), command)
    command.signal(number)
    assert command.wait() == code, command.output[-2000:]
    line = f"{word}: the same command continues where this one stopped"
    assert command.output.splitlines()[-1] == line
    assert "Traceback" not in command.output
    run(arguments, tmp_path / "log")
    assert records(fresh) == records(store)
    assert files(fresh) == files(store)


LOSES_SIGNALS = """
import os, signal, sys, time
from toedit.errors import one_line_errors

class Slow:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(0.01)

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
with one_line_errors():
    Slow()  # Python drops what is raised in __del__
    time.sleep(60)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_arrives_while_garbage_is_collected_is_not_lost(number, code):
    command = [sys.executable, "-c", LOSES_SIGNALS, str(int(number))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert ended.returncode == code
    assert ended.stderr.endswith("the same command continues where this one stopped\n")
    assert "Exception ignored" not in ended.stderr


def test_two_processes_on_one_store_share_the_work(finished, tiny_model, tmp_path):
    corpus, store, _ = finished
    fresh = tmp_path / "store"
    arguments = small_run(corpus, tiny_model, fresh)
    first = Command(arguments, tmp_path / "first")
    wait_for(lambda: list(fresh.glob("score/*")), first)
    first.signal(signal.SIGSTOP)  # else it may be done before the second has begun
    second = Command(arguments, tmp_path / "second")
    wait_for(lambda: "waiting for" in second.output, second)
    assert f"process {first.process.pid} on " in second.output
    first.signal(signal.SIGCONT)
    assert (first.wait(), second.wait()) == (0, 0)
    done = [
        line.split()[1]
        for command in (first, second)
        for line in command.output.splitlines()
        if line.startswith("done ")
    ]
    assert sorted(done) == sorted(set(done))
    assert len(done) == 10
    assert records(fresh) == records(store)


def test_a_process_takes_over_from_one_that_dies(finished, tiny_model, tmp_path):
    corpus, store, _ = finished
    fresh = tmp_path / "store"
    arguments = small_run(corpus, tiny_model, fresh)
    first = Command(arguments, tmp_path / "first")
    wait_for(lambda: list(fresh.glob("train/*")), first)
    first.signal(signal.SIGSTOP)
    second = Command(arguments, tmp_path / "second")
    wait_for(lambda: "waiting for train" in second.output, second)
    time.sleep(0.3)
    first.kill()
    assert second.wait() == 0
    assert records(fresh) == records(store)
