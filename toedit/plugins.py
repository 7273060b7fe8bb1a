"""Load samplers and priors of the user by name, as ``module:Class``.

Plugins are named, not registered, because new worker processes have to find the class again.
"""

from importlib import import_module
from typing import Any

from toedit.errors import UserError, suggest


def is_plugin(name: str) -> bool:
    """Whether a name is of the form ``module:Class``."""
    return ":" in name


def load_plugin(name: str) -> Any:
    """Import the class ``module:Class``.

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
