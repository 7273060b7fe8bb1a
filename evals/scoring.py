"""Metrics of the AdaptLLM domain tasks, as their released code scores them.

Source: microsoft/LMOps, adaptllm, commit 4f2a9de. Where the released rule is strange, it is kept
for scores that compare with the paper's, and a proper metric stands beside it under another name.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from toedit.errors import UserError

ENTITY = re.compile(r"([^\s]+[\s]+)(\([^\s]+\))")
NUMBER = re.compile(r"[-+]?\.?\d+(?:,\d{3})*\.?\d*(?:[eE][-+]?\d+)?%*")
NOT_PYTHON = re.compile(r"[-+]?0\d*[1-9]\d*")
"""Whole numbers with a leading zero, as 07: not in Python's grammar, with which the released code
reads numbers."""

CLOSE = 1e-2
"""Largest difference of a number that is right."""

HEADLINE_CLASSES = 9
F1 = ("weighted_f1", "headline_f1")
"""Metrics of a task as a whole; an item is right or wrong."""

Entity = tuple[str, str]


def best_option(logprobs: Sequence[float], tokens: Sequence[int]) -> int:
    """The option of the smallest mean negative log-likelihood a token; the first of equals.

    Args:
        logprobs: summed log-probability of each option.
        tokens: tokens of each option, at least 1.
    """
    means = [-total / count for total, count in zip(logprobs, tokens, strict=True)]
    return means.index(min(means))


def f1_of(cells: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """F1 of each label weighted by how often it is one, within every class of questions, and the
    plain mean over these.

    Args:
        cells: int ``[k, 3]``: class of question, label and prediction.
        counts: how many items are of each kind ``[..., k]``.

    Returns:
        Scores ``[...]`` in [0, 1]; NaN where a class has no item.
    """
    question, gold, found = cells.T
    total = np.zeros(counts.shape[:-1])
    classes = np.unique(question)
    for own in classes:
        items = counts[..., question == own].sum(axis=-1)
        for label in np.unique(gold[question == own]):
            labelled = (question == own) & (gold == label)
            n = counts[..., labelled].sum(axis=-1)
            p = counts[..., (question == own) & (found == label)].sum(axis=-1)
            right = counts[..., labelled & (found == label)].sum(axis=-1)
            with np.errstate(invalid="ignore"):
                total = total + np.where(n > 0, n * 2 * right / (n + p), 0) / items
    return total / len(classes)


def weighted_f1(rows: Iterable[tuple[int, int]]) -> float:
    """F1 of each label weighted by how often it is one.

    Args:
        rows: label and prediction of each item.
    """
    return f1_of_items((0, gold, found) for gold, found in rows)


def headline_f1(rows: Iterable[tuple[int, int, int]]) -> float:
    """Weighted F1 within each class of questions, mean over the nine.

    Args:
        rows: class id, label and prediction of each item.

    Raises:
        UserError: a class has no item, as in a part of the items.
    """
    found = list(rows)
    classes = len({question for question, _, _ in found})
    if classes != HEADLINE_CLASSES:
        raise UserError(
            f"Headline is the mean over {HEADLINE_CLASSES} classes of questions, but these items "
            f"hold {classes}; evaluate all of them"
        )
    return f1_of_items(found)


def f1_of_items(rows: Iterable[tuple[int, int, int]]) -> float:
    """F1 of items: :func:`f1_of` of class of question, label and prediction of each."""
    counts = Counter(rows)
    if not counts:
        return math.nan
    return float(f1_of(np.array(list(counts)), np.array(list(counts.values()), float)))


def entities(text: str) -> list[Entity]:
    """Entities written as ``word (TYPE)``, each once, in order; of several words only the last."""
    found = [(word.strip(), kind) for word, kind in ENTITY.findall(text)]
    return list(dict.fromkeys(found))


def ner_half_credit(label: str, prediction: str) -> float:
    """Entity F1 with half a point for the text and half for the type.

    For every labelled entity the predicted ones are walked in order, and the first that agrees in
    text or in type gives a point for each that agrees. Since a prediction may serve several labels,
    even an exact copy with two entities of one type can fall short of 1: it is the released score,
    kept to compare; :func:`ner_f1` is the strict one.

    Returns:
        F1 of points over twice the number of labelled and of predicted entities; 0 where there are
        none of either.
    """
    wanted, given = entities(label), entities(prediction)
    points = 0
    for text, kind in wanted:
        for other, other_kind in given:
            if text == other or kind == other_kind:
                points += (text == other) + (kind == other_kind)
                break
    precision = points / (2 * len(given)) if given else 0.0
    recall = points / (2 * len(wanted)) if wanted else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def ner_f1(label: str, prediction: str) -> float:
    """F1 of entities that agree in text and type; 1 where both have none."""
    wanted, given = set(entities(label)), set(entities(prediction))
    if not wanted and not given:
        return 1.0
    return 2 * len(wanted & given) / (len(wanted) + len(given))


def numbers(text: str) -> list[float]:
    """The numbers of a text: commas dropped, every percent sign divides by 100, what Python would
    not read as a number (07) counts as infinite. Never evaluates anything."""
    return [_number(match) for match in NUMBER.findall(text)]


def _number(match: str) -> float:
    digits = match.rstrip("%")
    plain = digits.replace(",", "")
    if NOT_PYTHON.fullmatch(plain):
        return math.inf
    value = float(plain)  # of any length; beyond all numbers it is infinite
    for _ in range(len(match) - len(digits)):
        value /= 100
    return value


def numeric_match(label: str, prediction: str) -> bool:
    """Whether any number of the prediction's first line is within 0.01 of the label's first.

    Infinite ones match each other; without a number on either side it is wrong.
    """
    wanted, given = numbers(label), numbers(prediction.split("\n", 1)[0])
    if not wanted:
        return False
    return any(value == wanted[0] or abs(value - wanted[0]) <= CLOSE for value in given)
