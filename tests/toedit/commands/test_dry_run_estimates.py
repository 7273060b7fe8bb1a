"""Dry runs and the threshold of a target share, from one scoring pass of a sample."""

import json
import re
import shutil

import numpy as np
import pytest
from commands import cli, lines, table_of
from conftest import corpus_text

from toedit.commands.sample import duration
from toedit.devices import DEVICES, device
from toedit.document import Document
from toedit.editor import edit_documents, score_documents
from toedit.priors.base import CandidateRange
from toedit.priors.loading import count_weights, load_model
from toedit.priors.table import TablePrior
from toedit.rules import PRESETS, EditRule


@pytest.fixture()
def corpus(tmp_path):
    path = tmp_path / "in.jsonl"
    rows = [{"id": i, "text": corpus_text(i)} for i in range(70)]
    path.write_text(lines(rows))
    return path


def test_a_dry_run_says_what_each_threshold_would_change(corpus, tmp_path, capsys):
    """The whole corpus is in the sample, so the table holds its exact expectations."""
    options = ["--prior", "table", "--batch-tokens", "20000", "--device", "cpu"]
    assert cli("edit", corpus, "--output", tmp_path / "out", *options, "--dry-run") == 0
    said = capsys.readouterr().out
    assert re.search(r"about (a second|[\d.]+.* seconds) on (these \d+ cores|this core), at ", said)
    head, *rows = said.splitlines()[-7:]
    names = re.split(r"  +", head.strip())
    assert names == ["threshold", "eligible", "paper_text", "released_code", "forced",
                     "temperature 2", "temperature 3"]  # fmt: skip
    prior = TablePrior()
    documents = [Document(str(i), corpus_text(i)) for i in range(70)]
    scored = list(score_documents(documents, prior, CandidateRange(8, 0.5)))
    for row in rows:
        found = dict(zip(names, map(float, row.split()), strict=True))
        p = np.concatenate([np.exp(s.logprobs.astype(float)) for _, s in scored])
        eligible = 100 * (p >= found["threshold"]).mean()
        assert found["eligible"] == round(eligible, 2)
        assert found["forced"] == found["eligible"] >= found["temperature 3"]
        assert found["temperature 3"] >= found["temperature 2"] >= found["paper_text"]
    rule = PRESETS["paper_text"]
    changes = sum(e.stats.smoothing for e in edit_documents(scored, rule, prior.vocabulary))
    by_threshold = {row.split()[0]: row.split()[2] for row in rows}
    assert by_threshold["0.99"] == f"{100 * changes / len(p):.2f}"


def test_the_share_comes_with_how_far_seeds_move_it(corpus, tmp_path, capsys):
    command = ["edit", corpus, "--output", tmp_path / "out", "--prior", "table"]
    command += ["--batch-tokens", "20000"]  # so that the sample is the whole corpus
    rule = ["--threshold", "0.5", "--temperature", "2"]
    assert cli(*command, *rule, "--dry-run") == 0
    said = re.search(r"and ([\d.]+) ± ([\d.]+) % \(95 % of seeds\)", capsys.readouterr().out)
    prior = TablePrior()
    documents = [Document(str(i), corpus_text(i)) for i in range(70)]
    scored = list(score_documents(documents, prior, CandidateRange(8, 0.5)))
    shares = []
    for seed in range(60):
        edited = edit_documents(
            scored, EditRule(threshold=0.5, temperature=2), prior.vocabulary, seed=seed
        )
        found = [e.stats for e in edited]
        shares.append(100 * sum(s.changed for s in found) / sum(s.tokens for s in found))
    assert float(said[1]) == pytest.approx(np.mean(shares), abs=0.3 * np.std(shares) + 0.005)
    assert float(said[2]) == pytest.approx(1.96 * np.std(shares), rel=0.35)
    assert cli(*command, *rule) == 0  # and the answer has the unit of the question
    changed = re.search(r"tokens changed \(([\d.]+) %, ", capsys.readouterr().out)[1]
    assert float(changed) == pytest.approx(float(said[1]), abs=2 * float(said[2]))


def test_the_threshold_of_a_target_is_found_once(corpus, tmp_path, capsys, monkeypatch):
    target = ["--prior", "table", "--temperature", "2", "--target-changed", "3%"]
    assert cli("edit", corpus, "--output", tmp_path / "a", *target, "--dry-run") == 0
    planned = re.search(r"would change \(p >= ([\d.]+),", capsys.readouterr().out)[1]
    assert cli("edit", corpus, "--output", tmp_path / "a", *target) == 0
    said = capsys.readouterr().out
    threshold = re.match(r"--target-changed 3%: --threshold ([\d.]+)\n", said)[1]
    assert threshold == planned
    stats = json.loads((tmp_path / "a" / "edit_stats.json").read_text())
    assert stats["settings"]["rule"]["threshold"] == float(threshold)
    assert 0.02 < stats["changed"] / stats["tokens"] < 0.04
    rule = ["--prior", "table", "--temperature", "2", "--threshold", threshold]
    assert cli("edit", corpus, "--output", tmp_path / "b", *rule) == 0
    other = json.loads((tmp_path / "b" / "edit_stats.json").read_text())
    assert other["changed_histogram"] == stats["changed_histogram"]
    # A run that is continued does not search again; one with another target is another run.
    with monkeypatch.context() as context:
        context.setenv("PATH", "/nowhere")
        slurm = [*target, "--engine", "slurm"]
        assert cli("edit", corpus, "--output", tmp_path / "c", *slurm) == 2
    done = tmp_path / "c" / ".work" / "generation-0" / ".work" / "completions" / "99999"
    done.parent.mkdir(parents=True, exist_ok=True)
    done.touch()
    capsys.readouterr()
    assert cli("edit", corpus, "--output", tmp_path / "c", *target[:-1], "4%") == 2
    assert "(--target-changed: 0.03 -> 0.04)" in capsys.readouterr().err
    assert cli("edit", corpus, "--output", tmp_path / "c", *target) == 0
    assert "--target-changed" not in capsys.readouterr().out
    found = json.loads((tmp_path / "c" / "edit_stats.json").read_text())["settings"]["rule"]
    assert found["threshold"] == float(threshold)


def test_the_threshold_of_a_target_from_stored_scores(corpus, tmp_path, capsys):
    keep = ["--candidates", "8", "--above", "0.6"]
    assert cli("score", corpus, "--output", tmp_path / "s", "--prior", "table", *keep) == 0
    stored = ["edit", corpus, "--output", tmp_path / "out", "--scores", tmp_path / "s"]
    capsys.readouterr()
    assert cli(*stored, "--target-changed", "0.001", "--temperature", "2", "--force") == 0
    said = capsys.readouterr()
    assert "in a sample, whose scores are stored …" in said.err
    assert "scored first" not in said.err and "scores again" not in said.err + said.out
    shutil.rmtree(tmp_path / "out")
    assert cli(*stored, "--target-changed", "20%") == 2
    assert "even 'p >= 0.6, top-k 8, temperature 1, " in capsys.readouterr().err
    assert cli(*stored, "--target-changed", "0.001", "--temperature", "2", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "no forward pass: the scores are stored" in said
    assert cli(*stored, "--target-changed", "0.001", "--temperature", "2") == 0
    assert re.search(r"would change \((p >= [\d.]+)", said)[1] in capsys.readouterr().out


def test_a_sample_that_is_all_of_the_inputs_says_how_to_score_once(corpus, tmp_path, capsys):
    """The command that is named makes the same edit, without a second pass of the prior."""
    command = ["edit", corpus, "--prior", "table", "--batch-tokens", "20000", "--temperature", "2"]
    target = ["--target-changed", "3%"]
    assert cli(*command, "--output", tmp_path / "a", *target) == 0
    said = capsys.readouterr().err
    assert "in a sample, which is scored first …" in said
    options = re.search(r"scores again: .*run toedit score INPUT --output SCORES (.*) once", said)[
        1
    ]
    score = ["score", corpus, "--prior", "table", "--output", tmp_path / "s", *options.split()]
    assert cli(*score) == 0
    again = ["edit", corpus, "--scores", tmp_path / "s", "--batch-tokens", "20000",
             "--temperature", "2", *target, "--output", tmp_path / "b"]  # fmt: skip
    assert cli(*again) == 0
    assert table_of(tmp_path / "a").equals(table_of(tmp_path / "b"))
    assert table_of(tmp_path / "a", "changes").equals(table_of(tmp_path / "b", "changes"))
    capsys.readouterr()
    assert cli(*command, "--output", tmp_path / "c", *target, "--dry-run") == 0
    assert "which an edit scores again" in capsys.readouterr().out
    short = [*command[:4], "--batch-tokens", "200", *target, "--temperature", "2"]
    assert cli(*short, "--output", tmp_path / "c", "--dry-run") == 0  # of a part of the inputs
    assert "scores again" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--target-changed", "2"], "'2' is no share of tokens, such as 2% or 0.02"),
        (["--target-changed", "2%", "--threshold", "0.9"], "leave out that and --ceiling"),
        (["--target-changed", "99%"], "raise --temperature, take --preset forced"),
        (["--device", "h100"], "--device h100 is for estimates: add --dry-run"),
        (["--device", "h100", "--dry-run"], "estimates models of transformers and vLLM alone"),
    ],
)
def test_what_no_estimate_can_be_made_of(corpus, tmp_path, capsys, options, line):
    assert cli("edit", corpus, "--output", tmp_path / "out", "--prior", "table", *options) == 2
    assert line in capsys.readouterr().err.splitlines()[-1]


def test_time_on_another_device_is_that_of_its_data_sheet(corpus, tmp_path, tiny_model, capsys):
    weights = count_weights(str(tiny_model))
    assert weights == sum(p.numel() for p in load_model(str(tiny_model)).parameters())
    options = ["--prior", tiny_model, "--dry-run", "--device", "2xa100", "--dtype", "bfloat16"]
    assert cli("score", corpus, "--output", tmp_path / "out", *options) == 0
    said = capsys.readouterr().out
    rate = 2 * 0.4 * DEVICES["a100"].bfloat16 / (2 * weights)
    assert f"on 2 A100 and --workers 2, by its data sheet: {rate:,.0f} tokens/s in bfloat16" in said
    assert device("2xa100").count == 2


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.1, 0.5, "a second"), (9.96, 31, "10 to 31 seconds"), (119, 130, "2 to 2.2 minutes"),
        (6000, 6001, "100 minutes"), (5.4e5, 6.8e5, "150 to 190 hours (6.2 to 7.9 days)"),
    ],
)  # fmt: skip
def test_durations(low, high, text):
    assert duration(low, high) == text
