"""Continual pre-training on a file of the user's, evaluated on the financial tasks of AdaptLLM."""

import json

import pytest
from commands import Command, lines, run, small_run
from conftest import corpus_text

METRICS = {"Headline": "headline_f1", "FPB": "weighted_f1", "FiQA_SA": "weighted_f1",
           "ConvFinQA": "numeric_match", "NER": "half_credit"}  # fmt: skip


@pytest.mark.slow
def test_every_metric_is_compared(tmp_path, tiny_model, adaptllm_items):
    corpus = tmp_path / "news.jsonl"
    corpus.write_text(lines({"id": f"d{i}", "text": corpus_text(i)} for i in range(60)))
    arguments = small_run(corpus, tiny_model, tmp_path / "store", "eval.suite=finance_adaptllm",
                          f"eval.data={adaptllm_items}")  # fmt: skip
    arguments[0] = "+exp=cpt_finance"
    run(arguments, tmp_path / "log")
    (path,) = (tmp_path / "store" / "reports").glob("*/results.json")
    page = path.with_name("results.md").read_text()
    rows = {row["metric"]: row for row in json.loads(path.read_text())["rows"]}
    for label, metric in METRICS.items():
        (row,) = [r for name, r in rows.items() if name.startswith(f"{label}, {metric} %")]
        assert set(row["arms"]) == {"base", "source", "edited"}
        edited = row["differences"]["edited"]
        assert edited["low"] <= edited["value"] <= edited["high"]
        assert edited["low"] < edited["high"]  # also where no item differs
        assert f"| {label}, {metric} %" in page
        assert (row["majority"] is None) == (label in ("ConvFinQA", "NER"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["eval.suite=finance_adaptllm", "+eval.limits.adaptllm_headline=9"],
         "eval.limits.adaptllm_headline: Headline is a mean over classes of questions"),
        (["eval.suite=finance_adaptllm", "eval.data=/nowhere"],
         "eval.data: the items of Headline are not there: '/nowhere/Headline/test.jsonl'"),
        (["eval.data=/nowhere", "eval.suite=commonsense_embedded"],
         "eval.data='/nowhere' is for the tasks of AdaptLLM, which eval.suite="),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_refused_before_training(tmp_path, tiny_model, more, line):
    arguments = small_run(tmp_path / "x.jsonl", tiny_model, tmp_path / "store", *more,
                          "dry_run=true")  # fmt: skip
    arguments[0] = "+exp=cpt_finance"
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n')
    command = Command(arguments, tmp_path / "log")
    assert command.wait() == 2
    assert command.output.splitlines()[-1].startswith(f"error: {line}")
