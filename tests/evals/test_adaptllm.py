"""The domain tasks of AdaptLLM on stand-in items of the same schema, through lm-eval itself."""

import json
import subprocess
import sys

import pytest
from commands import ROOT, lines

from evals import scoring
from evals.harness import TASKS, evaluate_task
from evals.suites import SUITES, BenchmarkTask
from experiments.stages.evaluate import summarize
from toedit.errors import UserError
from toedit.priors.loading import load_model, load_tokenizer

TASK = {task.name: task for tasks in SUITES.values() for task in tasks}


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(str(tiny_model)), load_tokenizer(str(tiny_model))


def mean_logprobs(model, tokenizer, prompt: str, options: list[str]) -> list[float]:
    """Mean log-likelihood a token of each option, the naive way."""
    import torch

    found, start = [], len(tokenizer(prompt)["input_ids"])
    for option in options:
        ids = torch.tensor([tokenizer(f"{prompt} {option}")["input_ids"]])
        with torch.inference_mode():
            logprobs = model(ids).logits[0].float().log_softmax(-1)
        own = [float(logprobs[i - 1, ids[0, i]]) for i in range(start, ids.shape[1])]
        found.append(sum(own) / len(own))
    return found


@pytest.mark.parametrize(
    "name",
    [
        "adaptllm_headline",
        "adaptllm_chemprot",
        pytest.param("adaptllm_fpb", marks=pytest.mark.slow),
    ],
)
def test_the_option_of_the_best_mean_is_predicted(name, adaptllm_items, model):
    rows = evaluate_task(*model, TASK[name], data=str(adaptllm_items))
    items = {
        "adaptllm_fpb": "FPB",
        "adaptllm_headline": "Headline",
        "adaptllm_chemprot": "ChemProt",
    }
    path = adaptllm_items / items[name] / "test.jsonl"
    documents = [json.loads(line) for line in path.read_text().splitlines()]
    expected = []
    for row, document in zip(rows, documents, strict=True):
        means = mean_logprobs(*model, document["input"], document["options"])
        expected.append(means.index(max(means)))
        assert row["gold"] == document["gold_index"]
        assert row["value"] == (expected[-1] == document["gold_index"])
    assert [row["prediction"] for row in rows] == expected
    by_sum = [max(range(len(r["option_logprobs"])), key=r["option_logprobs"].__getitem__)
              for r in rows]  # fmt: skip
    if name == "adaptllm_chemprot":
        assert by_sum != expected  # sums would have predicted otherwise
    summary = summarize(TASK[name], rows)
    triples = [(r.get("group", 0), r["gold"], r["prediction"]) for r in rows]
    if name == "adaptllm_fpb":
        assert summary["weighted_f1"] == pytest.approx(scoring.weighted_f1(t[1:] for t in triples))
    elif name == "adaptllm_headline":
        assert summary["headline_f1"] == pytest.approx(scoring.headline_f1(triples))
    assert summary[f"{TASK[name].metric}_stderr"] > 0


@pytest.mark.parametrize("name", ["adaptllm_ner", "adaptllm_convfinqa"])
def test_what_is_generated_is_scored(name, adaptllm_items, model):
    rows = evaluate_task(*model, TASK[name], data=str(adaptllm_items))
    assert len(rows) == 3
    assert all(0 <= row["value"] <= 1 and row["gold"] is None for row in rows)
    assert all(isinstance(row["text"], str) and "\n" not in row["text"] for row in rows)
    summary = summarize(TASK[name], rows)
    assert TASK[name].metric in summary
    assert ("entity_f1" in summary) == (name == "adaptllm_ner")


def test_every_task_has_a_file_and_a_column():
    files = {f"adaptllm_{path.stem}" for path in (TASKS / "adaptllm").glob("*.yaml")}
    suites = ("biomedicine_adaptllm", "finance_adaptllm")
    named = {task.name for suite in suites for task in SUITES[suite]}
    assert files == named
    assert sum(task.items for suite in suites for task in SUITES[suite]) == (
        610 + 500 + 1000 + 2000 + 1273 + 20547 + 970 + 235 + 1490 + 98
    )


def test_items_that_are_not_there_are_one_line(adaptllm_items, model):
    with pytest.raises(UserError, match="the items of USMLE are not there"):
        evaluate_task(*model, TASK["adaptllm_usmle"], data=str(adaptllm_items))
    missing = BenchmarkTask("adaptllm_rct", "RCT", "acc", 5, 0, "adaptllm", 2000, 450)
    with pytest.raises(UserError, match="cannot load RCT of AdaptLLM/medicine-tasks"):
        evaluate_task(*model, missing)


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("FPB", [{"input": "a", "options": ["b"]}], "items of FPB have no column 'gold_index'"),
        ("FPB", [{"input": "a", "options": ["b"], "gold_index": 1}], "0 of FPB has gold_index 1"),
        ("FPB", "{", "cannot load FPB of AdaptLLM/finance-tasks"),
        ("Headline", [{"input": "a", "options": ["b"], "gold_index": 0, "class_id": 42}],
         "items of Headline have the class_id 42; needed: 0 to 8"),
        ("NER", [{"text": "a", "label": "b"}], "items of NER have no column 'input'"),
    ],
)  # fmt: skip
def test_items_that_cannot_be_scored_are_one_line(tmp_path, model, name, rows, message):
    (tmp_path / name).mkdir()
    given = rows if isinstance(rows, str) else lines(rows)
    (tmp_path / name / "test.jsonl").write_text(given)
    with pytest.raises(UserError, match=message):
        evaluate_task(*model, TASK[f"adaptllm_{name.lower()}"], data=str(tmp_path))


@pytest.mark.slow
def test_stock_lm_eval_runs_them(adaptllm_items, tiny_model, tmp_path):
    command = [
        sys.executable, "-m", "lm_eval", "--model", "hf", "--device", "cpu",
        "--model_args", f"pretrained={tiny_model}", "--tasks", "adaptllm_fpb,adaptllm_headline",
        "--include_path", str(TASKS), "--metadata", json.dumps({"adaptllm": str(adaptllm_items)}),
        "--output_path", str(tmp_path),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (path,) = tmp_path.rglob("results*.json")
    found = json.loads(path.read_text())["results"]
    assert 0 <= found["adaptllm_fpb"]["weighted_f1,none"] <= 1
    assert 0 <= found["adaptllm_headline"]["headline_f1,none"] <= 1
