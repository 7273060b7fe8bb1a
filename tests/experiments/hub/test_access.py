"""Names that cannot be read are reported before anything is downloaded, each with what to do."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub import Fault, Hub

from experiments.config.compose import compose
from experiments.hub import access
from experiments.hub.access import Access, accesses, advice, require_access
from experiments.hub.names import Name, names_of
from toedit.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
MODEL = Name("model", "lab/model", None, "prior.model", "Their Licence", True)
TEXT = Name("dataset", "lab/text", None, "corpus.hub")
FILES = Name("dataset", "lab/text", None, "files of web")
ITEMS = Name("dataset", "lab/BigItems", None, "eval.suite=some")


@pytest.fixture()
def hub(monkeypatch, tmp_path):
    """A hub with a gated model and an open data set; this process reads from it."""
    from huggingface_hub import constants

    with Hub() as server:
        server.add("models/lab/model", {"config.json": "{}"}, gated=True, members=("hf_member",))
        server.add("datasets/lab/text", {"data/train.jsonl": '{"text": "a"}\n'})
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        pattern = f"{server.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", pattern)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "prepared"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


def only(name: Name) -> Access:
    (found,) = accesses([name])
    return found


def test_a_gated_model_needs_a_token_and_an_accepted_licence(hub, monkeypatch):
    assert only(MODEL).status == access.NO_TOKEN
    line = str(only(MODEL))
    assert "accept the licence (Their Licence)" in line
    assert line.endswith(f"{hub.endpoint}/lab/model")
    assert advice([only(MODEL)]) == [access.LOGIN]
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    assert only(MODEL).status == access.NO_ACCESS
    assert advice([only(MODEL)]) == []
    monkeypatch.setenv("HF_TOKEN", "hf_member")
    assert only(MODEL).status == access.READABLE


def test_what_does_not_exist_is_named(hub):
    commit = hub.add("datasets/lab/text", {"README.md": "newer"})
    pinned = Name("dataset", "lab/text", commit, "corpus.hub")
    assert only(pinned).status == access.READABLE
    wrong = Name("dataset", "lab/text", "0" * 40, "corpus.hub")
    assert only(wrong).status == access.NO_REVISION
    assert str(wrong.revision) in str(only(wrong))
    unknown = Name("dataset", "lab/txt", None, "corpus.hub")
    assert only(unknown).status == access.NOT_FOUND
    file = Name("url", f"{hub.storage}/lfs/none/a.txt", None, "files of web")
    folder = Name("url", f"{hub.storage}/folder/", None, "files of web")
    assert [only(file).status, only(folder).status] == [access.NOT_FOUND, access.READABLE]


def test_nothing_is_downloaded(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_member")
    require_access([MODEL, TEXT], "mine")
    assert not [path for _, path, _ in hub.requests if "/resolve/" in path or "/lfs/" in path]


def test_one_error_names_all_that_is_out_of_reach(hub):
    unknown = Name("model", "lab/gone", None, "model.model")
    with pytest.raises(UserError, match="needs 3 names from elsewhere, and 2 cannot be") as stop:
        require_access([MODEL, TEXT, unknown], "mine")
    first, second, login = stop.value.details
    assert first.startswith("lab/model (prior.model): gated, and no token")
    assert second.startswith("lab/gone (model.model): not found")
    assert "HF_TOKEN" in login


def test_a_busy_hub_and_a_slow_one_are_no_reason_to_refuse(hub, caplog, monkeypatch):
    monkeypatch.setattr(access, "SECONDS", 1.0)
    with caplog.at_level(logging.WARNING):
        hub.faults.append(Fault("GET /api/datasets/lab/text", status=503, times=9))
        require_access([TEXT], "mine")
        hub.faults[:] = [Fault("GET /api/datasets/lab/text", then=lambda: time.sleep(5))]
        monkeypatch.setenv("HF_TOKEN", "hf_member")
        require_access([MODEL, TEXT], "mine")
    busy = [r for r in caplog.records if "lab/text (corpus.hub): host busy" in r.getMessage()]
    assert len(busy) == len(caplog.records) == 2


def test_a_token_that_the_hub_refuses_is_called_so(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    headers = {"X-Error-Message": "Invalid credentials in Authorization header"}
    hub.faults.append(Fault("GET /api/datasets/lab/text", status=401, headers=headers))
    found = only(TEXT)
    assert found.status == access.BAD_TOKEN
    assert advice([found]) == [access.LOGIN]


def test_a_mirror_that_cannot_tell_access_is_believed(hub):
    hub.faults.append(Fault("GET /api/datasets/lab/text/auth-check", status=404))
    assert only(TEXT).status == access.READABLE


def test_without_a_network_the_cache_counts(hub, tmp_path, monkeypatch, caplog):
    from huggingface_hub import constants, hf_hub_download

    monkeypatch.setenv("HF_TOKEN", "hf_member")
    hf_hub_download("lab/model", "config.json")
    (tmp_path / "prepared" / "lab___big_items" / "default" / "0.0.0" / "abc").mkdir(parents=True)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING):
        require_access([MODEL, ITEMS], "mine")
    assert all("the cache is used" in record.getMessage() for record in caplog.records)
    assert len(caplog.records) == 2
    with pytest.raises(UserError) as stop:
        require_access([MODEL, ITEMS, FILES], "mine")
    assert stop.value.details == (
        "lab/text (files of web): host not reachable: http://127.0.0.1:9",
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert [only(name).status for name in (MODEL, ITEMS)] == [access.CACHED] * 2
    assert [only(name).status for name in (TEXT, FILES)] == [access.NOT_CACHED] * 2


def test_embedded_experiments_ask_no_hub():
    for name in ("cpt_bio", "pretrain_ratio", "statistics", "theory", "sft_code"):
        assert names_of(compose([f"+exp={name}"])) == []


def command(hub: Hub, home: Path, *words: str, token: str | None = None):
    """Run a module in a process of its own, and say how long it took."""
    environment = {**os.environ, **hub.environment(home, token), "PYTHONPATH": str(ROOT)}
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *words], env=environment, capture_output=True, text=True, cwd=home
    )
    return done, time.monotonic() - begun


@pytest.mark.slow
def test_an_experiment_without_a_token_ends_in_a_line_for_each_name(hub, tmp_path):
    hub.add("models/meta-llama/Meta-Llama-3-8B", {"config.json": "{}"}, gated=True)
    hub.add("models/allenai/OLMo-1B-hf", {"config.json": "{}"})
    words = ("experiments.run", "+exp=paper/cpt_bio", "store=store", "tracker=none")
    for more in ([], ["rehearse=true"]):
        done, _ = command(hub, tmp_path, *words, *more)
        assert done.returncode == 2
        first, *lines = done.stderr.splitlines()
        assert first.startswith("error: paper/cpt_bio needs ")
        assert any("Meta-Llama-3-8B (prior.model): gated, and no token" in line for line in lines)
        assert "HF_TOKEN" in lines[-1]
        assert "OLMo" not in done.stderr
        assert "Traceback" not in done.stderr
        assert not [path for path in (tmp_path / "store").glob("*") if path.is_dir()]
    assert not [path for _, path, _ in hub.requests if "/resolve/" in path]


@pytest.mark.slow
def test_a_server_that_never_answers_is_reported_in_seconds(hub, tmp_path):
    hub.faults.append(Fault("GET /api/", times=10**6, then=lambda: time.sleep(60)))
    _, start = command(hub, tmp_path, "experiments.run", "+exp=paper/cpt_bio", "dry_run=true")
    done, seconds = command(hub, tmp_path, "experiments.run", "+exp=paper/cpt_bio", "store=store")
    assert done.returncode == 2
    assert f"host not reachable: {hub.endpoint}" in done.stderr
    assert seconds - start < access.SECONDS + 3  # of ten; a start takes two where nothing else runs


@pytest.mark.slow
def test_the_check_lists_names_with_their_status(hub, tmp_path):
    name = "meta-llama/Meta-Llama-3-8B"
    hub.add(f"models/{name}", {"config.json": "{}"}, gated=True, members=("hf_member",))
    words = ("experiments.hub.check", "paper/cpt_bio", "paper/sft_cot", "paper/cpt_finance")
    done, _ = command(hub, tmp_path, *words)
    assert done.returncode == 1
    (row,) = (line for line in done.stdout.splitlines() if line.startswith(name))
    assert "paper/cpt_bio, paper/sft_cot, paper/cpt_finance" in row
    assert row.split("  ")[-1].strip() == access.NO_TOKEN
    assert "AdaptLLM/finance-tasks" in done.stdout
    done, _ = command(hub, tmp_path, *words, token="hf_member")
    (row,) = (line for line in done.stdout.splitlines() if line.startswith(name))
    assert row.endswith("readable")
    done, _ = command(hub, tmp_path, "experiments.hub.check", "cpt_bio")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "0 names, 0 out of reach")
    done, _ = command(hub, tmp_path, "experiments.hub.check", "cpt_boi")
    assert done.returncode == 2
    assert "did you mean 'cpt_bio'" in done.stderr
