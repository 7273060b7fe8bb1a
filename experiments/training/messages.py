"""What a training tells its driver: lines of JSON in a file, which outlive both of them.

The first process appends; a driver follows the file or reads it later, on this machine or another.
A training that is started again goes on in the same file, so steps after its checkpoint come twice,
the later ones being those that count.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.training import PROGRESS

if TYPE_CHECKING:
    from experiments.training.curves import LogStep

STEP, RESULT, ERROR = "step", "result", "error"
"""Values of a step and its number; what the training returns; a mistake of the user."""


class Messages:
    """The file in a training's folder.

    Args:
        folder: of the training.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder, PROGRESS)
        self._read = 0

    def write(self, kind: str, value: Any) -> None:
        """Appends a line."""
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                if file.read(1) != b"\n":  # a kill cut the last line short
                    file.write(b"\n")
            file.write(json.dumps([kind, value]).encode() + b"\n")

    def read_new(self) -> list[tuple[str, Any]]:
        """Kinds and values of the whole lines since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(end)
        found = []
        for line in whole.splitlines():
            try:
                kind, value = json.loads(line)
            except ValueError:
                continue
            found.append((kind, value))
        return found

    def ended(self) -> tuple[str, Any] | None:
        """The result or the mistake by which the training ended, None while it has not."""
        ends = [(k, v) for k, v in Messages(self.path.parent).read_new() if k in (RESULT, ERROR)]
        return ends[-1] if ends else None

    def steps(self) -> dict[int, dict[str, float]]:
        """Values of the steps told so far, in order; of a step that was made twice, the later."""
        told = Messages(self.path.parent).read_new()
        steps = {value[1]: value[0] for kind, value in told if kind == STEP}
        return {step: steps[step] for step in sorted(steps)}

    def replay(self, log_step: "LogStep") -> None:
        """Gives all steps to a driver, which may have been killed before it heard of them."""
        for step, values in self.steps().items():
            log_step(values, step)

    def clear(self) -> None:
        """Begins anew."""
        self.path.unlink(missing_ok=True)
        self._read = 0
