"""Fields and checks that several parts of the configuration share."""

from dataclasses import field
from typing import Any

from toedit.errors import UserError


def runtime(default: Any) -> Any:
    """A dataclass field that never changes a result."""
    return field(default=default, metadata={"identity": False})


def within(group: str, config: Any, low: float, high: float, *names: str) -> None:
    """Refuse values of fields outside a range; None is allowed."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not low <= value <= high:
            raise UserError(f"{group}.{name}={value} is out of range; allowed: {low:g} to {high:g}")
