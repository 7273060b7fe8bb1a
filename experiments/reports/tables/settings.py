"""Name the settings in which rows of a table differ, in words: ``p ≥ .9, top-k 8``."""

import re
from collections.abc import Sequence
from typing import Any

from experiments.analysis.evidence import Result
from toedit.errors import UserError
from toedit.rules import EditRule

HASH = re.compile(r"[0-9a-f]{12}(-\d+)?")
"""Revision of data, which says nothing to a reader."""

MOST = 3
"""Settings in a label, the rule of an edit counted as one."""

VAGUE = {"tokens", "model", "revision", "rev", "data", "characters", "seed", "dtype", "suite",
         "benchmarks", "k"}  # fmt: skip
"""Names that need that of their stage."""


KINDS = {"train": "training", "evaluate": "evaluation", "score": "prior"}
"""Words for kinds of stages."""


def labels(results: Sequence[Result]) -> list[str]:
    """Describe each result by the settings in which it differs from the others.

    Returns:
        A text per result; unlike ones, with a number where words do not tell them apart.
    """
    keys = sorted({key for result in results for key in result.settings})
    varying = [k for k in keys if len({repr(result.settings.get(k)) for result in results}) > 1]
    rules = [_rule(result) for result in results]
    fields = {key.partition("edit.rule.")[2] for key in varying} - {""}
    described: list[list[str]] = []
    for result, rule in zip(results, rules, strict=True):
        parts = [rule_text(rule, fields)] if fields and rule is not None else []
        others = (key for key in varying if "edit.rule." not in key)
        parts += [part for key in others for part in _setting(result, key)]
        described.append(list(dict.fromkeys(parts)))
    # What only stands elsewhere in the settings is the same in all.
    common = set.intersection(*map(set, described))
    texts = [", ".join([p for p in parts if p not in common][:MOST]) for parts in described]
    return [
        text if texts.count(text) == 1 and text else f"#{number}{': ' if text else ''}{text}"
        for number, text in enumerate(texts, 1)
    ]


def _rule(result: Result) -> EditRule | None:
    record = result.upstream("edit")
    try:
        return None if record is None else EditRule(**record["config"]["rule"])
    except (KeyError, TypeError, UserError):  # of another version
        return None


def rule_text(rule: EditRule, fields: set[str]) -> str:
    """Describe a rule by its condition, its sampler and some further fields, as tables print it."""
    text = rule.describe(fields).replace(">=", "≥").replace("<=", "≤")
    return _without_zeros(text)


def _setting(result: Result, key: str) -> list[str]:
    """A setting as ``learning rate 1e-05``; nothing for a group of fields."""
    kind, *path = key.rpartition(":")[2].split(".")
    record = result.upstream(kind)
    if record is None:
        return []
    value: Any = result.settings.get(key)
    if value is None:  # a default, which no identity holds
        value = record["config"]
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict) or not path or HASH.fullmatch(str(value)):
        return []
    words = path[-1].replace("_", " ")
    name = f"{KINDS.get(kind, kind)} {words}" if path[-1] in VAGUE else words
    if isinstance(value, bool):
        return [name if value else f"no {name}"]
    return [f"{name} {_value(value)}"]


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(map(_value, value)) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return _number(value) if isinstance(value, float) else "none" if value is None else str(value)


def _number(value: float) -> str:
    return _without_zeros(f"{value:g}")


def _without_zeros(text: str) -> str:
    """Write ``.9`` for ``0.9``."""
    return re.sub(r"(?<![\d.])0(?=\.)", "", text)
