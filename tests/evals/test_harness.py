"""From lm-eval's samples to rows; groups of tasks, versions, filters and texts of items."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from commands import lines
from conftest import with_vllm

from evals.harness import TASKS, evaluate_task, row_of, task_texts
from evals.items import item_texts
from evals.language_models import close, vllm_model
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
def test_a_group_is_the_mean_over_the_items_of_its_tasks(
    tasks, model, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)  # no git folder, of which nothing is said
    rows = evaluate_task(*model, GROUP, folder=tasks)
    named = [f"vowels:{n}" for n in range(3)] + [f"consonants:{n}" for n in range(2)]
    assert sorted(row["item"] for row in rows) == sorted(named)
    assert {row["gold"] for row in rows} == {1}
    values = [float(row["prediction"] == 1) for row in rows]
    summary = summarize(GROUP, rows)
    assert summary["items"] == 5 and summary["random"] == 0.5
    assert summary["acc"] == pytest.approx(sum(values) / 5)
    assert len(evaluate_task(*model, GROUP, limit=1, folder=tasks)) == 2  # one of each
    assert "fatal" not in capfd.readouterr().err


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


WINDOW = 512
"""Tokens that the tiny model reads."""

CHOSEN = BenchmarkTask("lengths", "Lengths", "acc", 2, 0, "stock", 4, 10)
WRITTEN = BenchmarkTask("answers", "Answers", "exact_match", 0, 0, "stock", 4, 10)
ROOM = 40
"""Tokens of a generated answer."""


def prompt_of(tokenizer, tokens: int, end: str = "") -> str:
    """A prompt that has, with an end, a number of tokens."""
    prompt = ""
    while len(tokenizer(prompt + end)["input_ids"]) < tokens:
        prompt += "z"
    assert len(tokenizer(prompt + end)["input_ids"]) == tokens
    return prompt


def lengths_task(folder: Path, tokenizer, *more: int) -> Path:
    """Items whose prompts lose a given number of tokens (0 also if they have tokens to spare)."""
    folder.mkdir(exist_ok=True)
    # The last token of an option is not read.
    rows = [{"id": f"i{n}", "ask": prompt_of(tokenizer, WINDOW + 1 + n, " 8"), "right": 0,
             "options": ["8", "9"], "answer": "8"} for n in more]  # fmt: skip
    fields = {"doc_to_text": "{{ask}}", "metric_list": [{"metric": "acc"}]}
    choice = {
        "output_type": "multiple_choice",
        "doc_to_choice": "options",
        "doc_to_target": "right",
    }
    write_task(folder, "lengths", rows, fields | choice, 1.0)
    rows = [row | {"ask": prompt_of(tokenizer, WINDOW - ROOM + n)}
            for row, n in zip(rows, more, strict=True)]  # fmt: skip
    generation = {"output_type": "generate_until", "doc_to_target": "answer",
                  "generation_kwargs": {"until": ["\n"], "max_gen_toks": ROOM},
                  "metric_list": [{"metric": "exact_match"}]}  # fmt: skip
    write_task(folder, "answers", rows, fields | generation, 1.0)
    return folder


@pytest.mark.parametrize(("task", "batch"), [(CHOSEN, 1), (CHOSEN, 3), (WRITTEN, 1), (WRITTEN, 3)])
def test_items_that_were_cut_are_counted_to_the_token(model, tmp_path, caplog, task, batch):
    folder = lengths_task(tmp_path / "tasks", model[1], -1, 0, 1, 30)
    with caplog.at_level(logging.WARNING, "evals.harness"):
        rows = evaluate_task(*model, task, folder=folder, batch_size=batch)
    assert {row["item"]: row["cut_tokens"] for row in rows} == {
        "i-1": 0, "i0": 0, "i1": 1, "i30": 30,
    }  # fmt: skip
    assert summarize(task, rows)["cut_items"] == 2
    assert f"2 of 4 items of {task.name} lost the beginning of their prompt" in caplog.text
    caplog.clear()
    whole = lengths_task(tmp_path / "whole", model[1], -9, 0)
    assert summarize(task, evaluate_task(*model, task, folder=whole))["cut_items"] == 0
    assert not caplog.text


@pytest.mark.parametrize("task", [CHOSEN, WRITTEN])
def test_a_task_of_which_every_item_is_cut_is_refused_unless_that_is_accepted(
    model, tmp_path, task
):
    folder = lengths_task(tmp_path / "tasks", model[1], 1, 5, 0)
    with pytest.raises(UserError, match=rf"all 2 items of {task.name} .*eval\.allow_cut=true"):
        evaluate_task(*model, task, folder=folder, limit=2)
    rows = evaluate_task(*model, task, folder=folder, limit=2, allow_cut=True)
    assert [row["cut_tokens"] for row in rows] == [1, 5]
    assert summarize(task, rows)["cut_items"] == 2
    assert len(evaluate_task(*model, task, folder=folder)) == 3


def test_of_a_group_its_items_count_together(model, tmp_path):
    for name, more in (("one", 3), ("two", 0)):
        lengths_task(tmp_path, model[1], more)
        fields = yaml.safe_load((tmp_path / "lengths.yaml").read_text()) | {"task": name}
        (tmp_path / f"{name}.jsonl").write_text((tmp_path / "lengths.jsonl").read_text())
        fields["dataset_kwargs"] = {"data_files": {"test": str(tmp_path / f"{name}.jsonl")}}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(fields))
    group = {"group": "both", "task": ["one", "two"], "metadata": {"version": 1.0}}
    (tmp_path / "both.yaml").write_text(yaml.safe_dump(group))
    rows = evaluate_task(*model, replace(CHOSEN, name="both"), folder=tmp_path)
    assert sorted((row["item"], row["cut_tokens"]) for row in rows) == [
        ("one:i3", 3), ("two:i0", 0),
    ]  # fmt: skip


def test_an_option_or_answer_without_room_is_one_line(model, tmp_path):
    row = {"ask": "Which?", "options": ["no", "7" * 2000], "right": 0, "answer": "no"}
    written = {"output_type": "multiple_choice", "doc_to_text": "ask", "doc_to_choice": "options",
               "doc_to_target": "right"}  # fmt: skip
    write_task(tmp_path, "lengths", [row], written, 1.0)
    with pytest.raises(UserError, match=r"lengths: an option has \d+ tokens, .* reads 512"):
        evaluate_task(*model, CHOSEN, folder=tmp_path)
    written = {"output_type": "generate_until", "doc_to_text": "ask", "doc_to_target": "answer",
               "generation_kwargs": {"until": ["x"], "max_gen_toks": 512},
               "metric_list": [{"metric": "exact_match"}]}  # fmt: skip
    write_task(tmp_path, "answers", [row], written, 1.0)
    with pytest.raises(UserError, match=r"answers: an answer may have 512 tokens, .* reads 512"):
        evaluate_task(*model, WRITTEN, folder=tmp_path)


def test_rows_of_an_older_version_are_not_counted():
    rows = [{"item": "a", "value": 1.0, "gold": None}, {"item": "b", "value": 0.0, "gold": None}]
    assert "cut_items" not in summarize(WRITTEN, rows)
    assert summarize(WRITTEN, [row | {"cut_tokens": 0} for row in rows])["cut_items"] == 0


def test_adaptllms_prompts_are_cut_to_its_window(model, tmp_path):
    """2,048 tokens or what the model reads, less 100 for the answer."""
    named = {task.name: task for tasks in SUITES.values() for task in tasks}
    prompts = [prompt_of(model[1], WINDOW - 100 + n) for n in (0, 2)]
    rows = [{"id": i, "input": prompt, "label": "8"} for i, prompt in enumerate(prompts)]
    (tmp_path / "ConvFinQA").mkdir()
    (tmp_path / "ConvFinQA" / "test.jsonl").write_text(lines(rows))
    found = evaluate_task(*model, named["adaptllm_convfinqa"], data=str(tmp_path))
    assert [row["cut_tokens"] for row in found] == [0, 2]


def truthful(folder: Path) -> None:
    """lm-eval's file of truthfulqa_gen on items of this folder."""
    import lm_eval.tasks

    stock = Path(lm_eval.tasks.__path__[0]) / "truthfulqa" / "truthfulqa_gen.yaml"
    rows = [{"question": f"Who wrote book {i}?", "correct_answers": ["Nobody wrote it"],
             "incorrect_answers": ["A cat wrote it."]} for i in range(3)]  # fmt: skip
    (folder / "items.jsonl").write_text(lines(rows))
    files = {"data_files": {"validation": str(folder / "items.jsonl")}}
    own = {"include": str(stock), "dataset_path": "json", "dataset_name": None,
           "dataset_kwargs": files, "task": "truthfulqa_gen",
           "generation_kwargs": {"until": ["\n\n"], "max_gen_toks": 4}}  # fmt: skip
    (folder / "truthfulqa_gen.yaml").write_text(yaml.safe_dump(own))


def test_generated_answers_of_truthfulqa_are_scored_by_bleu(tmp_path, model):
    (task,) = (t for t in SUITES["commonsense_hub"] if t.name == "truthfulqa_gen")
    truthful(tmp_path)
    rows = evaluate_task(*model, task, folder=tmp_path)
    assert len(rows) == 3 and {row["value"] for row in rows} <= {0.0, 1.0}
    assert all("bleu_max" in row and isinstance(row["text"], str) for row in rows)
    assert 0 <= summarize(task, rows)["bleu_acc"] <= 1


def test_logiqa_is_read_from_lines_of_json_with_any_extension_as_the_stock_task_asks_it(
    tmp_path, model
):
    from lm_eval.tasks.logiqa2.utils_logiqa2 import doc_to_text

    (task,) = (t for t in SUITES["commonsense_hub"] if t.label == "LogiQA 2.0")
    kinds = ({"Necessary": True}, {"Sufficient": True, "Disjunctive": True})
    items = [{"id": 90 + i, "answer": i, "text": f"Some {i} are green.", "question": "Which is it?",
              "options": [f"{letter} {i}" for letter in "wxyz"], "type": kinds[i % 2]}
             for i in range(4)]  # fmt: skip
    (tmp_path / "test.txt").write_text(lines(items))
    fields = yaml.safe_load((TASKS / "logiqa2_test.yaml").read_text())
    fields["dataset_kwargs"]["data_files"] = {"test": str(tmp_path / "test.txt")}
    (tmp_path / "logiqa2_test.yaml").write_text(yaml.safe_dump(fields))
    rows = evaluate_task(*model, task, folder=tmp_path)
    assert [(row["item"], row["gold"]) for row in rows] == [(str(90 + i), i) for i in range(4)]
    texts = [text for _, text in task_texts(task, folder=tmp_path)]
    assert all(doc_to_text(item) in texts for item in items)


@pytest.fixture(scope="module")
def in_vllm(wide_model):
    engine = {"enforce_eager": True, "kv_cache_memory_bytes": 1 << 28}
    model = vllm_model(str(wide_model), settings=engine)
    yield model
    close(model)


SMALL_SUITE = [*SUITES["commonsense_embedded"], *SUITES["biomedicine_embedded"]]


@with_vllm
@pytest.mark.parametrize("task", [*SMALL_SUITE, GROUP, ANSWERS], ids=lambda task: task.name)
def test_vllm_gives_the_rows_of_transformers(in_vllm, wide_model, tasks, task):
    """Log-likelihoods within 0.005 nats, and all else where no two options are as near."""
    tokenizer = load_tokenizer(str(wide_model))
    folder = None if task in SMALL_SUITE else tasks
    options = {"limit": 12, "folder": folder, "allow_cut": True}
    ours = evaluate_task(load_model(str(wide_model)), tokenizer, task, **options)
    theirs = evaluate_task(in_vllm, tokenizer, task, **options)
    assert len(ours) >= 2
    for a, b in zip(ours, theirs, strict=True):
        assert {*a} == {*b} and a["item"] == b["item"] and a["gold"] == b["gold"]
        if b["cut_tokens"]:  # of another length, see below
            continue
        if a["gold"] is None:
            assert (a["text"], a["value"]) == (b["text"], b["value"])
            continue
        assert b["option_logprobs"] == pytest.approx(a["option_logprobs"], abs=0.005)
        best = sorted(a["option_logprobs"])
        if best[-1] - best[-2] > 0.01:
            assert (a["prediction"], a["value"]) == (b["prediction"], b["value"])


@with_vllm
def test_items_that_vllm_cuts_are_counted_to_the_token(in_vllm, wide_model, tmp_path):
    """It reads two tokens less of prompt and option, since it generates one."""
    tokenizer = load_tokenizer(str(wide_model))
    folder = lengths_task(tmp_path / "tasks", tokenizer, -3, -2, -1, 30)
    for task, lost in ((CHOSEN, [0, 0, 1, 32]), (WRITTEN, [0, 0, 0, 30])):
        rows = evaluate_task(in_vllm, tokenizer, task, folder=folder)
        assert [row["cut_tokens"] for row in rows] == lost
    with pytest.raises(UserError, match=r"all 1 items of lengths .*eval\.allow_cut=true"):
        evaluate_task(
            in_vllm, tokenizer, CHOSEN, folder=lengths_task(tmp_path / "long", tokenizer, 5)
        )
