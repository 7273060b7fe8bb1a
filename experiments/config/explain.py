"""Explain errors of Hydra and of YAML files in one line with field, value and allowed values."""

import dataclasses
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from yaml import MarkedYAMLError

from experiments import CONF
from experiments.config import Config
from toedit.errors import UserError, short, suggest
from toedit.rules import PRESETS


@contextmanager
def explain_errors() -> Iterator[None]:
    """Turn errors of composition into a :class:`UserError` of one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        raise UserError(line) from error


def explain(error: BaseException) -> str | None:
    """One line with field, value and allowed values for an error of composition, else None."""
    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    for cause in causes:
        if isinstance(cause, UserError):
            return str(cause)
        if isinstance(cause, MarkedYAMLError) and (mark := cause.problem_mark):
            return f"{mark.name!r} line {mark.line + 1} cannot be read: {cause.problem}"
        if isinstance(cause, ValueError) and "integer string conversion" in str(cause):
            return "the configuration holds a number of thousands of digits"
        if isinstance(cause, RecursionError):
            return "the configuration is nested too deeply"
        if type(cause).__name__ == "OverrideParseException":
            return (
                f"cannot read the argument {cause.override!r}; write FIELD=VALUE, with quotes "  # type: ignore[attr-defined]
                "around special characters, and +exp=NAME for an experiment"
            )
    texts = [
        " ".join(str(cause).split())
        for cause in causes
        if type(cause).__module__.partition(".")[0] in ("hydra", "omegaconf")
    ]
    lines = [line for line in map(_explain_text, texts) if line]
    # The innermost message is the clearest if no message has a known form.
    line = next(iter(lines or texts[-1:]), None)
    if line is None and any(map(_comes_from_hydra, causes)):
        line = f"the configuration cannot be composed: {type(causes[0]).__name__}: {causes[0]}"
    return None if line is None else short(line, 1000)


def _comes_from_hydra(error: BaseException) -> bool:
    """Whether a library of configurations raised an error."""
    frames = list(traceback.walk_tb(error.__traceback__))
    module = frames[-1][0].f_globals.get("__name__", "") if frames else ""
    return module.partition(".")[0] in ("hydra", "omegaconf", "yaml", "antlr4")


def _explain_text(text: str) -> str | None:
    if missing := re.search(r"Could not (?:find|load) '([^']+)'", text):
        group, _, name = missing.group(1).rpartition("/")
        return _unknown_choice(group, name)
    override = re.search(r"Could not override '([^']+)'", text)
    if override and override.group(1) == "exp":
        return (
            "write +exp=NAME, with the plus: experiments are no part of the default configuration"
        )
    if override:
        return unknown_field(override.group(1), text)
    key = re.search(r"full_key: (\S+)", text)
    if key and re.search(r"Key '[^']+' (not in|is not in struct)", text):
        return unknown_field(key.group(1), text)
    if key:
        return f"{key.group(1)}: {text.split(' full_key:')[0]}"
    return None


EXTRAS = {"joblib": "sweep", "ray": "ray"}
"""Extra of the package that installs each launcher of Hydra."""

GROUPS = {
    "hydra/sweeper": ["basic", "optuna"],
    "hydra/sweeper/sampler": ["tpe", "random", "gp", "nsgaii", "grid"],
    "hydra/sweeper/pruner": ["none", "median", "hyperband"],
}
"""Choices of the other groups of Hydra that this project has."""


def _unknown_choice(group: str, name: str) -> str:
    parts = group.split("/")
    if group == "hydra/launcher" and name in EXTRAS:
        extra = f"pip install -e '.[{EXTRAS[name]}]'"
        return f"{group}={name} is not installed here; in the clone: {extra}"
    if name == "cmaes":
        return f"{group}=cmaes would read pickles of its study; take tpe or gp"
    if parts[0] == "hydra":
        choices = GROUPS.get(group, ["basic", "slurm", *EXTRAS])
        return f"{group} knows no {name!r}; {suggest(name, choices)}"
    folder = CONF / parts[0]
    if not folder.is_dir():
        groups = [path.name for path in CONF.iterdir() if path.is_dir()]
        return f"unknown group {group!r}; {suggest(parts[0], groups)}"
    full = "/".join([*parts[1:], name])
    choices = [str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml")]
    choices += PRESETS if parts[0] == "edit" else []
    what = "experiment" if parts[0] == "exp" else f"choice for {parts[0]}"
    return f"unknown {what} {full!r}; {suggest(full, choices)}"


def unknown_field(key: str, text: str) -> str:
    """A line for a field that the schema lacks; ``text`` where it is in it."""
    if key.startswith("hydra."):
        return f"unknown field {key!r} of Hydra; +{key}=VALUE adds an option that a plugin takes"
    owner: Any = Config()
    path: list[str] = []
    for part in key.split("."):
        if not dataclasses.is_dataclass(owner):
            break
        names = [spec.name for spec in dataclasses.fields(owner)]
        if part not in names:
            group = ".".join(path) or "the configuration"
            return f"unknown field {key!r}: {group} has no {part!r}; {suggest(part, names)}"
        owner = getattr(owner, part)
        path.append(part)
    return text
