"""Curves of a stage as plain lines, readable without any tracker."""

import json
from pathlib import Path
from typing import Any

from toedit.corpora.files import atomic_path
from toedit.errors import damaged

METRICS = "metrics.jsonl"


class MetricsLog:
    """``metrics.jsonl`` of a stage: a line a step, readable without any tracker."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / METRICS
        self._last: int | None = None

    def append(self, values: dict[str, float], step: int) -> None:
        """Adds a line; lines of this step or later, left by an earlier attempt, go first.

        Steps come again when the processes of a training are started again from a checkpoint.
        """
        if (self._last is None or step <= self._last) and self.path.exists():
            kept = [row for row in self.read() if row["step"] < step]
            with atomic_path(self.path) as temporary:
                temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
        self._last = step
        with self.path.open("a") as handle:
            handle.write(json.dumps({"step": step, **values}) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """All whole lines.

        Raises:
            UserError: a line is JSON, but no values of a step.
        """
        rows = []
        if self.path.exists():
            for line in self.path.read_bytes().splitlines():
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    continue  # the line a kill cut short
                if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                    raise damaged(self.path, "a line is not of a step")
                rows.append(row)
        return rows
