"""The whole experiment on a tiny random model and the exact prior, killed and continued."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from toedit.embedded import cache_folder

ROOT = Path(__file__).resolve().parents[2]
VOLATILE = {"seconds", "finished", "peak_memory_gb", "argv", "git_dirty", "git_commit"}


def command(corpus: Path, model: Path, store: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "experiments.run", "+exp=cpt_bio", f"store={store}",
        "corpus=local", f"corpus.paths=[{corpus}]", "corpus.heldout_share=0.3",
        "corpus.train_characters=null", "corpus.heldout_characters=null",
        "prior=table", f"model.model={model}", "model.separator=null",
        "train.tokens=1536", "train.block_size=64", "train.batch_tokens=128",
        "train.checkpoint_steps=4",
        "eval.suite=null", "eval.heldout_tokens=1000", "tracker=none", *more,
    ]  # fmt: skip


def run(arguments: list[str]) -> str:
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def records(store: Path) -> dict[str, dict]:
    found = {}
    for path in sorted(store.glob("*/*/record.json")):
        record = json.loads(path.read_text())
        found[f"{record['kind']}/{record['name']}"] = {
            k: v for k, v in record.items() if k not in VOLATILE
        }
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("end-to-end")
    corpus = folder / "corpus.jsonl"
    from conftest import corpus_text

    rows = [{"id": f"doc-{i}", "text": corpus_text(i)} for i in range(60)]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = run(command(corpus, tiny_model, folder / "store"))
    return corpus, folder / "store", output


def test_the_report_and_its_files(finished):
    _, store, output = finished
    assert "held-out bits per byte" in output
    assert "edited − source" in output
    for preset in ("released_code", "paper_text", "forced"):
        assert preset in output
    report = next((store / "reports").iterdir())
    assert (report / "results.md").read_text() in output
    values = json.loads((report / "results.json").read_text())
    editing = values["editing"]
    assert editing["forced"]["changed"] > editing["released_code"]["changed"] > 0
    assert {arm["steps"] for arm in values["training"].values()} == {12}
    assert {arm["tokens"] for arm in values["training"].values()} == {1536}
    assert values["rows"][0]["difference"]["low"] <= values["rows"][0]["difference"]["high"]


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


def test_records_hold_no_home_path(finished, tiny_model, tmp_path):
    """With the temporary folder as home, every path on the command line is below it."""
    corpus, _, _ = finished
    home = str(corpus.parents[1])
    fresh = corpus.parent / "store-home"
    environment = {**os.environ, "HOME": home, "TOEDIT_CACHE": str(cache_folder())}
    arguments = command(corpus, tiny_model, fresh)
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0
    for path in fresh.glob("*/*/record.json"):
        text = path.read_text()
        assert home not in text
        assert "~/" in text  # the paths are there, without the home they stand in


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
        assert set(rows[0]) == {"item", "nll", "tokens", "bytes"}


def test_the_same_command_again_computes_nothing(finished, tiny_model):
    corpus, store, output = finished
    before = {p: p.stat().st_mtime_ns for p in store.glob("*/*/record.json")}
    assert output.endswith(run(command(corpus, tiny_model, store)))
    assert {p: p.stat().st_mtime_ns for p in store.glob("*/*/record.json")} == before


def test_too_little_text_is_refused(finished, tiny_model, tmp_path):
    corpus, _, _ = finished
    arguments = command(corpus, tiny_model, tmp_path / "s", "train.tokens=1280000")
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: the text of arm source holds")


POINTS = {
    "score": "score/*/.work/completions/00000",
    "edit": "edit/*/.work/completions/00000",
    "train": "train/*/checkpoints/checkpoint-4/whole",
    "evaluate": "evaluate/*/predictions",
}


def kill_at(arguments: list[str], store: Path, pattern: str) -> None:
    """Starts a run and kills it, children included, as soon as a file appears."""
    log = store.parent / "killed.log"
    with log.open("w") as handle:
        process = subprocess.Popen(
            arguments, cwd=ROOT, stdout=handle, stderr=handle, start_new_session=True
        )
        deadline = time.monotonic() + 120
        while not list(store.glob(pattern)):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_the_same_command_ends_with_the_same_records(
    finished, tiny_model, tmp_path, point
):
    corpus, store, _ = finished
    arguments = command(corpus, tiny_model, tmp_path / "store", "engine.rows_per_unit=4")
    kill_at(arguments, tmp_path / "store", POINTS[point])
    run(arguments)
    assert records(tmp_path / "store") == records(store)


def test_killed_in_training_the_same_command_ends_with_the_same_records(
    finished, tiny_model, tmp_path
):
    corpus, store, _ = finished
    arguments = command(corpus, tiny_model, tmp_path / "store")
    kill_at(arguments, tmp_path / "store", POINTS["train"])
    assert not list((tmp_path / "store").glob("train/*/record.json"))
    run(arguments)
    assert records(tmp_path / "store") == records(store)
