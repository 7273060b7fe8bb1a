"""Messages of a training to its driver: JSON lines in a file, which both can outlive.

The first process appends; a driver follows the file or reads it later, on this machine or another.
A restarted training appends to the same file, so steps after its checkpoint occur twice; the later
occurrence counts.
"""

import json
from pathlib import Path
from typing import Any

from experiments.training import PROGRESS

STEP, MEASURED, RESULT, ERROR = "step", "measured", "result", "error"
"""Kinds of messages: values and number of a step; what the last attempt used
(:func:`toedit.machine.measured`); metrics of the training; a user error."""


class Messages:
    """The message file in the folder of a training."""

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder, PROGRESS)
        self._offset = 0

    def write(self, kind: str, value: Any) -> None:
        """Append a line."""
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                if file.read(1) != b"\n":  # a kill truncated the last line
                    file.write(b"\n")
            file.write(json.dumps([kind, value]).encode() + b"\n")

    def read_new(self) -> list[tuple[str, Any]]:
        """Kinds and values of the complete lines since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._offset)
            lines, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(lines) + len(newline)
        messages = []
        for line in lines.splitlines():
            try:
                kind, value = json.loads(line)
            except (ValueError, TypeError, RecursionError):
                continue
            messages.append((kind, value))
        return messages

    def ended(self) -> tuple[str, Any] | None:
        """The last result or user error; None while the training has not ended."""
        messages = Messages(self.path.parent).read_new()
        return next((m for m in reversed(messages) if m[0] in (RESULT, ERROR)), None)

    def steps(self) -> dict[int, dict[str, float]]:
        """Values by step, in order of steps; for a repeated step, those of the last time."""
        messages = Messages(self.path.parent).read_new()
        steps = {value[1]: value[0] for kind, value in messages if kind == STEP}
        return dict(sorted(steps.items()))

    def measured(self) -> dict[str, Any]:
        """What the training used in its processes; empty if it ran in that of the driver."""
        messages = Messages(self.path.parent).read_new()
        return next((value for kind, value in reversed(messages) if kind == MEASURED), {})

    def clear(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)
        self._offset = 0
