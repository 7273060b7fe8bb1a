"""Inputs and outputs in object stores: real clients, a server on this machine, and its failures."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command, cli, lines, table_of
from conftest import corpus_text

pytest.importorskip("s3fs", reason="needs the extra toedit[s3]")
pytest.importorskip("moto", reason="needs moto[server]")

import fsspec
from object_store import KEYS, Break, ObjectStore

from toedit.commands import upload
from toedit.corpora import stores
from toedit.corpora.records import Reading
from toedit.corpora.remote import addresses
from toedit.corpora.sources import local_documents
from toedit.diffs import differences

ROWS = [{"id": f"d{i}", "text": corpus_text(i)} for i in range(60)]
OPTIONS = ["--prior", "table", "--preset", "forced", "--threshold", "0.001", "--shard-size", "0.01"]


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with ObjectStore() as store:
        yield store


@pytest.fixture()
def store(server, tmp_path, monkeypatch) -> Iterator[ObjectStore]:
    """The server with a bucket ``corpus`` and an empty one ``out``, and commands that know it."""
    server.breaks, server.requests = [], []
    for name in ("corpus", "out"):
        if name in (entry["Name"] for entry in server.client.list_buckets()["Buckets"]):
            for key in server.objects(name):
                server.client.delete_object(Bucket=name, Key=key)
        else:
            server.bucket(name)
    for number in (0, 10, 9):  # natural order: 0, 9, 10
        part = ROWS[:20] if number == 0 else ROWS[20:40] if number == 9 else ROWS[40:]
        server.put("corpus", f"in/part-{number}.jsonl", lines(part))
    server.put("corpus", "in/notes.md", "no text")
    server.put("corpus", "in/.hidden/x.jsonl", "no JSON")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TOEDIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    _forget()
    yield server
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(":")]
    _forget()


def _forget() -> None:
    """Clients keep the server that they began with."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture()
def local(tmp_path) -> Path:
    """The files of the bucket in a folder."""
    for name, part in (("0", ROWS[:20]), ("9", ROWS[20:40]), ("10", ROWS[40:])):
        path = tmp_path / "local" / f"part-{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text(lines(part))
    return path.parent


def shards(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.glob("*/*.parquet")}


def uploaded(store: ObjectStore, prefix: str) -> dict[str, bytes]:
    return {k: v for k, v in store.objects("out", prefix).items() if k.endswith(".parquet")}


def edit(*words: object) -> int:
    return cli("edit", *words, *OPTIONS)


def refused(capsys, *words: object) -> str:
    """The line with which a command refuses."""
    capsys.readouterr()
    assert cli(*words) == 2
    error = capsys.readouterr().err
    *progress, line = error.splitlines()
    assert line.startswith("error: ") and "Traceback" not in error
    assert all(text.startswith("edit:") for text in progress if text)
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in error
    return line


@pytest.mark.parametrize("pattern", ["in/", "in/part-*.jsonl"])
def test_shards_are_those_of_local_files(pattern, store, local, tmp_path, capsys):
    order = (0, 9, 10) if pattern == "in/" else (0, 10, 9)
    files = [local / f"part-{number}.jsonl" for number in order]
    assert edit(*files, "--output", tmp_path / "expected") == 0
    assert edit(f"s3://corpus/{pattern}", "--output", "s3://out/edited") == 0
    text = capsys.readouterr().out
    assert f"work files are in {tmp_path}/cache/outputs/edited-" in text
    assert "documents in s3://out/edited/data" in text
    found = store.objects("out", "edited/")
    assert uploaded(store, "edited/") == shards(tmp_path / "expected")
    assert len(uploaded(store, "edited/")) > 3
    assert set(found) - set(uploaded(store, "edited/")) == {
        "README.md", "edit_stats.json", "upload.json"
    }  # fmt: skip
    listed = json.loads(found["upload.json"])["files"]
    assert {name: len(content) for name, content in found.items() if name != "upload.json"} == {
        name: entry["bytes"] for name, entry in listed.items()
    }
    puts = [line.split()[1] for line in store.requests if line.startswith("PUT")]
    assert puts[-1].endswith("edit_stats.json") and puts[-2].endswith("README.md")
    assert not list((tmp_path / "cache/outputs").iterdir())
    assert not any(KEYS["AWS_SECRET_ACCESS_KEY"].encode() in content for content in found.values())


def test_score_and_diff_read_and_write_stores(store, local, tmp_path, capsys):
    assert cli("score", "s3://corpus/in", "--prior", "table", "--output", "s3://out/a/scores") == 0
    assert cli("score", local, "--prior", "table", "--output", tmp_path / "scores") == 0
    assert uploaded(store, "a/scores/") == shards(tmp_path / "scores")
    assert edit("s3://corpus/in", "--output", "s3://out/edited") == 0
    found = list(differences("s3://corpus/in", "s3://out/edited"))
    assert len(found) == len(ROWS) and all(d.recorded and d.share for d in found)
    assert cli("diff", local, "s3://out/edited") == 0
    assert "60 of 60 documents differ" in capsys.readouterr().out
    assert cli("diff", local, "s3://out/edited/data/*.parquet") == 0


def test_experiments_read_the_documents_of_local_files(store, local, tmp_path):
    expected = [(d.id, d.text) for d in local_documents([local])]
    assert [(d.id, d.text) for d in local_documents(["s3://corpus/in"])] == expected
    assert addresses(["s3://corpus/in/"]) == [
        f"s3://corpus/in/part-{number}.jsonl" for number in (0, 9, 10)
    ]
    store.put("corpus", "texts/a.txt", "one line\nand another")
    whole = Reading(whole_files=True)
    assert [d.text for d in local_documents(["s3://corpus/texts"], whole)] == [
        "one line\nand another"
    ]


def test_other_file_systems_take_outputs(local, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TOEDIT_CACHE", str(tmp_path / "cache"))
    assert edit(local, "--output", "memory://kept/here/") == 0
    assert edit(local, "--output", tmp_path / "expected") == 0
    memory = fsspec.filesystem("memory")
    for name, content in shards(tmp_path / "expected").items():
        assert memory.cat_file(f"/kept/here/{name}") == content
    assert edit(local, "--output", "memory://kept/here") == 2
    words = ["edit", "memory://kept/none.jsonl", "--output", tmp_path / "x", *OPTIONS]
    assert "cannot read 'memory://kept/none.jsonl': it does not exist" in refused(capsys, *words)
    assert edit(local, "--output", f"file://{tmp_path}/b") == 0
    assert shards(tmp_path / "b") == shards(tmp_path / "expected")


def test_rules_for_what_is_there_are_those_of_folders(store, local, capsys):
    words = ["edit", local, "--output", "s3://out/edited", *OPTIONS]
    assert cli(*words) == 0
    before = store.objects("out")
    assert "finished output; --force" in refused(capsys, *words)
    assert "'README.md', which is not of this command" in refused(
        capsys, "score", local, "--prior", "table", "--output", "s3://out/edited", "--force"
    )
    store.put("out", "edited/data/mine.parquet", "mine")
    assert "'data/mine.parquet', which is not of" in refused(capsys, *words, "--force")
    store.client.delete_object(Bucket="out", Key="edited/data/mine.parquet")
    assert store.objects("out") == before
    store.put("out", "edited-not", "a neighbour")
    assert cli(*words, "--force", "--seed", "1", "--shard-size", "100") == 0
    assert set(uploaded(store, "edited/")) == {
        f"{part}/train-00000-of-00001.parquet" for part in ("data", "changes")
    }
    assert store.objects("out")["edited-not"] == b"a neighbour"
    store.put("out", "other/data.txt", "")
    assert "is not empty and no output" in refused(
        capsys, "edit", local, "--output", "s3://out/other", *OPTIONS, "--force"
    )


def test_a_list_of_somebody_else_removes_nothing_else(store, local, capsys):
    hostile = {name: {} for name in ("mine.txt", "../other", "data/../../other", "data/mine")}
    store.put("out", "x/upload.json", json.dumps({"identity": "a", "files": hostile}))
    store.put("out", "x/mine.txt", "mine")
    store.put("out", "other", "mine")
    words = ["edit", local, "--output", "s3://out/x", *OPTIONS, "--force"]
    assert "'mine.txt', which is not of this command" in refused(capsys, *words)
    store.client.delete_object(Bucket="out", Key="x/mine.txt")
    assert cli(*words) == 0
    assert store.objects("out")["other"] == b"mine"
    store.put("out", "y/upload.json", "[]")
    assert "is damaged" in refused(capsys, "edit", local, "--output", "s3://out/y", *OPTIONS)


def test_a_finished_output_is_no_work_folder(store, local, tmp_path, capsys):
    assert edit(local, "--output", tmp_path / "mine") == 0
    before = shards(tmp_path / "mine")
    words = ["edit", local, "--output", "s3://out/x", "--seed", "1", "--work", tmp_path / "mine"]
    assert "holds a finished output" in refused(capsys, *words, *OPTIONS)
    assert shards(tmp_path / "mine") == before and not store.objects("out")


def test_a_bucket_can_be_the_output_and_keys_hold_any_letter(store):
    names = ("a#1.jsonl", "b?x=1.jsonl", "ü ß.jsonl")
    for number, name in enumerate(names):
        store.put(
            "corpus", f"odd/{name}", lines([{"id": f"r{number}", "text": corpus_text(number)}])
        )
    assert edit("s3://corpus/odd", "--output", "s3://out/") == 0
    assert "data/train-00000-of-00001.parquet" in store.objects("out")
    assert edit(*(f"s3://corpus/odd/{name}" for name in names), "--output", "s3://out/x") == 0
    assert uploaded(store, "x/data/") == uploaded(store, "data/")


def test_inputs_and_outputs_lie_apart(store, capsys):
    for source, output in (("s3://corpus/in", "s3://corpus/in/x"), ("s3://corpus/**", "s3://corpus/x"),
                           ("s3://corpus/in/part-0.jsonl", "s3://corpus/in")):  # fmt: skip
        assert "lies inside" in refused(capsys, "edit", source, "--output", output, *OPTIONS)
    assert edit("s3://corpus/in/*.jsonl", "--output", "s3://corpus/in/x") == 0


def test_what_is_missing_is_one_line(store, local, tmp_path, capsys):
    def read(address: str) -> str:
        return refused(capsys, "edit", address, "--output", tmp_path / "x", *OPTIONS)

    assert "no such bucket" in read("s3://nothing/a.jsonl")
    assert "'s3://nothing/*.jsonl'" in read("s3://nothing/*.jsonl")
    assert "does not exist" in read("s3://corpus/in/a.jsonl")
    assert "no file is found" in read("s3://corpus/nothing")
    assert "no file is found" in read("s3://corpus/in/a*")
    for output in ("s3://nothing/x", "s3://nothing"):
        assert "no such bucket" in refused(capsys, "edit", local, "--output", output, *OPTIONS)
    assert "Protocol not known" in refused(capsys, "edit", local, "--output", "ab://c", *OPTIONS)
    for output in ("s3://", "s3://out/*", "https://a.org/b", "zip://a::s3://out/b"):
        assert "no address of a folder" in refused(capsys, "edit", local, "--output", output)
    assert "is an address" in refused(capsys, "edit", local, "--output", "s3:/out/x")
    assert "--work goes with" in refused(capsys, "edit", local, "--output", "x", "--work", "y")
    assert not store.objects("out")


def test_credentials_are_asked_for_and_not_shown(store, local, tmp_path, monkeypatch, capsys):
    secret = "s3://someone:very-secret-key@out/x"
    line = refused(capsys, "edit", local, "--output", secret, *OPTIONS)
    assert "holds credentials" in line and "very-secret-key" not in line
    for name in KEYS:
        monkeypatch.delenv(name)
    _forget()
    read = ["edit", "s3://corpus/in/part-0.jsonl", "--output", tmp_path / "x", *OPTIONS]
    write = ["edit", local, "--output", "s3://out/x", *OPTIONS]
    for words in (read, write):
        assert "no credentials are found: set AWS_ACCESS_KEY_ID" in refused(capsys, *words)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    _forget()
    assert "profile (nobody)" in refused(capsys, *read)


def test_a_store_that_refuses_credentials_is_one_line(store, local, tmp_path, capsys):
    from moto.core import set_initial_no_auth_action_count

    read = ["s3://corpus/in/part-0.jsonl", "--output", tmp_path / "x", *OPTIONS]
    for words in (read, [local, "--output", "s3://out/x", *OPTIONS]):
        line = set_initial_no_auth_action_count(0)(refused)(capsys, "edit", *words)
        assert "the store refuses these credentials" in line and "AWS_ACCESS_KEY_ID" in line


def test_no_server_is_one_line_in_time(store, local, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    _forget()
    for words in (
        ["s3://corpus/in", "--output", tmp_path / "x"],
        [local, "--output", "s3://out/x"],
    ):
        assert "the store cannot be reached" in refused(capsys, "edit", *words, *OPTIONS)


def test_a_server_that_never_answers_is_one_line_in_time(
    store, local, tmp_path, monkeypatch, capsys
):
    assert stores.ANSWER * stores.ATTEMPTS < 28
    monkeypatch.setattr(stores, "ANSWER", 1)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        for words in (
            ["s3://corpus/in", "--output", tmp_path / "x"],
            ["zip://a.jsonl::s3://corpus/x.zip", "--output", tmp_path / "x"],
            [local, "--output", "s3://out/x"],
        ):
            _forget()
            started = time.monotonic()
            assert "does not answer" in refused(capsys, "edit", *words, *OPTIONS)
            assert 3 <= time.monotonic() - started < 60  # minutes by the limits of the clients


@pytest.mark.parametrize("scheme, package", [("s3", "'toedit[s3]'"), ("gs", "'toedit[gcs]'")])
def test_a_missing_package_is_named(scheme, package, local, tmp_path, monkeypatch, capsys):
    for name in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    read = [f"{scheme}://corpus/a.jsonl", "--output", tmp_path / "x"]
    for words in (read, [local, "--output", f"{scheme}://out/x"]):
        line = refused(capsys, "edit", *words, *OPTIONS)
        assert f"pip install {package}" in line


def test_a_broken_download_goes_on(store, local, tmp_path, capsys):
    store.breaks = [Break(r"GET /corpus/in/part-9.jsonl", answered=3000)]
    assert edit("s3://corpus/in", "--output", tmp_path / "a") == 0
    assert not store.breaks[0].times
    assert edit(local, "--output", tmp_path / "b") == 0
    assert table_of(tmp_path / "a") == table_of(tmp_path / "b")
    store.breaks = [Break(r"GET /corpus/in/part-9.jsonl", 1000, answered=3000)]
    words = ["edit", "s3://corpus/in", "--output", tmp_path / "c", *OPTIONS]
    assert "the connection broke" in refused(capsys, *words)
    store.breaks, store.requests = [], []
    assert cli(*words) == 0
    assert not any("GET /corpus/in/part-0.jsonl" in line for line in store.requests)
    assert shards(tmp_path / "c") == shards(tmp_path / "b")


def test_a_broken_upload_goes_on(store, local, tmp_path, capsys):
    words = ["edit", local, "--output", "s3://out/x", *OPTIONS]
    store.breaks = [Break(r"PUT /out/x/changes/train-00001", 1000)]
    assert "cannot write 's3://out/x/changes/train-00001" in refused(capsys, *words)
    assert "edit_stats.json" not in store.objects("out", "x/")
    store.breaks, store.requests = [], []
    line = refused(capsys, *words, "--seed", "1")
    assert "was begun with something else" in line and "'s3://out/x'" in line
    assert cli(*words) == 0
    assert not any("PUT /out/x/data/" in line for line in store.requests)
    assert edit(local, "--output", tmp_path / "expected") == 0
    assert uploaded(store, "x/") == shards(tmp_path / "expected")


def test_another_machine_continues_only_the_same(store, local, tmp_path, monkeypatch, capsys):
    words = ["edit", local, "--output", "s3://out/x", *OPTIONS]
    store.breaks = [Break(r"PUT /out/x/changes/", 1000)]
    refused(capsys, *words)
    store.breaks = []
    monkeypatch.setenv("TOEDIT_CACHE", str(tmp_path / "another"))
    line = refused(capsys, *words, "--seed", "1")
    assert "unfinished output that was begun with something else" in line
    assert cli(*words) == 0
    assert edit(local, "--output", tmp_path / "expected") == 0
    assert uploaded(store, "x/") == shards(tmp_path / "expected")


def test_content_is_verified(store, local, tmp_path, monkeypatch):
    path = tmp_path / "big"
    path.write_bytes(os.urandom(11 << 20))
    monkeypatch.setattr(upload, "PART", 5 << 20)
    sent = upload.Upload("s3://out", ["big"])
    sent.files.put_file(str(path), "out/big", chunksize=5 << 20)
    assert "-" in sent.files.info("out/big")["ETag"]
    store.requests = []
    assert sent._holds("big", path)
    assert not any(line.startswith("GET /out/big") for line in store.requests)
    monkeypatch.setattr(upload, "PART", 6 << 20)  # another checksum: it is read back
    assert sent._holds("big", path)
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    path.write_bytes(content)
    assert not sent._holds("big", path)


def test_patience_is_limited_and_the_users_settings_count(monkeypatch):
    options = stores.store_options("s3://a/b")["config_kwargs"]
    assert options["connect_timeout"] * options["retries"]["total_max_attempts"] < 15
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"connect_timeout": 99}})
    assert stores.store_options("zip://x::s3://a/b")["s3"]["config_kwargs"]["connect_timeout"] == 99
    assert stores.store_options("hf://datasets/a/b@c/d") == {}


@pytest.mark.slow
def test_killed_uploads_and_downloads_go_on(store, local, tmp_path):
    assert edit(local, "--output", tmp_path / "expected") == 0
    words = ["edit", "s3://corpus/in", "--output", "s3://out/x", "--work", str(tmp_path / "work")]
    commands: list[Command] = []
    patterns = (r"GET /corpus/in/part-9", r"PUT /out/x/upload", r"PUT /out/x/data/train-00001",
                r"PUT /out/x/README", r"PUT /out/x/edit_stats")  # fmt: skip
    for number, pattern in enumerate(patterns):
        store.breaks = [Break(pattern, then=lambda: commands[-1].signal(signal.SIGKILL))]
        log = tmp_path / f"log-{number}"
        commands.append(Command([*words, *OPTIONS], log, "toedit.__main__", **store.environment()))
        assert commands[-1].wait() == -signal.SIGKILL, commands[-1].output
        assert "edit_stats.json" not in store.objects("out", "x/")
    assert (tmp_path / "work").is_dir()
    last = Command([*words, *OPTIONS], tmp_path / "log", "toedit.__main__", **store.environment())
    assert last.wait() == 0, last.output
    assert uploaded(store, "x/") == shards(tmp_path / "expected")
    assert not (tmp_path / "work").exists()
