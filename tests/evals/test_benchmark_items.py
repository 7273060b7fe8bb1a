"""Embedded items against the stock tasks of lm-eval, given the same rows."""

import re
from collections import Counter
from pathlib import Path

import lm_eval.tasks
import pytest
from datasets import Dataset, DatasetDict
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

from evals.harness import TASKS, evaluate_task
from evals.items import EMBEDDED_ITEMS, gsm8k_items, gsm8k_shots, held_back, item_texts, math_items
from evals.items.mathematics import HELD_BACK_SHARE
from evals.items.wheel import rows_of, subsets
from evals.suites import SUITES, BenchmarkTask
from toedit.corpora.split import ngram_index, overlapping
from toedit.priors.loading import load_model, load_tokenizer

STOCK = Path(lm_eval.tasks.__path__[0])
TASK = {task.name: task for tasks in SUITES.values() for task in tasks}
SIZES = {
    "hellaswag_validation": 10042, "social_iqa_validation": 1954, "arc_challenge_test": 1172,
    "arc_easy_test": 2376, "openbookqa_test": 500, "mmlu_test": 14042,
    "gsm8k_held_back": 397, "math_held_back": 1506,
}  # fmt: skip
FAST = ("social_iqa_validation",)
CHOICE = {name: size for name, size in SIZES.items() if not name.endswith("held_back")}


@pytest.fixture(scope="module")
def items() -> dict[str, dict[str, dict]]:
    """Items by task and id."""
    return {name: {item["id"]: item for item in EMBEDDED_ITEMS[name]()} for name in SIZES}


def loaded(path: Path, rows: list[dict]) -> ConfigurableTask:
    """The task of a YAML file, with these rows instead of its own."""
    config = load_yaml(path)
    data = DatasetDict(dict.fromkeys(("train", "validation", "test"), Dataset.from_list(rows)))
    for name in ("tag", "fewshot_split"):
        config.pop(name, None)
    return ConfigurableTask(config={**config, "custom_dataset": lambda **_: data})


def own(name: str, items: dict[str, dict[str, dict]]) -> ConfigurableTask:
    """One of our tasks, with the first of its items."""
    return loaded(TASKS / f"{name}.yaml", list(items[name].values())[:1])


def asked(task: ConfigurableTask, document: dict) -> tuple[str, list[str], str]:
    """Prompt, options, and the gold one, each as the model sees it."""
    options = task.doc_to_choice(document)
    gold = task.doc_to_target(document)
    gold = options[int(gold)] if str(gold).isdecimal() else gold
    return task.fewshot_context(document, num_fewshot=0), options, gold


@pytest.mark.parametrize(
    ("name", "path", "rows"),
    [
        ("hellaswag_validation", "hellaswag/hellaswag.yaml", "hellaswag/none"),
        ("social_iqa_validation", "siqa/siqa.yaml", "social_i_qa/none"),
    ],
)
def test_prompts_options_and_gold_are_the_stock_tasks(items, name, path, rows):
    chosen = list(rows_of(rows))[::97]
    task, other = own(name, items), loaded(STOCK / path, [row for _, row in chosen])
    for (identity, _), document in zip(chosen, other.eval_docs, strict=True):
        assert asked(task, items[name][identity]) == asked(other, document)


@pytest.mark.slow
def test_mmlu_asks_every_subject_as_its_stock_task_does(items):
    task = own("mmlu_test", items)
    found = subsets("hails/mmlu_no_train")
    assert len(found) == 57
    for subject in found[::9]:
        rows = [row for _, row in rows_of(f"hails/mmlu_no_train/{subject}", "test")]
        other = loaded(STOCK / "mmlu" / "default" / f"mmlu_{subject}.yaml", rows)
        for number, document in enumerate(other.eval_docs):
            item = items["mmlu_test"][f"mmlu:{subject}:{number}"]
            assert asked(task, item) == asked(other, document)
            assert list(item["text"]) == [document["question"].strip(), *document["choices"]]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("arc_challenge_test", "arc/arc_challenge.yaml"),
        ("arc_easy_test", "arc/arc_easy.yaml"),
        ("openbookqa_test", "openbookqa/openbookqa.yaml"),
    ],
)
def test_items_of_test_splits_are_asked_as_by_the_stock_tasks(items, name, path):
    """The wheel holds no rows of the hub for test splits: they are rebuilt from the items."""
    task, chosen = own(name, items), list(items[name].values())[::23]
    rows = []
    for item in chosen:
        labels = ["A", "B", "C", "D", "E"][: len(item["choices"])]
        question = item["query"].removeprefix("Question: ").removesuffix("\nAnswer:")
        rows.append(
            {"question": question, "question_stem": question, "answerKey": labels[item["gold"]],
             "choices": {"text": item["choices"], "label": labels}}
        )  # fmt: skip
    other = loaded(STOCK / path, rows)
    for item, document in zip(chosen, other.eval_docs, strict=True):
        assert asked(task, item) == asked(other, document)


def test_some_items_by_hand(items):
    photosynthesis = items["arc_easy_test"]["Mercury_417466"]
    assert photosynthesis["query"] == (
        "Question: Which statement best explains why photosynthesis is the foundation of most food "
        "webs?\nAnswer:"
    )
    assert photosynthesis["choices"][photosynthesis["gold"]] == (
        "Sunlight is the source of energy for nearly all ecosystems."
    )
    rotation = items["arc_challenge_test"]["Mercury_7175875"]
    assert rotation["choices"][rotation["gold"]] == "Planetary days will become shorter."
    lunch = items["openbookqa_test"]["8-343"]
    assert not lunch["query"].startswith("Question") and lunch["choices"][lunch["gold"]] == (
        "quit eating lunch out"
    )
    roof = items["hellaswag_validation"]["hellaswag:0"]
    assert roof["query"] == "Roof shingle removal: A man is sitting on a roof. He"
    assert roof["text"] == [
        "A man is sitting on a roof. He starts pulling up roofing on a roof.",
        *roof["choices"][:3],
    ]
    tracy = items["social_iqa_validation"]["social_i_qa:0"]
    assert tracy["query"].startswith("Q: Tracy didn't go home that evening")
    assert tracy["choices"][tracy["gold"]] == "Find somewhere to go"
    degree = items["mmlu_test"]["mmlu:abstract_algebra:0"]
    assert degree["query"].endswith(
        "about abstract algebra.\n\nFind the degree for the given field extension "
        "Q(sqrt(2), sqrt(3), sqrt(18)) over Q.\nA. 0\nB. 4\nC. 2\nD. 6\nAnswer:"
    )
    assert degree["choices"][degree["gold"]] == "B"


def test_items_are_as_many_as_published_and_have_an_answer(items):
    for name, size in SIZES.items():
        found = items[name].values()
        assert len(found) == size == TASK[name].items
        assert all(text.strip() for item in found for text in item["text"])
        if name in CHOICE:
            assert all(0 <= item["gold"] < len(item["choices"]) for item in found)
            # No position is the answer of most items.
            assert max(Counter(item["gold"] for item in found).values()) < 0.4 * size
    assert item_texts("openbookqa_test") == [
        (identity, text)
        for identity, item in items["openbookqa_test"].items()
        for text in item["text"]
    ]


def test_what_is_held_back_is_a_third_and_apart():
    for items, size in ((gsm8k_items, 1319), (math_items, 5000)):
        kept = {item["id"]: item for item in items(held_back=True)}
        rest = {item["id"]: item for item in items(held_back=False)}
        assert not kept.keys() & rest.keys() and len(kept) + len(rest) == size
        assert all(map(held_back, kept)) and not any(map(held_back, rest))
        assert abs(len(kept) / size - HELD_BACK_SHARE) < 0.02
        problems = {item["problem"] for item in kept.values()}
        assert not problems & {item["problem"] for item in rest.values()}
    assert {i["id"].split(":")[1] for i in math_items(True)} == {
        "algebra", "counting_and_probability", "geometry", "intermediate_algebra",
        "number_theory", "prealgebra", "precalculus",
    }  # fmt: skip
    # The same side for ever, whatever the wheel holds beside them.
    assert held_back("gsm8k:242") and held_back("math:counting_and_probability:246")
    assert not held_back("gsm8k:143") and not held_back("math:algebra:2")
    assert not any(held_back(item["id"]) for item in gsm8k_shots())


@pytest.mark.parametrize(
    ("items", "name", "most"),
    [
        (gsm8k_items, "gsm8k_held_back", 1),
        pytest.param(math_items, "math_held_back", 350, marks=pytest.mark.slow),
    ],
)
def test_few_of_the_others_share_13_words_with_what_is_held_back(items, name, most):
    """Those that do have to be left out of training text, as a corpus does."""
    index = ngram_index(text for _, text in item_texts(name))
    rest = [f"{item['problem']}\n\n{item['solution']}" for item in items(held_back=False)]
    assert sum(overlapping(rest, index)) <= most


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("gsm8k_held_back", "gsm8k/gsm8k.yaml"),
        ("math_held_back", "hendrycks_math/hendrycks_math_algebra.yaml"),
    ],
)
def test_mathematics_is_scored_as_by_the_stock_task(name, path):
    ours, other = load_yaml(TASKS / f"{name}.yaml"), load_yaml(STOCK / path)
    for field in ("doc_to_text", "metric_list", "output_type"):
        assert ours[field] == other[field]
    assert ours.get("filter_list") == other.get("filter_list")
    assert ours["generation_kwargs"]["until"] == other["generation_kwargs"]["until"]


def scored(task: ConfigurableTask, document: dict, answer: str, name: str) -> float:
    """The metric of an answer after a filter, by lm-eval."""
    instance = Instance(
        "generate_until", document, ("", {}), 0, metadata=(task.task_name, 0, 1), resps=[answer]
    )
    task._instances = [instance]
    task.apply_filters()
    return task.process_results(document, [instance.filtered_resps[name]])["exact_match"]


def test_answers_to_gsm8k_by_hand(items):
    task = own("gsm8k_held_back", items)
    document = items["gsm8k_held_back"]["gsm8k:242"]  # its answer is 3
    for answer, strict, flexible in [
        ("So 180/60=<<180/60=3>>3 hours a week\n#### 3", 1, 1),
        ("#### 3.", 1, 1),
        ("#### 30", 0, 0),
        ("It takes him 3 hours.", 0, 1),
        ("#### 3\n\nHe has 7 pens.", 1, 0),
    ]:
        assert scored(task, document, answer, "strict-match") == strict, answer
        assert scored(task, document, answer, "flexible-extract") == flexible, answer
    prompt = task.fewshot_context(document, num_fewshot=5)
    shots = "".join(f"Question: {s['question']}\nAnswer: {s['answer']}\n\n" for s in gsm8k_shots())
    assert prompt == f"{shots}Question: {document['question']}\nAnswer:"
    assert len(re.findall(r"^#### ", shots, re.MULTILINE)) == 5


def test_answers_to_math_by_hand(items):
    task = own("math_held_back", items)
    document = items["math_held_back"][
        "math:counting_and_probability:246"
    ]  # its answer is \frac{1}{4}
    for answer, right in [
        (r"\frac{1}{4}", 1), (r"The answer is $\frac14$.", 1), ("1/4", 1), ("$0.25$", 0),
        (r"$\frac{1}{2}\cdot\frac{1}{2}=\boxed{\frac{1}{4}}$", 0),
    ]:  # fmt: skip
        assert scored(task, document, answer, "none") == right, answer
    assert task.fewshot_context(document, num_fewshot=0) == (
        f"Problem: {document['problem']}\nAnswer:"
    )


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(str(tiny_model)), load_tokenizer(str(tiny_model))


@pytest.mark.parametrize(
    "name",
    [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in SIZES],
)
def test_a_model_runs_through_two_items(model, items, name):
    task: BenchmarkTask = TASK[name]
    rows = evaluate_task(*model, task, limit=2, allow_cut=True)
    assert [row["item"] for row in rows] == list(items[name])[:2]
    for row in rows:
        if name in CHOICE:
            assert len(row["option_logprobs"]) == task.options
            assert row["value"] == float(row["prediction"] == row["gold"])
        else:
            assert row["gold"] is None and isinstance(row["text"], str) and row["value"] == 0
