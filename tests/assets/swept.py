"""What sweeps of small runs left behind."""

import json
import re
from itertools import takewhile
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
    lines = output.splitlines()
    first = max((i for i, line in enumerate(lines) if re.match("job  ", line)), default=len(lines))
    block = list(takewhile(bool, lines[first:]))
    width = max(map(len, block), default=0)
    block = [line.ljust(width) for line in block]
    used = "".join(" " if {line[i] for line in block} == {" "} else "x" for i in range(width))
    columns = [found.span() for found in re.finditer(r"x+( x+)*", used)]
    return [[line[start:end].strip() for start, end in columns] for line in block[1:]]
