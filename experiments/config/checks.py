"""Fields that several parts of the configuration share."""

from dataclasses import field
from typing import Any


def runtime(default: Any) -> Any:
    """A dataclass field that never changes a result."""
    return field(default=default, metadata={"identity": False})
