"""Names on the hub: data sets, addresses and priors that real clients read from a test hub."""

import gzip
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import lines, small_run, table_of
from conftest import corpus_text
from hub import Fault, Hub
from hub_shell import Shell, environment

from toedit.errors import UserError
from toedit.hub import kept_commits, note_commit, split_revision
from toedit.priors.loading import load_model, load_tokenizer

TOKEN = "hf_testtesttesttesttesttesttest1234"
STRANGER = "hf_strangerstrangerstranger12345678"


def rows(first: int, number: int = 20) -> list[dict]:
    return [{"id": f"d{i}", "text": corpus_text(i)} for i in range(first, first + number)]


def parquet(records: list[dict]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), file)
    return file.getvalue()


def shards(number: int = 3, shift: int = 0) -> dict[str, bytes]:
    return {
        f"data/train-{k:05d}-of-{number:05d}.parquet": parquet(rows(20 * k + shift))
        for k in range(number)
    }


def zst(text: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(text.encode())
    return sink.getvalue().to_pybytes()


def archive(**members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in members.items():
            zipped.writestr(f"data/{name}.jsonl", text)
    return file.getvalue()


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub
    # Every request of this module: tokens go to the hub, and never to its storage.
    assert all("lfs" not in path for _, path, h in hub.requests if "Authorization" in h)


@pytest.fixture(scope="module")
def toedit(hub, tmp_path_factory) -> Iterator[Shell]:
    shell = Shell(hub, tmp_path_factory.mktemp("home"))
    yield shell
    shell.close()


@pytest.fixture(autouse=True)
def no_faults(request):
    yield
    if "hub" in request.fixturenames:
        request.getfixturevalue("hub").faults.clear()


def edit(toedit: Shell, name: object, output: Path, *more: object, token: str | None = None) -> str:
    """Edits to a good end; returns what was printed."""
    names = name if isinstance(name, list) else [name]
    code, text = toedit(
        "edit", *names, "--output", output, "--prior", "table", "--preset", "released_code", *more,
        token=token,
    )  # fmt: skip
    assert code == 0, text
    return text


def ids(output: Path) -> list[str]:
    return table_of(output)["id"].to_pylist()


def refusal(toedit: Shell, name: object, output: Path, *more: object, token=None) -> str:
    """The line in which an edit ends, after which the folder holds no result."""
    code, text = toedit(
        "edit", name, "--output", output, *(more or ("--prior", "table")), token=token
    )
    *_, line = text.splitlines()
    assert code == 2 and line.startswith("error: ") and "Traceback" not in text, text
    assert not any((output / part).exists() for part in ("data", "README.md", "edit_stats.json"))
    return line


@pytest.mark.slow
def test_data_sets_of_every_layout(hub, toedit, tmp_path):
    text = lines(rows(0))
    commit = hub.add("datasets/org/parquet", {"README.md": "---\nlicense: mit\n---\n", **shards()})
    hub.add("datasets/org/gz", {"data/train.json.gz": gzip.compress(text.encode())})
    hub.add("datasets/org/zst", {"train/a.jsonl.zst": zst(text)})
    card = "---\nconfigs:\n" + "".join(
        f"- config_name: {name}\n  data_files: {name}/*.jsonl\n" for name in ("en", "de")
    )
    parts = {"en/a.jsonl": lines(rows(0, 3)), "de/a.jsonl": lines(rows(9, 3))}
    hub.add("datasets/org/two", {"README.md": f"{card}---\n", **parts})
    printed = edit(toedit, "org/parquet", tmp_path / "parquet")
    assert ids(tmp_path / "parquet") == [f"d{i}" for i in range(60)]
    assert f"not pinned; to pin its newest commit write org/parquet@{commit}" in printed
    assert f"org/parquet@{commit}" in printed
    assert f"- org/parquet (commit {commit})" in (tmp_path / "parquet" / "README.md").read_text()
    stats = json.loads((tmp_path / "parquet" / "edit_stats.json").read_text())
    assert stats["settings"]["inputs"] == [{"file": "org/parquet", "commit": commit}]
    edit(toedit, "org/gz", tmp_path / "gz")
    edit(toedit, "org/zst", tmp_path / "zst")
    assert ids(tmp_path / "gz") == ids(tmp_path / "zst") == [f"d{i}" for i in range(20)]
    line = refusal(toedit, "org/two", tmp_path / "two")
    assert "'en'" in line and "'de'" in line and "--subset" in line
    edit(toedit, "org/two", tmp_path / "two", "--subset", "de")
    assert ids(tmp_path / "two") == ["d9", "d10", "d11"]
    line = refusal(toedit, "org/gz", tmp_path / "split", "--prior", "table", "--split", "test")
    assert "['train']" in line and "--split" in line


@pytest.mark.slow
def test_addresses_are_read_as_if_their_files_were_here(hub, toedit, tmp_path):
    files = {name: content for name, content in shards().items()}
    for name in files:  # without ids, which are then made of names of files
        table = pq.read_table(io.BytesIO(files[name])).drop_columns("id")
        files[name] = parquet(table.to_pylist())
    commit = hub.add("datasets/org/plain", files)
    for name, content in files.items():
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / name).write_bytes(content)
    edit(toedit, tmp_path / "here", tmp_path / "local")
    address = "hf://datasets/org/plain/data/*.parquet"
    assert "not pinned" in edit(toedit, address, tmp_path / "glob")
    pinned = f"hf://datasets/org/plain@{commit}/data/*.parquet"
    assert "not pinned" not in edit(toedit, pinned, tmp_path / "pinned")
    web = [f"{hub.endpoint}/datasets/org/plain/resolve/main/{name}" for name in files]
    edit(toedit, web, tmp_path / "web")
    reference = table_of(tmp_path / "local")
    for name in ("glob", "pinned", "web"):
        assert table_of(tmp_path / name) == reference, name
    assert f"(commit {commit})" in (tmp_path / "glob" / "README.md").read_text()
    two = {"a": lines(rows(0, 4)), "b": lines(rows(4, 4))}
    hub.add("datasets/org/zip", {"all.zip": archive(**two)})
    hub.add("datasets/org/dolma", {"x.json.gz": gzip.compress(two["a"].encode())})
    edit(toedit, "zip://data/b.jsonl::hf://datasets/org/zip/all.zip", tmp_path / "zip")
    assert ids(tmp_path / "zip") == ["d4", "d5", "d6", "d7"]
    edit(toedit, "zip://data/*.jsonl::hf://datasets/org/zip/all.zip", tmp_path / "members")
    assert ids(tmp_path / "members") == [f"d{i}" for i in range(8)]
    code, _ = toedit("score", "hf://datasets/org/dolma/x.json.gz", "--output", tmp_path / "score",
                     "--prior", "table")  # fmt: skip
    assert code == 0 and ids(tmp_path / "score") == ["d0", "d1", "d2", "d3"]
    line = refusal(toedit, "hf://datasets/org/zip/all.zip", tmp_path / "all")
    assert "unknown suffix" in line and ".jsonl" in line
    line = refusal(toedit, "hf://datasets/org/plain/text/*.parquet", tmp_path / "none")
    assert "no file is found under" in line


@pytest.mark.slow
def test_a_revision_may_stand_behind_every_name(hub, toedit, tmp_path, tiny_model):
    old = hub.add("datasets/org/moved", shards(1))
    new = hub.add("datasets/org/moved", shards(1, shift=100))
    edit(toedit, f"org/moved@{old}", tmp_path / "old")
    edit(toedit, f"hf://datasets/org/moved@{old}/data/*.parquet", tmp_path / "address")
    printed = edit(toedit, "org/moved@main", tmp_path / "new")
    assert f"newest commit write org/moved@{new}" in printed
    assert ids(tmp_path / "old") == ids(tmp_path / "address") == [f"d{i}" for i in range(20)]
    assert ids(tmp_path / "new") == [f"d{i}" for i in range(100, 120)]
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(lines(rows(0, 2)))
    weights = hub.add("models/org/prior", tiny_model)
    hub.add("models/org/prior", {"config.json": "{}"})  # a newer commit, which loads as nothing
    output = tmp_path / "prior"
    priors = ["--prior", f"org/prior@{weights}", "--prior", f"org/prior@{weights}"]
    code, text = toedit("edit", corpus, "--output", output, *priors, "--count-tokens",
                        f"org/prior@{weights}")  # fmt: skip
    assert code == 0, text
    assert (
        f"- prior: org/prior@{weights}, org/prior@{weights}" in (output / "README.md").read_text()
    )
    code, text = toedit("score", corpus, "--output", tmp_path / "score", "--prior", "org/prior",
                        "--revision", weights, "--workers", 2)  # fmt: skip
    assert code == 0, text
    line = refusal(toedit, corpus, tmp_path / "x", "--prior", "org/prior@v1", "--revision", "v2")
    assert "names another revision" in line
    line = refusal(toedit, corpus, tmp_path / "x", "--prior", "org/prior/folder")
    assert "no model of the hub" in line


@pytest.mark.slow
def test_refusals_of_the_hub_are_one_line_with_the_next_step(hub, toedit, tmp_path, tiny_model):
    out = tmp_path / "out"
    hub.add("datasets/org/gated", shards(1), gated=True, members=(TOKEN,))
    hub.add("models/org/gated", tiny_model, gated=True, members=(TOKEN,))
    hub.add("datasets/org/open", shards(1))
    hub.add("datasets/org/script", {"script.py": "import datasets"})
    weightless = {p.name: p.read_bytes() for p in tiny_model.iterdir() if p.suffix == ".json"}
    hub.add("models/org/pickled", {**weightless, "pytorch_model.bin": b"pickle"})
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(lines(rows(0, 2)))
    address = "hf://datasets/org/{}/data/train-00000-of-00001.parquet"
    for name in ("org/nothing", address.format("nothing")):
        line = refusal(toedit, name, out)
        assert "data set 'org/nothing' is not on the hub" in line and "HF_TOKEN" in line
    page = f"{hub.endpoint}/datasets/org/gated"
    for name in ("org/gated", address.format("gated")):
        line = refusal(toedit, name, out)
        assert f"accept its licence at {page}, then set HF_TOKEN or run hf auth login" in line
        line = refusal(toedit, name, out, token=STRANGER)
        assert f"your token has no access: accept its licence at {page}" in line
    line = refusal(toedit, corpus, out, "--prior", "org/gated")
    assert f"the model 'org/gated' is gated: accept its licence at {hub.endpoint}/org/gated" in line
    assert "no revision 'v9'" in refusal(toedit, "org/open@v9", out)
    assert "no revision 'v9'" in refusal(toedit, address.format("open@v9"), out)
    assert "no revision 'v9'" in refusal(
        toedit, corpus, out, "--prior", "org/gated@v9", token=TOKEN
    )
    line = refusal(toedit, "hf://datasets/org/open/data/other.parquet", out)
    assert "no file 'data/other.parquet'" in line and f"{hub.endpoint}/datasets/org/open" in line
    line = refusal(toedit, "org/script", out)
    assert "no code of a data set is run" in line and "org/script@refs/convert/parquet" in line
    line = refusal(toedit, corpus, out, "--prior", "org/pickled")
    assert "no weights as safetensors, and pickle files are not read" in line
    refusal(toedit, "org/gated", tmp_path / "gated")
    edit(toedit, "org/gated", tmp_path / "gated", token=TOKEN)
    for path in [*out.rglob("*"), *(tmp_path / "gated").rglob("*")]:
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes()


@pytest.mark.slow
def test_the_clients_wait_and_try_again(hub, toedit, tmp_path, tiny_model):
    hub.add("datasets/org/busy", shards(2))
    hub.add("models/org/busy", tiny_model)
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(lines(rows(0, 2)))
    reference = tmp_path / "reference"
    edit(toedit, "org/busy", reference)
    later = {"Retry-After": "0"}
    hub.faults += [
        Fault("HEAD .*busy/resolve/main/README", 429, headers=later),
        Fault("GET .*busy/resolve.*00000-of", 503, headers=later),
        Fault("GET .*lfs.*00001-of-00002.parquet", cut=1000),
    ]
    edit(toedit, "org/busy", tmp_path / "busy")
    assert not any(fault.times for fault in hub.faults)
    assert table_of(tmp_path / "busy") == table_of(reference)
    hub.faults[:] = [
        Fault("GET .*lfs.*00001-of-00002.parquet", cut=1000),
        Fault("HEAD .*busy/resolve.*config.json", 503, headers=later),
        Fault("GET .*lfs.*model.safetensors", cut=1000),
    ]
    edit(toedit, "hf://datasets/org/busy/data/*.parquet", tmp_path / "files")
    assert table_of(tmp_path / "files") == table_of(reference)
    code, text = toedit("score", corpus, "--output", tmp_path / "score", "--prior", "org/busy")
    assert code == 0 and not any(fault.times for fault in hub.faults), text


def killed(words: list[object], hub: Hub, home: Path, pattern: str) -> None:
    """Run ``toedit`` and kill it when it sends a request."""
    command = [sys.executable, "-m", "toedit", *map(str, words)]
    process = subprocess.Popen(command, env=environment(hub, home), start_new_session=True)
    kill = Fault(pattern, then=lambda: os.killpg(process.pid, signal.SIGKILL))
    hub.faults.append(kill)
    assert process.wait() == -signal.SIGKILL and not kill.times


@pytest.mark.slow
@pytest.mark.parametrize("address", [False, True], ids=["data set", "address"])
def test_a_killed_read_goes_on_in_its_shard_and_at_its_commit(hub, toedit, tmp_path, address):
    name = f"org/killed{int(address)}"
    hub.add(f"datasets/{name}", shards())
    named = f"hf://datasets/{name}/data/*.parquet" if address else name
    edit(toedit, named, tmp_path / "whole")
    words = ["edit", named, "--output", tmp_path / "out", "--prior", "table", "--preset",
             "released_code"]  # fmt: skip
    killed(words, hub, tmp_path, "GET .*lfs.*train-00001-of-00003")
    hub.add(f"datasets/{name}", shards(2, shift=1000))  # the branch moves
    before = len(hub.requests)
    assert "not pinned" not in edit(toedit, named, tmp_path / "out")
    read = [
        re.findall(r"train-(\d+)", path) for _, path, _ in hub.requests[before:] if "lfs" in path
    ]
    # The loader of data sets looks up the columns in the first file.
    assert read == [["00000"]] * (not address) + [["00001"], ["00002"]]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_without_a_network_the_cache_serves(tmp_path, tiny_model):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(lines(rows(0, 2)))
    with Hub() as hub:
        commit = hub.add("models/org/prior", tiny_model)
        shell = Shell(hub, tmp_path)
        score = ["score", corpus, "--prior", "org/prior", "--output"]
        assert shell(*score, tmp_path / "with")[0] == 0
    shell.close()
    shell = Shell(hub, tmp_path)  # the server is gone
    code, text = shell(*score, tmp_path / "without")
    assert code == 0, text
    for part in ("with", "without"):
        stats = json.loads((tmp_path / part / "score_stats.json").read_text())
        assert stats["settings"]["prior"] == [f"org/prior@{commit}"]
    why = f"is not in the cache, and the hub ({hub.endpoint}) cannot be reached: connect"
    line = refusal(shell, corpus, tmp_path / "other", "--prior", "org/other")
    assert f"the model 'org/other' {why}" in line
    assert f"the data set 'org/text' {why}" in refusal(shell, "org/text", tmp_path / "text")
    shell.close()


def test_the_library_says_that_the_hub_cannot_be_reached(monkeypatch):
    """Not that a variable forbids it, which is how the clients are kept from trying again."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("toedit.network._probed", None)
    for load in (load_tokenizer, load_model):
        with pytest.raises(UserError, match=r"\(http://127.0.0.1:9\) cannot be reached: connect"):
            load("org/a-model-that-nobody-has")
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.slow
def test_a_hub_that_never_answers_costs_seconds(tmp_path, tiny_model):
    """As behind a firewall: a cached prior loads, any other is one line, also one half cached."""
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(lines(rows(0, 2)))
    with Hub() as hub, socket.create_server(("127.0.0.1", 0)) as silent:
        for name in ("whole", "half"):
            hub.add(f"models/org/{name}", tiny_model)
        shell = Shell(hub, tmp_path)
        score = ["score", corpus, "--prior"]
        for name in ("whole", "half"):
            assert shell(*score, f"org/{name}", "--output", tmp_path / name)[0] == 0
        shell.close()
        (weights,) = tmp_path.glob("hub/models--org--half/snapshots/*/model.safetensors")
        weights.unlink()
        hub.endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name, code in [("whole", 0), ("half", 2), ("none", 2)]:
            shell = Shell(hub, tmp_path)
            assert (
                shell(*score, tiny_model, "--output", tmp_path / f"local-{name}")[0] == 0
            )  # imports
            began = time.monotonic()
            ended, text = shell(*score, f"org/{name}", "--output", tmp_path / f"silent-{name}")
            shell.close()
            assert time.monotonic() - began < 10, text
            assert ended == code, text
            if code:
                line = text.splitlines()[-1]
                part = "complete in " if name == "half" else "in "
                assert f"the model 'org/{name}' is not {part}the cache" in line, text
                assert "cannot be reached: connect" in line


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_cache_is_one_line_and_the_same_command_goes_on(tmp_path, tiny_model):
    home = tmp_path / "home"
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(home)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not possible here")
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(lines(rows(0, 2)))
    try:
        with Hub() as hub:
            hub.add("models/org/prior", tiny_model)
            shell = Shell(hub, home)
            words = ["score", corpus, "--prior", "org/prior", "--output", tmp_path / "out"]
            code, text = shell(*words)
            line = text.splitlines()[-1]
            assert code == 2 and line.startswith("error: the disk is full at"), text
            assert str(home) in line and "the same command continues" in line
            subprocess.run(["mount", "-o", "remount,size=50m", str(home)], check=True)
            code, text = shell(*words)
            assert code == 0, text
            shell.close()
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


@pytest.mark.slow
def test_records_of_an_experiment_name_the_commits(tmp_path, tiny_model):
    with Hub() as hub:
        text = lines({"id": f"d{i}", "text": corpus_text(i)} for i in range(90))
        data = hub.add("datasets/org/text", {"train.jsonl": text})
        model = hub.add("models/org/base", tiny_model)
        words = [
            *small_run("hf://datasets/org/text/*.jsonl", "org/base", tmp_path / "store"),
            f"prior.model=org/base@{model}",
            "prior.kind=hf", "prior.max_length=64", "prior.overlap=0",
        ]  # fmt: skip
        words.remove("prior=table")
        command = [sys.executable, "-m", "experiments.run", *words]
        done = subprocess.run(
            command, env=environment(hub, tmp_path, TOKEN), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
    found = {
        record["kind"]: record.get("commits", {})
        for record in map(json.loads, map(Path.read_text, tmp_path.glob("store/*/*/record.json")))
    }
    assert found["corpus"] == {"datasets/org/text@main": data}
    assert found["score"] == {f"models/org/base@{model}": model}
    assert found["train"] == found["evaluate"] == {"models/org/base@main": model}
    assert done.stderr.count("is not pinned") + done.stdout.count("is not pinned") == 2
    for path in (tmp_path / "store").rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes(), path


def test_commits_are_kept_in_a_file(tmp_path):
    commit, file = "a" * 40, tmp_path / "commits.json"
    with kept_commits(file) as commits:
        note_commit("model", "org/m", None, commit)
        with kept_commits(tmp_path / "inner.json"):
            note_commit("dataset", "org/d", "v1", "b" * 40)
    assert commits == json.loads(file.read_text()) == {"models/org/m@main": commit}
    assert json.loads((tmp_path / "inner.json").read_text()) == {"datasets/org/d@v1": "b" * 40}
    file.write_text('{"models/org/m@main": "../x"}')
    with pytest.raises(UserError, match="damaged"), kept_commits(file):
        pass
    with kept_commits(file, fresh=True) as commits:
        assert commits == {}


def test_names_with_a_revision(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert split_revision("org/m@v1.0") == split_revision("org/m", "v1.0") == ("org/m", "v1.0")
    assert split_revision("gpt2@refs/pr/3") == ("gpt2", "refs/pr/3")
    assert split_revision("./m@2") == ("./m@2", None)
    Path("m@2").mkdir()
    assert split_revision("m@2") == ("m@2", None)
    with pytest.raises(UserError, match="another revision"):
        split_revision("org/m@v1", "v2")
