"""Limits of what a configuration may ask for, so that a slip ends in a line and not in a hang."""

import math
import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from toedit.errors import UserError

LARGEST_PLAN = 1000
"""Generations or models of an experiment, over all seeds; jobs of a sweep."""

LARGEST_FILE = 100_000
"""Values of a YAML file, those behind aliases counted wherever they stand."""

FOLDER = re.compile(r"(?:--config-dir|-cd|--config-path|-cp)(?:=(.*))?", re.DOTALL)


def require_plan(seeds: int, field: str, number: int) -> None:
    """Refuse a plan of more than :data:`LARGEST_PLAN` repetitions, before it is made.

    Args:
        seeds: number of seeds.
        field: field that says how often each seed repeats something.
        number: its value.
    """
    if seeds * number > LARGEST_PLAN:
        many = f"{field}={number:,} with {seeds} seeds" if number > 1 else f"seeds names {seeds}"
        raise UserError(f"{many}: the largest plan has {LARGEST_PLAN} in all")


def folders_of(words: Sequence[str]) -> list[Path]:
    """The folders of configuration files that a command line adds to those of the project."""
    found = []
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        if match := FOLDER.fullmatch(word):
            found.append(Path(match[1] or following))
    return found


def require_files(folders: Iterable[Path]) -> None:
    """Refuse YAML files that are no text, or whose aliases repeat values without end.

    Raises:
        UserError: a file of the folders is such.
    """
    import yaml

    for path in sorted(file for folder in folders for file in folder.rglob("*.yaml")):
        try:
            text = path.read_text(encoding="utf-8")
            has_aliases = "&" in text and "*" in text
            is_deep = any(text.count(sign) > 100 for sign in ("[", "{", "- -"))
            node = yaml.compose(text, yaml.SafeLoader) if has_aliases or is_deep else None
            size = _values(node, {}) if node is not None else 0
        except UnicodeDecodeError as error:
            raise UserError(f"{str(path)!r} is not valid UTF-8; save it as such") from error
        except RecursionError as error:
            raise UserError(f"{str(path)!r} is nested too deeply") from error
        except yaml.YAMLError:
            continue  # which is explained where the file is used
        if size > LARGEST_FILE:
            raise UserError(
                f"{str(path)!r} holds {size:.3g} values, since its aliases (*name) repeat others; "
                f"at most {LARGEST_FILE}"
            )


def _values(node: Any, known: dict[int, float]) -> float:
    """Number of values of a node of YAML with its aliases written out."""
    if id(node) not in known:
        known[id(node)] = math.inf  # if it is inside of itself
        inner = node.value if isinstance(node.value, list) else []
        parts = [part for item in inner for part in (item if isinstance(item, tuple) else [item])]
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]
