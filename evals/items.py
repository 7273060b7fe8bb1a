"""Benchmark items that the embedded data carries, as plain records.

Items stand in an order that is fixed and unrelated to their content (the hash of their id), so that
the first n of them are a fair sample and every run sees the same ones.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from toedit.embedded import data_folder
from toedit.errors import require_choice

Item = dict[str, Any]


def request_documents(task: str, form: str) -> Iterator[dict[str, Any]]:
    """The documents behind a request file, each once (a file repeats one for every answer)."""
    path = data_folder() / "oe_eval_tasks" / task / form / "requests.jsonl.gz"
    seen = set()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            request = json.loads(line)
            if request["doc_id"] not in seen:
                seen.add(request["doc_id"])
                yield request["doc"]


def sciriff_contexts(source: str) -> Iterator[dict[str, Any]]:
    """Yes/no items of SciRIFF whose id begins with ``source`` (``bioasq`` or ``pubmedqa``)."""
    return (d for d in request_documents("sciriff_yesno", "mc_5shot") if d["id"].startswith(source))


def _in_fixed_order(items: list[Item]) -> list[Item]:
    return sorted(items, key=lambda item: hashlib.sha256(item["id"].encode()).hexdigest())


def pubmedqa_yesno() -> list[Item]:
    """The 401 yes/no items of PubMedQA: abstract, question, gold 0 (yes) or 1 (no)."""
    return _in_fixed_order(
        [
            {"id": d["id"], "context": d["context"], "question": d["question"],
             "choices": ["yes", "no"], "gold": ["Yes", "No"].index(d["answer"])}
            for d in sciriff_contexts("pubmedqa")
        ]
    )  # fmt: skip


def medqa_en() -> list[Item]:
    """The 1,273 test items of MedQA (English, five options), options listed in the question."""
    return _in_fixed_order(
        [
            {"id": f"medqa_en:{d['index']}", "question": d["question"], "query": d["query"],
             "choices": d["choices"], "gold": d["gold"]}
            for d in request_documents("medqa_en", "mc_5shot")
        ]
    )  # fmt: skip


def medmcqa_en() -> list[Item]:
    """The 4,183 validation items of MedMCQA (four options), options listed in the question."""
    return _in_fixed_order(
        [
            {"id": d["id"], "question": d["question"], "query": d["query"],
             "choices": d["choices"], "gold": d["gold"]}
            for d in request_documents("medmcqa", "mc_5shot")
        ]
    )  # fmt: skip


def _validation(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(id, row) of the validation split of a data set."""
    from datasets import load_from_disk

    folder = data_folder() / "hf_datasets" / name / "validation"
    for number, row in enumerate(load_from_disk(str(folder), keep_in_memory=True)):
        yield str(row.get("id", f"{name.partition('/')[0]}:{number}")), row


def piqa_validation() -> list[Item]:
    """The 1,838 validation items of PIQA; prompt as the stock task's."""
    return _in_fixed_order(
        [
            {"id": identity, "query": f"Question: {row['goal']}\nAnswer:",
             "choices": [row["sol1"], row["sol2"]], "gold": row["label"],
             "text": [row["goal"], row["sol1"], row["sol2"]]}
            for identity, row in _validation("piqa/plain_text")
        ]
    )  # fmt: skip


def arc_easy_validation() -> list[Item]:
    """The 570 validation items of ARC-Easy (the stock task evaluates its test split)."""
    return _in_fixed_order(
        [
            {"id": identity, "query": f"Question: {row['question']}\nAnswer:",
             "choices": row["choices"]["text"],
             "gold": row["choices"]["label"].index(row["answerKey"]),
             "text": [row["question"], *row["choices"]["text"]]}
            for identity, row in _validation("ai2_arc/ARC-Easy")
        ]
    )  # fmt: skip


def openbookqa_validation() -> list[Item]:
    """The 500 validation items of OpenBookQA (the stock task evaluates its test split)."""
    return _in_fixed_order(
        [
            {"id": identity, "query": row["question_stem"], "choices": row["choices"]["text"],
             "gold": row["choices"]["label"].index(row["answerKey"].strip()),
             "text": [f"{row['question_stem']} {text}" for text in row["choices"]["text"]]}
            for identity, row in _validation("openbookqa/main")
        ]
    )  # fmt: skip


def winogrande_validation() -> list[Item]:
    """The 1,267 validation items of Winogrande: which beginning makes the same end likelier."""
    items = []
    for identity, row in _validation("winogrande/winogrande_xl"):
        before, _, after = row["sentence"].partition("_")
        choices = [before + row["option1"], before + row["option2"]]
        items.append(
            {"id": identity, "query": row["sentence"], "end": after.strip(), "choices": choices,
             "gold": int(row["answer"]) - 1, "text": [choice + after for choice in choices]}
        )  # fmt: skip
    return _in_fixed_order(items)


def boolq_validation() -> list[Item]:
    """The 3,270 validation items of BoolQ; prompt as the stock task's."""
    return _in_fixed_order(
        [
            {"id": identity, "choices": ["no", "yes"], "gold": int(row["answer"]),
             "query": f"{row['passage']}\nQuestion: {row['question']}?\nAnswer:",
             "text": [row["passage"], row["question"]]}
            for identity, row in _validation("boolq/none")
        ]
    )  # fmt: skip


EMBEDDED_ITEMS = {
    task.__name__: task
    for task in (
        pubmedqa_yesno, medqa_en, medmcqa_en, piqa_validation, arc_easy_validation,
        openbookqa_validation, winogrande_validation, boolq_validation,
    )
}  # fmt: skip
"""Readers of the embedded tasks, by task."""


def item_texts(task: str) -> list[tuple[str, str]]:
    """(id, text) of every item of an embedded task, for decontamination.

    An item has several where what it shows stands in several pieces: its question and its options,
    a sentence filled in with either. Their words are then not taken for one run of words.
    """
    require_choice("task", task, EMBEDDED_ITEMS)
    return [
        (item["id"], text)
        for item in EMBEDDED_ITEMS[task]()
        for text in item.get("text")
        or ["\n".join([item.get("context", ""), item.get("query") or item["question"]])]
    ]
