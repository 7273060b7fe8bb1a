"""Every evaluated model of a store, chosen for a table or not, and every run that did not end."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.paper.report import table
from experiments.paper.runs import Evidence
from experiments.paper.tables.build import Built
from experiments.store import FAILED
from experiments.store.care import NOT_STAGES, STAGE
from experiments.store.contents import RECORD


@dataclass(frozen=True)
class Entry:
    """An evaluated model.

    Attributes:
        label: folder of the result below its store.
        experiment: what computed it first.
        name: what its plan calls it.
        seed: of it.
        finished: when, UTC.
        commit: of the code.
        seconds: that the evaluation took, and the training before it.
        memory: peak of both, GB.
        tables: numbers of the tables that show it.
    """

    label: str
    experiment: str
    name: str
    seed: int
    finished: str
    commit: str
    seconds: float
    memory: float
    tables: tuple[int, ...]


@dataclass(frozen=True)
class Unfinished:
    """A stage without a record: where, and why if it is known."""

    label: str
    why: str


def evaluated(evidence: Evidence, tables: Sequence[Built]) -> list[Entry]:
    """All evaluations with a record, in the order of experiments and names."""
    shown: dict[Path, set[int]] = defaultdict(set)
    for built in tables:
        for block in built.blocks:
            for row in block.rows:
                for cell in row.cells.values():
                    for result in cell.results:
                        shown[result.folder.resolve()].add(built.table.number)
    entries = []
    for root in evidence.roots:
        for path in sorted((root / "evaluate").glob(f"*/{RECORD}")):
            label = f"evaluate/{path.parent.name}"
            record = evidence.record(root, label)
            if record is not None:
                numbers = tuple(sorted(shown[path.parent.resolve()]))
                entries.append(_entry(label, record, evidence, root, numbers))
    return sorted(entries, key=lambda e: (e.experiment, e.name, e.label))


def _entry(
    label: str, record: dict[str, Any], evidence: Evidence, root: Path, tables: tuple[int, ...]
) -> Entry:
    training = evidence.upstream(root, record, "train")
    own = [record, training] if training else [record]
    seconds, memory = sum(r["seconds"] for r in own), max(r["peak_memory_gb"] for r in own)
    commit = (record.get("git_commit") or "")[:8] + ("+" if record.get("git_dirty") else "")
    return Entry(label, record["experiment"], record["name"], int(record.get("seed", 0)),
                 record["finished"], commit, seconds, memory, tables)  # fmt: skip


def unfinished(evidence: Evidence) -> list[Unfinished]:
    """Stages that failed or were interrupted."""
    found = []
    for root in evidence.roots:
        for folder in sorted(root.glob("*/*")):
            stage = folder.is_dir() and folder.parent.name not in NOT_STAGES
            if not stage or not STAGE.search(folder.name) or (folder / RECORD).exists():
                continue
            why = "interrupted, or still running"
            if (folder / FAILED).is_file():
                failure = json.loads((folder / FAILED).read_text(encoding="utf-8"))
                why = f"failed {failure['when']}: {failure['error']}"
            found.append(Unfinished(f"{folder.parent.name}/{folder.name}", why))
    return found


HEADER = [
    "experiment", "model", "seed", "tables", "minutes", "GB", "finished", "commit", "result",
]  # fmt: skip


def row(entry: Entry) -> list[str]:
    """An evaluated model as text, by :data:`HEADER`."""
    return [
        entry.experiment, entry.name, str(entry.seed), ", ".join(map(str, entry.tables)) or "none",
        f"{entry.seconds / 60:.1f}", f"{entry.memory:.1f}", entry.finished, entry.commit,
        entry.label,
    ]  # fmt: skip


def markdown(evidence: Evidence, tables: Sequence[Built]) -> str:
    """The ledger as a page of Markdown."""
    entries, rest = evaluated(evidence, tables), unfinished(evidence)
    parts = [
        "# Ledger",
        f"Every evaluated model, in a table or not: {len(entries)}, "
        f"{sum(e.seconds for e in entries) / 3600:.1f} hours. Minutes are those of its last "
        "training and its evaluation, GB the peak memory of both; + marks a commit with changes "
        "beside it.",
        table(HEADER, [row(entry) for entry in entries]),
    ]
    if rest:
        listing = table(["stage", "why"], [[own.label, own.why] for own in rest])
        parts += [f"## Without a result ({len(rest)})", listing]
    if evidence.refused:
        rows = [[name, why] for name, why in sorted(evidence.refused.items())]
        parts += [f"## Refused ({len(rows)})", table(["what", "why"], rows)]
    return "\n\n".join(parts) + "\n"
