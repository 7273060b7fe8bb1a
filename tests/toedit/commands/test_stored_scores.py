"""Rules that are applied to stored scores: the same text as from a scoring pass of their own."""

import json
from pathlib import Path

import pytest
from commands import cli, lines, table_of
from conftest import corpus_text

RULES = [
    ["--preset", "paper_text"],
    ["--preset", "released_code", "--seed", "3"],
    ["--preset", "forced", "--workers", "2"],
    ["--preset", "none"],
    ["--threshold", "0.6", "--k", "3", "--temperature", "2", "--generation", "1"],
    ["--sampler", "rejection", "--threshold", "0.7", "--k", "5"],
    ["--threshold", "0.8", "--ceiling", "0.95", "--delete-below", "0.001", "--rescore"],
]


@pytest.fixture()
def corpus(tmp_path) -> Path:
    """Two files of three units, with a record that is skipped and other columns."""
    rows = [{"key": f"k{i}", "body": corpus_text(i)[:150], "year": 1990 + i} for i in range(150)]
    rows[70]["body"] = None
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text(lines(rows[:100]))
    (tmp_path / "in" / "b.jsonl").write_text(lines(rows[100:]))
    return tmp_path / "in"


COLUMNS = ["--text-column", "body", "--id-column", "key", "--missing-text", "skip"]


@pytest.mark.parametrize("prior", ["table", "model"])
def test_stored_scores_give_the_text_of_a_direct_edit(corpus, tmp_path, tiny_model, capsys, prior):
    options = ["--prior", "table" if prior == "table" else tiny_model, "--threads", "1"]
    keep = ["--candidates", "8", "--above", "0.6", "--shard-size", "0.03"]
    scores = tmp_path / "scores"
    assert cli("score", corpus, "--output", scores, *options, *COLUMNS, *keep) == 0
    said = capsys.readouterr().out
    kept = sum(path.stat().st_size for path in (scores / "candidates").iterdir())
    assert f"candidates: {kept / 1e6:.2g} MB, " in said
    for number, rule in enumerate(RULES):
        direct, stored = tmp_path / f"direct-{number}", tmp_path / f"stored-{number}"
        assert cli("edit", corpus, "--output", direct, *options, *COLUMNS, *rule) == 0
        before = capsys.readouterr().out
        assert cli("edit", corpus, "--output", stored, "--scores", scores, *rule) == 0
        after = capsys.readouterr().out
        assert (
            after.splitlines()[1].rpartition(" in ")[0]
            == before.splitlines()[1].rpartition(" in ")[0]
        )
        for part in ("data", "changes"):
            assert table_of(stored, part).equals(table_of(direct, part)), rule
        stats = [json.loads((p / "edit_stats.json").read_text()) for p in (direct, stored)]
        for known in stats:
            known.pop("flops")
            known.pop("settings")
        assert stats[0] == stats[1]


def test_a_file_that_was_renamed_is_the_same_text(corpus, tmp_path):
    keep = ["--candidates", "8", "--above", "0.6"]
    options = ["--prior", "table", *COLUMNS]
    assert cli("score", corpus, "--output", tmp_path / "scores", *options, *keep) == 0
    rule = ["--preset", "forced", "--threshold", "0.6"]
    assert cli("edit", corpus, "--output", tmp_path / "before", *options, *rule) == 0
    (corpus / "a.jsonl").rename(corpus / "a2.jsonl")
    command = ["edit", corpus, "--output", tmp_path / "after", "--scores", tmp_path / "scores"]
    assert cli(*command, *rule) == 0
    before, after = (table_of(tmp_path / name, "data") for name in ("before", "after"))
    assert after.equals(before)


def test_scores_that_do_not_serve_are_one_line(corpus, tmp_path, capsys):
    edit = ["edit", corpus, "--output", tmp_path / "out"]

    def refused(*options) -> str:
        capsys.readouterr()
        assert cli(*edit, *options) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    def score(name: str, *options) -> Path:
        folder = tmp_path / name
        assert cli("score", corpus, "--output", folder, "--prior", "table", *COLUMNS, *options) == 0
        return folder

    assert "is no finished output of toedit score" in refused("--scores", tmp_path / "nowhere")
    plain = score("plain")
    assert "made without candidates: score again with --candidates 8 --above 0.99" in refused(
        "--scores", plain
    )
    high = score("high", "--candidates", "4", "--above", "0.99")
    said = refused("--scores", high, "--threshold", "0.9")
    assert "hold the 4 best at tokens with p >= 0.99, and the rule (p >= 0.9, top-k 8" in said
    assert (
        "needs the 8 best at tokens with p >= 0.9: score again with --candidates 8 --above 0.9"
        in said
    )
    assert "--autoregressive scores edited text" in refused("--scores", high, "--autoregressive")
    below = refused("--scores", high, "--ceiling", "0.1", "--k", "4")
    assert "score again with --candidates 4 --above 0.99 --below 0.1" in below
    assert "--generations" in refused("--scores", high, "--k", "4", "--generations", "2")
    for options in (["--text-column", "key"], ["--prior", "embedded"], ["--max-length", "64"]):
        assert f"something else ({options[0]}: " in refused("--scores", high, "--k", "4", *options)
    more = corpus / "a.jsonl"
    more.write_text(more.read_text() + lines([{"key": "new", "body": "more"}]))
    assert "something else (input 'a.jsonl': " in refused("--scores", high, "--k", "4")
    assert "--above and --below are for --candidates" in refused_score(corpus, tmp_path, capsys)


def refused_score(corpus: Path, tmp_path: Path, capsys) -> str:
    assert (
        cli("score", corpus, "--output", tmp_path / "s", "--prior", "table", "--above", "0.5") == 2
    )
    return capsys.readouterr().err


def test_candidates_at_every_token_serve_any_rule(corpus, tmp_path):
    options = ["--prior", "table", *COLUMNS]
    keep = ["--candidates", "300", "--above", "0"]  # more than the vocabulary has
    assert cli("score", corpus, "--output", tmp_path / "scores", *options, *keep) == 0
    for number, rule in enumerate(
        [["--ceiling", "0.05"], ["--sampler", "top_p", "--threshold", "0.1"]]
    ):
        direct, stored = tmp_path / f"direct-{number}", tmp_path / f"stored-{number}"
        assert cli("edit", corpus, "--output", direct, *options, *rule) == 0
        assert cli("edit", corpus, "--output", stored, "--scores", tmp_path / "scores", *rule) == 0
        assert table_of(stored).equals(table_of(direct))
        assert table_of(stored, "changes").equals(table_of(direct, "changes"))


def test_a_class_that_stored_scores_name_is_not_imported(corpus, tmp_path, capsys, monkeypatch):
    """The folder may be somebody else's; what the command names is imported."""
    module = tmp_path / "prior_of_stored_scores.py"
    module.write_text(
        "from toedit.priors.table import TablePrior\n\n\nclass Own(TablePrior):\n"
        "    def __init__(self, model):\n        super().__init__()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = ["--prior", "prior_of_stored_scores:Own"]
    keep = ["--candidates", "8", "--above", "0.9"]
    assert cli("score", corpus, "--output", tmp_path / "s", *own, *COLUMNS, *keep) == 0
    edit = ["edit", corpus, "--output", tmp_path / "out", "--scores", tmp_path / "s"]
    capsys.readouterr()
    assert cli(*edit) == 2
    assert "give their --prior too: prior_of_stored_scores:Own" in capsys.readouterr().err
    assert cli(*edit, *own) == 0
    stats = tmp_path / "s" / "score_stats.json"
    known = json.loads(stats.read_text())
    for name, value in [("prior", "org/model"), ("max_length", "x"), ("vllm", [3])]:
        stats.write_text(json.dumps({**known, "settings": {**known["settings"], name: value}}))
        assert cli(*edit, "--force", *own) == 2
        assert f"is damaged ({name} is " in capsys.readouterr().err
