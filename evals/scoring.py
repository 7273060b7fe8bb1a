"""Metrics of the AdaptLLM domain tasks, as in their released code.

Source: microsoft/LMOps, adaptllm, commit 4f2a9de. If a released rule is unusual, it is kept to
compare with the paper's scores, and a proper metric has another name.
"""

import ast
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from toedit.errors import UserError

ENTITY = re.compile(r"([^\s]+[\s]+)(\([^\s]+\))")
NUMBER = re.compile(r"[-+]?\.?\d+(?:,\d{3})*\.?\d*(?:[eE][-+]?\d+)?%*")

CLOSE = 1e-2
"""Maximum error of a correct number."""

HEADLINE_CLASSES = 9
F1 = ("weighted_f1", "headline_f1")
"""Metrics of a whole task; each item is right or wrong."""

Entity = tuple[str, str]


def best_option(logprobs: Sequence[float], tokens: Sequence[int]) -> int:
    """Return the first option of the smallest mean negative log-likelihood per token.

    Args:
        logprobs: summed log-probability of each option.
        tokens: tokens of each option, at least 1.
    """
    means = [-total / count for total, count in zip(logprobs, tokens, strict=True)]
    return means.index(min(means))


def f1_of(cells: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Compute frequency-weighted F1 of labels within each class of questions, mean over classes.

    Args:
        cells: int ``[k, 3]``: class of question, label and prediction.
        counts: number of items of each cell ``[..., k]``.

    Returns:
        Scores ``[...]`` in [0, 1]; NaN if a class has no item.
    """
    question, gold, predicted = cells.T
    total = np.zeros(counts.shape[:-1])
    classes = np.unique(question)
    for class_ in classes:
        in_class = question == class_
        items = counts[..., in_class].sum(axis=-1)
        for label in np.unique(gold[in_class]):
            labelled = in_class & (gold == label)
            n = counts[..., labelled].sum(axis=-1)
            p = counts[..., in_class & (predicted == label)].sum(axis=-1)
            right = counts[..., labelled & (predicted == label)].sum(axis=-1)
            with np.errstate(invalid="ignore"):
                total = total + np.where(n > 0, n * 2 * right / (n + p), 0) / items
    return total / len(classes)


def weighted_f1(rows: Iterable[tuple[int, int]]) -> float:
    """Compute frequency-weighted F1 from the label and prediction of each item."""
    return f1_of_items((0, gold, prediction) for gold, prediction in rows)


def headline_f1(rows: Iterable[tuple[int, int, int]]) -> float:
    """Compute F1 from the class of question, label and prediction of each item, over all classes.

    Raises:
        UserError: a class has no item.
    """
    rows = list(rows)
    classes = len({question for question, _, _ in rows})
    if classes != HEADLINE_CLASSES:
        raise UserError(
            f"Headline is the mean over {HEADLINE_CLASSES} classes of questions, but these items "
            f"hold {classes}; evaluate all of them"
        )
    return f1_of_items(rows)


def f1_of_items(rows: Iterable[tuple[int, int, int]]) -> float:
    """Compute :func:`f1_of` from the class of question, label and prediction of each item."""
    counts = Counter(rows)
    if not counts:
        return math.nan
    return float(f1_of(np.array(list(counts)), np.array(list(counts.values()), float)))


def entities(text: str) -> list[Entity]:
    """Find entities ``word (TYPE)``, each once, in order; of several words only the last.

    As in the released code one character of white space is taken off a word, so that of several
    before the type all but one are a part of the word.
    """
    return list(dict.fromkeys((word[:-1], kind) for word, kind in ENTITY.findall(text)))


def ner_half_credit(label: str, prediction: str) -> float:
    """Compute entity F1 with half a point for the text and half for the type (the released score).

    For each labelled entity, the first prediction that agrees in text or type gives a point for
    each. A prediction may match several labels, so even an exact copy with two entities of one type
    can score below 1. :func:`ner_f1` is the strict metric.

    Returns:
        F1 of points over twice the number of labelled and of predicted entities; 0 if there are
        none of either.
    """
    expected, predicted = entities(label), entities(prediction)
    points = 0
    for text, kind in expected:
        for other, other_kind in predicted:
            if text == other or kind == other_kind:
                points += (text == other) + (kind == other_kind)
                break
    precision = points / (2 * len(predicted)) if predicted else 0.0
    recall = points / (2 * len(expected)) if expected else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def ner_f1(label: str, prediction: str) -> float:
    """Compute F1 of entities that agree in text, without white space, and type; 1 if there are
    none."""
    expected, predicted = (
        {(word.strip(), kind) for word, kind in entities(text)} for text in (label, prediction)
    )
    if not expected and not predicted:
        return 1.0
    return 2 * len(expected & predicted) / (len(expected) + len(predicted))


def numbers(text: str) -> list[float]:
    """Find the numbers of a text's first line, without evaluating it.

    Commas are dropped and each percent sign divides by 100. What is no number in Python, as 07 and
    digits of other scripts, is infinite, and so is too large a number.
    """
    return [_number(match) for match in NUMBER.findall(text.split("\n", 1)[0])]


def _number(match: str) -> float:
    digits = match.rstrip("%")
    try:
        value = ast.literal_eval(digits.replace(",", ""))
        for _ in range(len(match) - len(digits)):
            value /= 100
        return float(value)
    except (SyntaxError, ValueError, OverflowError):
        return math.inf


def numeric_match(label: str, prediction: str) -> bool:
    """Whether a number of the prediction is within 0.01 of the label's first number, or within a
    billionth part of the larger of the two.

    Infinite numbers match each other; no number on either side is no match.
    """
    expected, predicted = numbers(label), numbers(prediction)
    return bool(expected) and any(math.isclose(n, expected[0], abs_tol=CLOSE) for n in predicted)
