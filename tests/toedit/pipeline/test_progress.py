"""Progress moves while a unit is worked on, for every slow step, and ends at exact counts."""

import re
from pathlib import Path

import pytest
from commands import cli, lines
from conftest import corpus_text

from toedit import pipeline, progress
from toedit.document import Document
from toedit.editor import candidates_for, score_documents
from toedit.pipeline import progress as counting
from toedit.pipeline.progress import CountProgress, forget_unfinished, passed, watch
from toedit.priors import PriorConfig, load_prior
from toedit.priors.base import CandidateRange
from toedit.rules import PRESETS

RULE = PRESETS["released_code"]
SOURCE = [Document(f"d{i}", corpus_text(i)) for i in range(30)]


@pytest.fixture()
def model(tiny_model) -> PriorConfig:
    return PriorConfig(model=str(tiny_model), batch_tokens=256, device="cpu")


def test_a_group_is_heard_of_batch_by_batch_and_the_scores_are_the_same(model):
    prior, heard = load_prior(model), []
    need = CandidateRange(8, 0.5)
    found = score_documents(SOURCE, prior, need, heard=lambda *more: heard.append(more))
    first = next(found)
    assert len(heard) > 10 and all(0 < documents < 3 for documents, _ in heard[:-1])
    scored = [first, *found]
    assert sum(documents for documents, _ in heard) == pytest.approx(30)
    assert sum(tokens for _, tokens in heard) == sum(len(s.tokens) for _, s in scored)
    for (_, one), (_, other) in zip(scored, score_documents(SOURCE, prior, need), strict=True):
        assert one.logprobs.tobytes() == other.logprobs.tobytes()
        assert one.candidate_logprobs.tobytes() == other.candidate_logprobs.tobytes()


def test_a_prior_that_says_nothing_counts_by_groups(table_prior):
    heard: list[tuple[float, int]] = []
    list(score_documents(SOURCE, table_prior, CandidateRange(), group=8,
                         heard=lambda *more: heard.append(more)))  # fmt: skip
    assert [documents for documents, _ in heard] == [8, 8, 8, 6]


def test_the_count_of_a_unit_moves_before_a_document_leaves_it(tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "INTERVAL", -1.0)
    path, seen = tmp_path / "w" / "progress" / "00000", []

    def slow():
        for _ in range(4):
            passed(0.5, 7)
            seen.append(path.read_text())
        yield from SOURCE[:2]

    step = CountProgress(str(path.parent), slow=1)
    assert len(list(step.run(slow(), 0))) == 2
    assert seen == ["0.50 7", "1.00 14", "1.50 21", "2.00 28"]
    assert path.read_text() == "2.00 0"  # what left it, in the end
    passed(1, 1)  # no unit is open: nothing is counted
    assert path.read_text() == "2.00 0"


@pytest.mark.parametrize(("autoregressive", "rescore"), [(False, False), (True, False),
                                                         (False, True), (True, True)])  # fmt: skip
def test_slow_steps_count_each_document_once_together(
    tmp_path, monkeypatch, model, autoregressive, rescore
):
    monkeypatch.setattr(counting, "INTERVAL", -1.0)
    steps = [
        pipeline.ScoreStep(model, candidates_for(RULE)),
        pipeline.EditStep(model, RULE, autoregressive=autoregressive),
        pipeline.Measure(model, rescore),
    ]
    slow = sum(step.slow for step in steps)
    assert slow == 1 + autoregressive + rescore
    stream = iter([Document(d.id, d.text) for d in SOURCE[:6]])
    for step in steps:
        stream = step.run(stream)
    path = tmp_path / "w" / "progress" / "00000"
    for _ in CountProgress(str(path.parent), slow).run(stream, 0):
        last = path.read_text()
    assert last.split()[0] == "6.00"
    tokens = sum(len(load_prior(model).tokenize(d.text)) for d in SOURCE[:6])
    assert float(last.split()[1]) == pytest.approx(tokens, rel=0.05)


def test_counts_of_units_that_are_done_again_are_forgotten(tmp_path):
    counts, done = tmp_path / "progress", tmp_path / "completions"
    for folder in (counts, done):
        folder.mkdir()
    (counts / "00000").write_text("3 40")
    (counts / "00001").write_text("1.25 9")
    (done / "00000").touch()
    with watch(counts, 10, "edit") as speed:
        (counts / "00001").write_text("1.75 20")
    assert speed.tokens == 11
    forget_unfinished(counts, done)
    assert [path.name for path in counts.iterdir()] == ["00000"]
    forget_unfinished(tmp_path / "none", done)


def test_piped_lines_of_sample_and_edit_say_how_far_they_are(
    tmp_path, tiny_model, monkeypatch, capfd
):
    path: Path = tmp_path / "in.jsonl"
    path.write_text(lines([{"id": i, "text": corpus_text(i)} for i in range(60)]))
    monkeypatch.setattr(progress, "INTERVAL", 0.02)
    monkeypatch.setattr(counting, "INTERVAL", 0.005)
    options = ["--prior", tiny_model, "--batch-tokens", "64", "--device", "cpu"]
    target = ["--temperature", "3", "--target-changed", "1%"]
    assert cli("edit", path, "--output", tmp_path / "out", *options, *target) == 0
    said = capfd.readouterr().err
    for label, unit in (("sample", "tokens"), ("edit", "documents")):
        found = re.findall(
            rf"^{label}  (\d+) %  [\d,]+ of [\d,]+ {unit}  [\d,.e+]+ tokens/s  \S+ left$",
            said, re.MULTILINE,
        )  # fmt: skip
        shares = [int(share) for share in found if 0 < int(share) < 100]
        assert len(set(shares)) > 2 and shares == sorted(shares), said
