"""The one exception that means "the user can mend this": one line, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in input, configuration or environment that its reader can correct.

    The message is one line: what is wrong, where, what is allowed, what to do. Entry points print
    it without a traceback and exit with code 2.
    """


def suggest(name: str, allowed: Iterable[str]) -> str:
    """Says which names are allowed and which of them is nearest to ``name``.

    Args:
        name: what the user wrote.
        allowed: every valid name.

    Returns:
        A phrase to append to an error message.
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed: {', '.join(names)}"


def require_probability(field: str, value: float | None) -> None:
    """Raises a :class:`UserError` unless ``value`` is None or lies in (0, 1]."""
    if value is not None and not 0 < value <= 1:
        raise UserError(f"{field}={value} is not a probability; allowed: (0, 1]")


def require_choice(field: str, value: str, allowed: Iterable[str]) -> None:
    """Raises a :class:`UserError` unless ``value`` is one of ``allowed``."""
    names = list(allowed)
    if value not in names:
        raise UserError(f"{field}={value!r} is unknown; {suggest(str(value), names)}")
