"""Load samplers and priors of the user by name, as ``module:Class``.

Plugins are named, not registered, because new worker processes have to find the class again. They
are code that runs with the user's rights: a name comes from a command or a configuration only. What
is no class with the methods of its role is refused before it is called.
"""

import os
import sys
from contextlib import suppress
from importlib import import_module
from inspect import getsourcefile, signature
from typing import Any

from toedit.errors import UserError, short, suggest

METHODS = {
    "sampler": ("support", "distribution", "draw"),
    "prior": ("tokenize", "score", "score_tokens"),
}
"""Methods that a class needs, by role."""

ATTRIBUTES = {"sampler": "draws", "prior": "vocabulary"}
"""What its instances need besides; ``__init__`` may set it."""


def is_plugin(name: str) -> bool:
    """Whether a name is of the form ``module:Class``, and no address."""
    return ":" in name.partition("://")[0]


def load_plugin(name: str, role: str | None = None) -> Any:
    """Import the class ``module:Class``.

    Args:
        name: ``module:Class``.
        role: ``sampler`` or ``prior``, to require its methods; None for any class.

    Raises:
        UserError: the module cannot be imported, has no such class, or it lacks methods.
    """
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # as with `python -m`; an installed command does not have it
    try:
        module = import_module(module_name)
        found = getattr(module, attribute, None)
    except KeyboardInterrupt:
        raise
    except ImportError as error:
        raise UserError(
            f"{name!r}: cannot import {module_name!r} ({short(error)}); install it, or start "
            "from the folder that holds it"
        ) from error
    except BaseException as error:  # whatever the module raises, SystemExit too
        raise UserError(f"{name!r}: cannot import {module_name!r} ({_described(error)})") from error
    if found is None:
        names = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise UserError(f"{module_name!r} has no {attribute!r}; {suggest(attribute, names)}")
    if not isinstance(found, type):
        raise UserError(f"{name!r} is a {type(found).__name__}, not a class (docs/extending.md)")
    methods = METHODS[role] if role else ()
    missing = [method for method in methods if not callable(getattr(found, method, None))]
    if missing:
        raise UserError(
            f"{name!r} is no {role}: it has no {', '.join(missing)}; a {role} is a class with "
            f"{', '.join(methods)} and {ATTRIBUTES[str(role)]} (docs/extending.md)"
        )
    return found


def make_plugin(name: str, role: str, argument: Any, **more: Any) -> Any:
    """Import the class ``module:Class`` of a role and make an instance of it.

    Args:
        name: ``module:Class``.
        role: ``sampler`` or ``prior``.
        argument: of the class, and ``more`` by keyword.

    Raises:
        UserError: it cannot be imported, is no class of this role, or fails.
    """
    make = load_plugin(name, role)
    try:
        made = make(argument, **more)
    except UserError:
        raise
    except Exception as error:
        reason = _described(error)
        if isinstance(error, TypeError) and error.__traceback__.tb_next is None:  # type: ignore[union-attr]
            reason = f"{short(error)}; the class is {_signature(make)}"
        raise UserError(f"the {role} {name!r} cannot be made ({reason})") from error
    if not hasattr(made, ATTRIBUTES[role]):
        raise UserError(f"{name!r} is no {role}: it has no {ATTRIBUTES[role]} (docs/extending.md)")
    return made


def _signature(made: type) -> str:
    """What a class takes, and where it stands."""
    with suppress(TypeError, ValueError, OSError):
        return f"{made.__name__}{signature(made)}, {getsourcefile(made)}"
    return f"of {made.__module__}"


def _described(error: BaseException) -> str:
    """An exception's type and message, and the line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename if trace else "<unknown>"
    where = "" if trace is None or file.startswith("<") else f", {file}:{trace.tb_lineno}"
    return f"{type(error).__name__}: {short(error)}{where}"
