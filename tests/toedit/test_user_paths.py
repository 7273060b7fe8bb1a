"""Paths as users write them: every place takes the same ones, and refuses the same in one line."""

import os
import threading
from pathlib import Path

import pytest
from commands import cli, lines
from conftest import corpus_text
from omegaconf import OmegaConf

from experiments.config import Config
from experiments.config.compose import compose
from experiments.sweeps.driver import folder_of
from toedit.corpora.files import write_json
from toedit.corpora.units import corpus_files
from toedit.errors import UserError
from toedit.plugins import is_plugin
from toedit.priors.loading import load_tokenizer
from toedit.user_paths import local_path, user_path

TABLE = ("--prior", "table")


@pytest.fixture()
def place(tmp_path, monkeypatch) -> Path:
    """The home folder and current folder, with a corpus and names that are no files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    rows = [{"text": corpus_text(i)} for i in range(3)]
    (tmp_path / "good.jsonl").write_text(lines(rows))
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "circle.jsonl").symlink_to("other.jsonl")
    (tmp_path / "other.jsonl").symlink_to("circle.jsonl")
    return tmp_path


BAD = [
    ("", "is empty"),
    ("x" * 300 + ".jsonl", "has a name of 306 bytes; file systems hold at most 255"),
    ("é" * 130, "has a name of 260 bytes"),
    ("a/" * 2500, "is longer than 4095 bytes"),
    ("a\0b", "holds the character NUL"),
    ("caf\udce9.jsonl", "is not valid UTF-8; rename it"),
    ("circle.jsonl", "leads through links that form a circle"),
    ("circle.jsonl/x", "leads through links that form a circle"),
    ("gone", "leads through a link to 'nowhere', which is not there"),
    ("gone/deeper/x", "leads through a link to 'nowhere', which is not there"),
]


@pytest.mark.parametrize(("name", "message"), BAD)
def test_no_place_takes_a_name_of_no_file(place, capsys, name, message):
    for arguments in (
        ("edit", name, "--output", "out", *TABLE),
        ("edit", "good.jsonl", "--output", name, *TABLE),
        ("score", "good.jsonl", "--output", "out", "--prior", name),
        ("edit", "good.jsonl", "--output", "out", *TABLE, "--count-tokens", name),
        ("diff", name, "good.jsonl"),
        ("diff", "good.jsonl", name),
        ("diff", "good.jsonl", "good.jsonl", "--html", name),
    ):
        assert cli(*arguments) == 2, arguments
        error = capsys.readouterr().err
        assert message in error, (arguments, error)
        assert error.count("\n") == 1
    for changes in (
        {"store": name},
        {"corpus": {"source": "local", "paths": [name]}},
        {"prior": {"model": name}},
        {"model": {"model": name}},
        {"eval": {"data": name}},
    ):
        with pytest.raises(UserError) as raised:
            OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), changes))
        assert message in str(raised.value)
    for function in (lambda: corpus_files([name]), lambda: load_tokenizer(name)):
        with pytest.raises(UserError) as raised:
            function()
        assert message in str(raised.value)
    assert sorted(p.name for p in place.iterdir()) == [
        "circle.jsonl", "gone", "good.jsonl", "other.jsonl", "pipe.jsonl"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["pipe.jsonl", "/dev/zero", "/dev/null", "/dev/tty"])
def test_pipes_and_devices_end_at_once(place, capsys, name):
    done = threading.Timer(30, os._exit, (99,))  # a read of a pipe cannot be interrupted
    done.start()
    for arguments in (
        ("edit", name, "--output", "out", *TABLE),
        ("edit", "good.jsonl", "--output", name, *TABLE),
        ("score", "good.jsonl", "--output", "out", "--prior", f"./{name}"),
        ("diff", "good.jsonl", name),
        ("diff", "good.jsonl", "good.jsonl", "--html", name),
    ):
        assert cli(*arguments) == 2, arguments
        assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(UserError, match="is neither a file nor a folder"):
        corpus_files([name])
    with pytest.raises(UserError, match="is no file, so it is not written"):
        write_json(Path(name), {})
    done.cancel()
    assert not Path(name).is_file()


def test_a_place_where_no_folder_can_be_is_refused(place, capsys):
    assert cli("edit", "good.jsonl", "--output", "/proc/none", *TABLE) == 2
    assert "cannot make the folder '/proc/none/.work'" in capsys.readouterr().err
    assert cli("edit", "good.jsonl", "--output", "out", *TABLE, "--id-column", "caf\udce9") == 2
    assert "is not valid UTF-8" in capsys.readouterr().err
    assert not (place / "out").exists()


def test_a_model_with_a_pipe_is_refused(place):
    (place / "model").mkdir()
    os.mkfifo(place / "model" / "config.json")
    with pytest.raises(UserError, match=r"holds 'config\.json', which is no file"):
        load_tokenizer("model")


def test_the_home_folder_is_meant_everywhere(place, capsys):
    assert cli("edit", "~/good.jsonl", "--output", "~/out", *TABLE) == 0
    assert cli("diff", "~/good.jsonl", "~/out", "--html", "~/page.html") == 0
    assert {"out", "page.html"} < {p.name for p in place.iterdir()}
    assert "~" not in {p.name for p in place.iterdir()}
    config = compose(["+exp=cpt_bio", "store='~/results'", "corpus=local",
                      "corpus.paths=['~/good.jsonl']", "prior.model='~/m'"])  # fmt: skip
    assert (config.store, config.prior.model) == (f"{place}/results", f"{place}/m")
    assert corpus_files(config.corpus.paths) == corpus_files(["~/good.jsonl"])
    assert user_path("~nobody-of-this-name/x") == "~nobody-of-this-name/x"


@pytest.mark.parametrize("name", ["s3://bucket/x", "s3:/bucket/x", "gs://b", "memory://x"])
def test_an_address_is_refused_where_a_folder_is_needed(place, capsys, name):
    words = ["+exp=cpt_bio", "dry_run=true"]
    for option in ("store", "eval.data", "model.model", "prior.model", "statistics.encoder"):
        with pytest.raises(UserError, match=rf"{option}='{name}' is an address"):
            compose([*words, f"{option}='{name}'"])
    with pytest.raises(UserError, match=rf"store='{name}' is an address"):
        folder_of([*words, f"store={name}"])
    assert cli("diff", "good.jsonl", "good.jsonl", "--html", f"{name}/page.html") == 2
    assert cli("edit", "good.jsonl", "--prior", name, "--output", "out") == 2
    assert "is an address, which cannot be used here" in capsys.readouterr().err
    assert not [p.name for p in place.iterdir() if ":" in p.name]


def test_names_like_addresses_are_taken(place):
    (place / "s3:").mkdir()
    for name in ("./s3:/x", "a:b", f"https://a.org/b.jsonl?signature={'x' * 300}"):
        assert user_path(name) == name
    assert local_path("./s3:/x") == "./s3:/x" and local_path("a:b") == "a:b"
    assert is_plugin("module:Class=s3://b/c") and not is_plugin("s3://b/c:d")


def test_long_names_and_links_that_lead_somewhere_are_taken(place):
    long = "長" * 82 + ".jsonl"  # 252 bytes
    (place / "good.jsonl").rename(place / long)
    (place / "link.jsonl").symlink_to(long)
    folder = place / "in"
    folder.mkdir()
    (folder / "a.jsonl").symlink_to("../link.jsonl")
    (folder / "b.jsonl").symlink_to("b.jsonl")
    for number, name in enumerate((long, "link.jsonl", "in")):
        assert cli("edit", name, "--output", f"out{number}", *TABLE) == 0
