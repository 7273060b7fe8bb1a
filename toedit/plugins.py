"""Samplers and priors of one's own, named ``module:Class`` wherever one of ours could be named.

A name, not a registration, because worker processes start afresh and must find the class again.
"""

from importlib import import_module
from typing import Any

from toedit.errors import UserError, suggest


def is_plugin(name: str) -> bool:
    """Whether a name is of the form ``module:Class``."""
    return ":" in name


def load_plugin(name: str) -> Any:
    """The class behind ``module:Class``.

    Raises:
        UserError: the module cannot be imported, or has no such class.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise UserError(
            f"{name!r}: cannot import {module_name!r} ({error}); install it or set PYTHONPATH"
        ) from error
    if not hasattr(module, attribute):
        names = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise UserError(f"{module_name!r} has no {attribute!r}; {suggest(attribute, names)}")
    return getattr(module, attribute)
