"""What sweeps of small runs left behind."""

import json
import re
from pathlib import Path

from commands import VOLATILE


def results(store: Path) -> dict[str, dict]:
    """Every record by its folder, without what may differ between two equal runs.

    What several jobs share names the seed of the one that came first.
    """
    found = {}
    for path in store.glob("*/*/record.json"):
        record = json.loads(path.read_text())
        record["metrics"].pop("speed", None)
        label = str(path.parent.relative_to(store))
        found[label] = {
            key: value for key, value in record.items() if key not in {*VOLATILE, "seed"}
        }
    return found


def computed(store: Path) -> list[str]:
    """What jobs say they computed, from their logs."""
    text = "".join(path.read_text() for path in sorted(store.glob("sweeps/*/*/job.log")))
    return re.findall(r"^done +(\S+)", text, flags=re.MULTILINE)


def table(output: str) -> list[list[str]]:
    """The cells of the last table of jobs."""
    rows = [line for line in output.splitlines() if re.match(r"\| \d", line)]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
