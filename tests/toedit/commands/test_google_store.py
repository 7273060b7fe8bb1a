"""Inputs and outputs at ``gs://``: the real client, and an emulator of the store."""

import http.server
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import cli, lines
from conftest import corpus_text

# Else the kind of every bucket is asked for by gRPC, which the emulator does not speak.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
pytest.importorskip("gcsfs", reason="needs the extra toedit[gcs]")
del os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"]
pytest.importorskip("gcp_storage_emulator", reason="needs gcp-storage-emulator")

import fsspec
from gcp_storage_emulator.server import create_server

from toedit.corpora import stores

ROWS = [{"id": f"d{i}", "text": corpus_text(i)} for i in range(60)]
OPTIONS = ["--prior", "table", "--preset", "forced", "--threshold", "0.001", "--shard-size", "0.01"]
PARTS = {"part-0": ROWS[:20], "part-9": ROWS[20:40], "part-10": ROWS[40:]}


@pytest.fixture()
def store(tmp_path, monkeypatch) -> Iterator[fsspec.AbstractFileSystem]:
    """An emulator with the buckets ``corpus`` and ``out``, as commands see it."""
    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="corpus")
    server.start()
    monkeypatch.setenv("TOEDIT_CACHE", str(tmp_path / "cache"))
    begin(monkeypatch, server._api._httpd.server_address[1])
    files = fsspec.filesystem("gs", use_listings_cache=False, token="anon")
    for name, rows in PARTS.items():
        files.pipe_file(f"corpus/in/{name}.jsonl", lines(rows).encode())
    files.pipe_file("corpus/in/notes.md", b"no text")
    files.mkdir("out")
    yield files
    server.stop()
    begin(monkeypatch, 9)


def begin(monkeypatch, port: int) -> None:
    """Clients keep the server that they began with."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    fsspec.get_filesystem_class("gs").clear_instance_cache()


@pytest.fixture()
def local(tmp_path) -> Path:
    """The files of the bucket in a folder."""
    folder = tmp_path / "local"
    folder.mkdir()
    for name, rows in PARTS.items():
        (folder / f"{name}.jsonl").write_text(lines(rows))
    return folder


def refused(capsys, *words: object) -> str:
    """The line with which a command refuses; nothing else may be said."""
    capsys.readouterr()
    assert cli(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def read(capsys, tmp_path) -> str:
    return refused(capsys, "edit", "gs://corpus/in", "--output", tmp_path / "x", *OPTIONS)


@pytest.mark.parametrize("pattern", ["gs://corpus/in/", "gs://corpus/in/part-*.jsonl"])
def test_shards_are_those_of_local_files(pattern, store, local, tmp_path, capsys):
    names = sorted(PARTS) if "*" in pattern else PARTS
    files = [local / f"{name}.jsonl" for name in names]
    for command in (["edit", *OPTIONS], ["score", "--prior", "table"]):
        output = tmp_path / command[0]
        assert cli(*command, *files, "--output", output) == 0
        assert cli(*command, pattern, "--output", f"gs://out/{command[0]}/") == 0
        shards = {p.relative_to(tmp_path).as_posix(): p.read_bytes()
                  for p in output.glob("*/*.parquet")}  # fmt: skip
        found = {name.removeprefix("out/"): store.cat_file(name) for name in store.find("out")}
        kept = {k: v for k, v in found.items() if k.startswith(command[0])}
        assert {k: v for k, v in kept.items() if k.endswith(".parquet")} == shards
        listed = json.loads(kept[f"{command[0]}/upload.json"])["files"]
        assert len(listed) == len(kept) - 1
    line = refused(capsys, "edit", pattern, "--output", "gs://out/edit", *OPTIONS)
    assert "finished output; --force" in line
    assert not list((tmp_path / "cache/outputs").iterdir())


def test_what_is_missing_is_one_line(store, local, tmp_path, capsys):
    for address, line in (("nothing/a.jsonl", "check bucket and name"),
                          ("corpus/in/a.jsonl", "does not exist"),
                          ("nothing/*.jsonl", "'gs://nothing/*.jsonl'"),
                          ("corpus/none", "no file is found")):  # fmt: skip
        words = ["edit", f"gs://{address}", "--output", tmp_path / "x", *OPTIONS]
        assert line in refused(capsys, *words)
    words = ["edit", local, "--output", "gs://nothing/x", *OPTIONS]
    assert "cannot write 'gs://nothing/x': it does not exist" in refused(capsys, *words)


def test_a_server_that_is_gone_or_silent_is_one_line_in_time(tmp_path, monkeypatch, capsys):
    begin(monkeypatch, 9)
    started = time.monotonic()
    assert "cannot be reached or does not answer (Cannot connect" in read(capsys, tmp_path)
    monkeypatch.setattr(stores, "ANSWER", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        begin(monkeypatch, server.getsockname()[1])
        assert "cannot be reached or does not answer (" in read(capsys, tmp_path)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("code", [401, 403])
def test_a_store_that_refuses_says_what_to_do(code, tmp_path, monkeypatch, capsys):
    class Refuse(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"error": {"code": code, "message": "no access for you"}}).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.handle_error = lambda *_: None  # a client that hangs up would stand before the line
        begin(monkeypatch, server.server_address[1])
        line = read(capsys, tmp_path)
        server.shutdown()
    assert "no access for you" in line and "gcloud auth application-default login" in line
