"""Secrets and home folders are removed from text; commits, names and other paths stay."""

from pathlib import Path

import pytest

from toedit.redaction import published, without_credentials, without_secrets

COMMIT = "5f3c0d1e" * 5


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("use hf_QwErTy0987654321zxcvBN here", "use *** here"),
        ("sk-proj-Ab12Cd34Ef56Gh78Ij90", "***"),
        ("key=ghp_0123456789abcdefABCDEF0123456789abcd", "key=***"),
        ("AKIAABCDEFGHIJKLMNOP", "***"),
        ("https://ada:p%40ss@data.org/a.jsonl", "https://***@data.org/a.jsonl"),
        ("s3://ada:pass@bucket/a", "s3://***@bucket/a"),
        (
            "https://b.s3.amazonaws.com/x?versionId=7&X-Amz-Signature=ab12&X-Amz-Date=2024",
            "https://b.s3.amazonaws.com/x?versionId=7&X-Amz-Signature=***&X-Amz-Date=***",
        ),
        (
            "https://storage.googleapis.com/b/x?X-Goog-Credential=me&part=2",
            "https://storage.googleapis.com/b/x?X-Goog-Credential=***&part=2",
        ),
    ],
)
def test_credentials_are_removed(text, left):
    assert without_credentials(text) == without_secrets(text) == published(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "hf_checkpoints/llama", "org/hf_transformers_small", "sk-learn-models-of-text",
        f"hf://datasets/org/name@{COMMIT}/a.parquet", f"revision={COMMIT}", f"commit {COMMIT}",
        f"/cache/snapshots/{COMMIT}/x", f"{COMMIT}.jsonl", "edit.source_token=excluded",
        "train.tokens=100000000", "tokens: 12345678", "https://host:8080/a@b?page=2",
        "the password of the day", "1e-5", "a" * 64,
    ],
)  # fmt: skip
def test_what_only_resembles_a_secret_stays(text):
    assert published(text) == text


def test_forty_digits_are_a_key_unless_they_are_a_commit():
    assert published({"note": COMMIT, "revision": COMMIT}) == {"note": "***", "revision": COMMIT}
    assert without_credentials(COMMIT) == COMMIT  # identities keep what may be a commit


def test_values_of_the_environment_that_are_secret_by_name(monkeypatch):
    monkeypatch.setenv("LABORATORY_TOKEN", "correct-horse")
    monkeypatch.setenv("SHORT_KEY", "abc")
    monkeypatch.setenv("DATA_KEY", "/data/keys")
    assert published("correct-horse abc /data/keys") == "*** abc /data/keys"
    assert without_credentials("correct-horse") == "correct-horse"


def test_homes_are_removed_as_whole_folders(tmp_path, monkeypatch):
    home = tmp_path / "ada"
    (home / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "work")
    assert published(f"store={home}/work/store") == "store=./store"
    assert published([f"{home}/x", f"file://{home}", str(home)]) == ["~/x", "file://~", "~"]
    assert published(f"{home}bel/x") == f"{home}bel/x"
    assert published("/home/grace/x and /Users/grace") == "/home/***/x and /Users/***"


def test_the_root_of_the_file_system_is_no_home(monkeypatch):
    monkeypatch.setenv("HOME", "/")
    monkeypatch.chdir("/")
    assert published("/data/corpora/a.jsonl") == "/data/corpora/a.jsonl"


def test_other_values_come_back_as_they_are():
    value = {"a": [1, 2.5, None, True, {"b": "c"}]}
    assert published(value) == value
    assert published({"path": Path("x")}) == {"path": Path("x")}
