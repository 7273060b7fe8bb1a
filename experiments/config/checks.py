"""Checks of fields that several parts of the configuration share."""

from dataclasses import field
from typing import Any

from toedit.errors import UserError


def runtime(default: Any) -> Any:
    """A field that never changes a result."""
    return field(default=default, metadata={"identity": False})


def positive(group: str, config: Any, *names: str) -> None:
    """Refuses values that are not finite and greater than 0; null is allowed."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 < value < float("inf"):
            raise UserError(f"{group}.{name}={value} must be finite and greater than 0")


def within(group: str, config: Any, low: float, high: float, *names: str) -> None:
    """Refuses values outside a range; null is allowed."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not low <= value <= high:
            raise UserError(f"{group}.{name}={value} is out of range; allowed: {low:g} to {high:g}")
