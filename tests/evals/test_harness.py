"""From lm-eval's samples to rows; groups of tasks, versions, filters and texts of items."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from commands import lines

from evals.harness import evaluate_task, row_of, task_texts
from evals.items import item_texts
from evals.suites import SUITES, BenchmarkTask
from experiments.stages.evaluate import summarize
from toedit.errors import UserError
from toedit.priors.loading import load_model, load_tokenizer

TASK = BenchmarkTask("t", "T", "acc", 3, 0, "stock", 10, 100)
SAMPLE = {
    "doc_id": 7,
    "doc": {"id": "item-7"},
    "target": "2",
    "arguments": [("q", " yes"), ("q", " no"), ("q", " maybe")],
    "filtered_resps": [(-3.0, False), (-1.5, True), (-2.0, False)],
    "acc": 0.0,
}


@pytest.mark.parametrize("target", [2, "2", "maybe"])
def test_a_row_by_hand(target):
    assert row_of(TASK, {**SAMPLE, "target": target}) == {
        "item": "item-7",
        "cluster": "item-7",
        "value": 0.0,
        "gold": 2,
        "prediction": 1,
        "option_logprobs": [-3.0, -1.5, -2.0],
        "gold_logprob": -2.0,
    }


def test_a_document_without_an_id_is_named_by_its_place():
    assert row_of(TASK, {**SAMPLE, "doc": {}})["item"] == "7"


GROUP = BenchmarkTask("letters", "Letters", "acc", 2, 0, "stock", 5, 10, version=2)
ANSWERS = BenchmarkTask(
    "numbers", "Numbers", "exact_match", 0, 1, "stock", 2, 10, version=1.5, filter="last"
)


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(str(tiny_model)), load_tokenizer(str(tiny_model))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory) -> Path:
    """Stand-ins of stock tasks: a group of two whose items are files, and one that generates."""
    folder = tmp_path_factory.mktemp("tasks")
    for name, size in (("vowels", 3), ("consonants", 2)):
        rows = [{"ask": f"Is {number} one of the {name}?", "options": ["no", "yes"], "right": 1}
                for number in range(size)]  # fmt: skip
        written = {"output_type": "multiple_choice", "doc_to_text": "ask",
                   "doc_to_choice": "options", "doc_to_target": "right",
                   "metric_list": [{"metric": "acc", "aggregation": "mean",
                                    "higher_is_better": True}]}  # fmt: skip
        write_task(folder, name, rows, written, 1.0)
    group = {"group": "letters", "task": ["vowels", "consonants"], "metadata": {"version": 2},
             "aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}]}  # fmt: skip
    (folder / "letters.yaml").write_text(yaml.safe_dump(group))
    rows = [{"id": f"n{number}", "ask": f"What follows {number}?", "answer": str(number + 1),
             "solution": f"Add one to {number}."} for number in range(2)]  # fmt: skip
    written = {
        "output_type": "generate_until",
        "doc_to_text": "{{ask}}",
        "doc_to_target": "{{answer}}",
        "fewshot_split": "test",
        "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": 4},
        "filter_list": [
            {"name": name, "filter": [{"function": "regex", "regex_pattern": pattern},
                                      {"function": "take_first"}]}
            for name, pattern in (("first", "^(.)"), ("last", "(..)$"))
        ],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }  # fmt: skip
    write_task(folder, "numbers", rows, written, 1.5)
    return folder


def write_task(folder: Path, name: str, rows: list[dict], fields: dict, version: float) -> None:
    (folder / f"{name}.jsonl").write_text(lines(rows))
    files = {"data_files": {"test": str(folder / f"{name}.jsonl")}}
    own = {"dataset_path": "json", "dataset_kwargs": files, "test_split": "test"}
    task = own | fields | {"task": name, "metadata": {"version": version}}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(task))


@pytest.mark.slow
def test_a_group_is_the_mean_over_the_items_of_its_tasks(tasks, model):
    rows = evaluate_task(*model, GROUP, folder=tasks)
    named = [f"vowels:{n}" for n in range(3)] + [f"consonants:{n}" for n in range(2)]
    assert sorted(row["item"] for row in rows) == sorted(named)
    assert {row["gold"] for row in rows} == {1}
    values = [float(row["prediction"] == 1) for row in rows]
    summary = summarize(GROUP, rows)
    assert summary["items"] == 5 and summary["random"] == 0.5
    assert summary["acc"] == pytest.approx(sum(values) / 5)
    assert len(evaluate_task(*model, GROUP, limit=1, folder=tasks)) == 2  # one of each


@pytest.mark.slow
def test_the_filter_says_what_of_an_answer_counts(tasks, model, tmp_path):
    written = [row["text"] for row in evaluate_task(*model, ANSWERS, folder=tasks)]
    fields = yaml.safe_load((tasks / "numbers.yaml").read_text())
    del fields["dataset_kwargs"]
    rows = [{"ask": f"What follows {n}?", "answer": text[-2:]} for n, text in enumerate(written)]
    write_task(
        tmp_path, "numbers", rows, {k: v for k, v in fields.items() if k != "dataset_kwargs"}, 1.5
    )
    for name, right in (("first", 0.0), ("last", 1.0)):
        found = evaluate_task(*model, replace(ANSWERS, filter=name), folder=tmp_path)
        assert [row["value"] for row in found] == [right] * 2
        assert [row["text"] for row in found] == written  # whole, whatever the filter takes
        assert summarize(ANSWERS, found)["exact_match"] == right


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (replace(GROUP, version=1), "letters is evaluated in version 1, but .* has version 2 "),
        (replace(ANSWERS, version=3.0), "numbers is evaluated in version 3.0, .* version 1.5 "),
        (replace(ANSWERS, version=None), "version None, but .* has version 1.5 "),
        (replace(ANSWERS, filter="none"), "numbers has no filter 'none'; it has: first, last"),
        (replace(GROUP, filter="last"), "has no filter 'last'; it has: none"),
        (replace(GROUP, name="digits"), "lm-eval .* has no task 'digits'"),
    ],
)
def test_another_task_than_the_suites_is_refused(tasks, model, task, message):
    with pytest.raises(UserError, match=message):
        evaluate_task(*model, task, folder=tasks)
    with pytest.raises(UserError, match=message):
        task_texts(task, folder=tasks)


def test_texts_of_stock_tasks_are_prompt_options_and_solution(tasks):
    assert task_texts(ANSWERS, folder=tasks) == [
        ("numbers:n0", "What follows 0?"), ("numbers:n0", "1"), ("numbers:n0", "Add one to 0."),
        ("numbers:n1", "What follows 1?"), ("numbers:n1", "2"), ("numbers:n1", "Add one to 1."),
    ]  # fmt: skip
    texts = task_texts(GROUP, folder=tasks)
    assert ("consonants:1", "Is 1 one of the consonants?") in texts
    assert len(texts) == 5 * 3 and len({identity for identity, _ in texts}) == 5


def test_texts_of_beginnings_are_whole_sentences(tmp_path):
    """Winogrande's items, whose question is their answer."""
    rows = [{"sentence": "Ann paid _ since she was kind.", "option1": "Bob", "option2": "Eve",
             "answer": "2"}]  # fmt: skip
    written = {
        "output_type": "multiple_choice",
        "doc_to_text": "{{answer|int - 1}}",
        "doc_to_choice": "{{['Ann paid ' + option1, 'Ann paid ' + option2]}}",
        "doc_to_target": "since she was kind.",
    }
    write_task(tmp_path, "sentences", rows, written, 1.0)
    task = BenchmarkTask("sentences", "S", "acc", 2, 0, "stock", 1, 10)
    assert task_texts(task, folder=tmp_path) == [
        ("sentences:0", "Ann paid Bob since she was kind."),
        ("sentences:0", "Ann paid Eve since she was kind."),
    ]


def test_texts_of_adaptllm_need_no_model(adaptllm_items):
    named = {task.name: task for tasks in SUITES.values() for task in tasks}
    texts = task_texts(named["adaptllm_fpb"], str(adaptllm_items))
    assert len(texts) == 18 * 4
    assert texts[0][0] == "adaptllm_fpb:0" and texts[0][1].endswith("Question: 0?\nAnswer:")
    assert [text for _, text in texts[1:4]] == ["Negative", "Neutral", "Positive"]
    entities = task_texts(named["adaptllm_ner"], str(adaptllm_items))
    assert ("adaptllm_ner:0", "vitamin (CHEM), sclerosis (DIS)") in entities
    with pytest.raises(UserError, match="the items of USMLE are not there"):
        task_texts(named["adaptllm_usmle"], str(adaptllm_items))


def test_texts_of_embedded_tasks_are_their_items():
    named = {task.name: task for tasks in SUITES.values() for task in tasks}
    assert task_texts(named["openbookqa_test"]) == item_texts("openbookqa_test")


def test_items_that_the_hub_does_not_give_are_one_line(tmp_path):
    fields = {"dataset_path": "nobody/nothing", "dataset_kwargs": None, "doc_to_text": "ask",
              "doc_to_target": "answer", "output_type": "generate_until"}  # fmt: skip
    write_task(tmp_path, "far", [], fields, 1.0)
    with pytest.raises(UserError, match=r"items of far .* choose a suite of embedded items"):
        task_texts(BenchmarkTask("far", "F", "exact_match", 0, 0, "stock", 1, 1), folder=tmp_path)
