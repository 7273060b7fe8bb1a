"""List every field of the configuration with type, default, allowed values and meaning.

All of it is read from the dataclasses: meanings from their docstrings, and what is allowed from the
error that a wrong value raises, so neither can say something else than the code.
"""

import dataclasses
import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from experiments import CONF
from experiments.config import Config
from toedit.errors import LARGEST, UserError, suggest
from toedit.layout import fill, terminal_width
from toedit.rules import PRESETS

WRONG: dict[type, tuple[Any, ...]] = {
    int: (10**30, -1), float: (-1.0, 1e300), str: ("no such choice",), list: (["no such choice"],),
}  # fmt: skip
"""Values that few fields take, by type."""

NAMES = {int: "whole number", float: "number", str: "text", bool: "true or false", Any: "any"}


@dataclass(frozen=True)
class Field:
    """A field of the configuration.

    Attributes:
        name: with its group, as ``edit.threshold``; ``[]`` follows the name of a list of groups.
        type: in words.
        default: as a command line takes it; empty where there is none.
        allowed: in words; empty where the type says it.
        meaning: from the docstring.
        like: field of the same class in an earlier group; empty for none.
    """

    name: str
    type: str
    default: str
    allowed: str
    meaning: str
    like: str = ""

    @property
    def takes(self) -> str:
        """Allowed values, else the type."""
        if not self.allowed:
            return self.type
        return f"{self.allowed} or null" if self.type.endswith(" or null") else self.allowed

    @property
    def group(self) -> str:
        """Its group; empty for the fields of the experiment itself."""
        return self.name.rpartition(".")[0]


@cache
def fields() -> tuple[Field, ...]:
    """All fields, group by group."""
    found = _fields(Config, Config(), "", {})
    return tuple(sorted(found, key=lambda field: bool(field.group)))


def _fields(owner: type, usual: Any, prefix: str, known: dict[type, str]) -> Iterator[Field]:
    """Fields of a class and of those inside.

    Args:
        owner: the class.
        usual: an instance with the default values; None where there is none.
        prefix: of their names.
        known: prefixes of the classes that were listed before.
    """
    meanings, hints, first = _meanings(owner), get_type_hints(owner), known.get(owner)
    known.setdefault(owner, prefix)
    inner: list[tuple[Any, Any, str]] = []
    for spec in dataclasses.fields(owner):  # type: ignore[arg-type]
        kind, name = hints[spec.name], f"{prefix}{spec.name}"
        parts = [part for part in (kind, *get_args(kind)) if dataclasses.is_dataclass(part)]
        if parts:
            listed = "[]" if get_origin(kind) is list else ""
            value = getattr(usual, spec.name, None)
            inner.append((parts[0], value, f"{name}{listed}."))
        if parts and kind is parts[0]:
            continue
        allowed = _allowed(usual, spec.name, kind)
        default = _default(spec) if usual is None else _shown(getattr(usual, spec.name))
        like = "" if first is None else f"{first}{spec.name}"
        yield Field(name, _words(kind), default, allowed, meanings[spec.name], like)
    for part, value, name in inner:
        yield from _fields(part, value if type(value) is part else _made(part), name, known)


def _made(owner: type) -> Any:
    """An instance with the defaults; None if it needs values, as a source needs a name."""
    try:
        return owner()
    except (TypeError, UserError):
        return None


def _meanings(owner: type) -> dict[str, str]:
    """Texts of the attributes in the docstrings of a class and its bases, else the first line."""
    summary = (owner.__doc__ or "").partition("\n")[0]
    found = {spec.name: summary for spec in dataclasses.fields(owner)}  # type: ignore[arg-type]
    for base in reversed(owner.__mro__):
        text = inspect.cleandoc(base.__doc__ or "")
        lines = text.partition("Attributes:\n")[2].splitlines()
        name = ""
        for line in lines:
            if match := re.match(r" {4}(\w+): (.*)", line):
                name = match[1]
                found[name] = match[2]
            elif not line.strip():
                break
            elif name:
                found[name] += f" {line.strip()}"
    found = {name: text.replace("``", "`").rstrip(".") for name, text in found.items()}
    return {name: re.sub(r"\bNone\b", "null", text) for name, text in found.items()}


def _words(kind: Any) -> str:
    """A type in words."""
    arguments = [part for part in get_args(kind) if part is not type(None)]
    if get_origin(kind) in (Union, types.UnionType):
        return f"{' or '.join(map(_words, arguments))} or null"
    if get_origin(kind) is list:
        return f"list of {_words(arguments[0])}s".replace("true or falses", "booleans")
    if get_origin(kind) is dict:
        return "mapping of names to " + ("values" if arguments[1] is Any else _words(arguments[1]))
    return "group" if dataclasses.is_dataclass(kind) else NAMES[kind]


def _default(spec: Any) -> str:
    value = spec.default
    if spec.default_factory is not dataclasses.MISSING:
        value = spec.default_factory()
    if value is dataclasses.MISSING:
        return ""
    return _shown(value)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) + "}"
    return str(value) if value != "" else '""'


def _allowed(usual: Any, name: str, kind: Any) -> str:
    """What a wrong value is told to be instead; empty if no value of the type is wrong."""
    plain = [part for part in (kind, *get_args(kind)) if part in WRONG]
    container = get_origin(kind)
    values = WRONG.get(list if container is list and plain else plain[0] if plain else bool, ())
    if container is dict or usual is None:
        return ""
    for value in values:
        try:
            dataclasses.replace(usual, **{name: value})
        except UserError as error:
            text = " ".join(str(error).split())
            group = type(usual).__name__.removesuffix("Config").lower()
            if not re.match(rf"(?:[\w.]+\.)?{name}=|{name} |{group}=", text):
                continue  # about other fields that this one has to fit
            found = re.search(r"allowed: (.*)|must (?:be |lie )?(.*)", text)
            limits = (found[1] or found[2]) if found else ""
            return re.sub(rf"(\d+) to (?:{LARGEST}|inf)$", r"at least \1", limits)
        except TypeError:
            continue
    return ""


def choices(group: str) -> list[str]:
    """Files of a group, as ``train=embedded`` takes them, and presets of rules."""
    folder = CONF / group
    names = {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml")}
    return sorted(names | set(PRESETS)) if group == "edit" else sorted(names)


def explain(name: str) -> str:
    """Describe a field, or all fields of a group.

    Raises:
        UserError: there is neither.
    """
    name = name.lstrip("+").partition("=")[0].rstrip(".")
    known = {field.name.replace("[]", ""): field for field in fields()}
    if name in known:
        found = [known[name]]
    else:
        found = [field for key, field in known.items() if key.startswith(f"{name}.")]
        found = found or [field for key, field in known.items() if key.endswith(f".{name}")]
    files = choices(name) if name.isidentifier() else []
    if not found and not files:
        groups = {key.rpartition(".")[0] for key in known} - {""}
        near = suggest(name, [*known, *groups]).partition("allowed: ")[0]
        raise UserError(f"no field or group is named {name!r}; {near}docs/fields.md lists all")
    lines = [_lines(field) for field in found]
    if files:
        lines.insert(0, fill(f"{name}=CHOICE: {', '.join(files)}", terminal_width()))
    return "\n\n".join(lines)


def _lines(field: Field) -> str:
    first = f"{field.name}={field.default}" if field.default else field.name
    allowed = f"; allowed: {field.allowed}" if field.allowed else ""
    texts = [f"{field.type}{allowed}", f"{field.meaning}."]
    body = [fill(text, terminal_width(), "    ") for text in texts]
    return "\n".join([first, *filter(None, body)])
