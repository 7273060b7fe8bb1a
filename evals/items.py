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


EMBEDDED_ITEMS = {"pubmedqa_yesno": pubmedqa_yesno, "medqa_en": medqa_en, "medmcqa_en": medmcqa_en}


def item_texts(task: str) -> list[tuple[str, str]]:
    """(id, all text a model is shown) of every item of an embedded task, for decontamination."""
    require_choice("task", task, EMBEDDED_ITEMS)
    return [
        (item["id"], "\n".join([item.get("context", ""), item.get("query") or item["question"]]))
        for item in EMBEDDED_ITEMS[task]()
    ]
