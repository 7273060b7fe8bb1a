"""Every evaluated model of a store, chosen for a table or not, and every run that did not end."""

import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.analysis.evidence import Evidence, fingerprint_and_numbers
from experiments.reports.format import cell_text, table
from experiments.reports.tables.build import FilledTable
from experiments.store import FAILED
from experiments.store.contents import RECORD
from experiments.store.maintenance import NOT_STAGES, STAGE


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
    seed: int | None
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


def evaluated(evidence: Evidence, tables: Sequence[FilledTable]) -> list[Entry]:
    """All evaluations with a record, in the order of experiments and names."""
    shown: dict[str, set[int]] = defaultdict(set)
    for built in tables:
        for block in built.blocks:
            for row in block.rows:
                for cell in row.cells.values():
                    for result in cell.results:
                        key = fingerprint_and_numbers(result.record)
                        shown[key].add(built.table.number)
    entries: dict[str, Entry] = {}
    for root in evidence.roots:
        for path in sorted((root / "evaluate").glob(f"*/{RECORD}")):
            label = f"evaluate/{path.parent.name}"
            record = evidence.record(root, label)
            if record is not None:
                key = fingerprint_and_numbers(record)
                numbers = tuple(sorted(shown[key]))
                entries.setdefault(key, _entry(label, record, evidence, root, numbers))
    return sorted(entries.values(), key=lambda e: (e.experiment, e.name, e.label))


def hours(evidence: Evidence) -> float:
    """Hours of all stages that the evaluations rest on, each counted once."""
    found: dict[str, float] = {}
    for root in evidence.roots:
        for path in (root / "evaluate").glob(f"*/{RECORD}"):
            record = evidence.record(root, f"evaluate/{path.parent.name}")
            for own in evidence.chain(root, record) if record is not None else ():
                found[f"{own['kind']}/{own['fingerprint']}"] = own["seconds"]
    return sum(found.values()) / 3600


def _entry(
    label: str, record: dict[str, Any], evidence: Evidence, root: Path, tables: tuple[int, ...]
) -> Entry:
    chain = evidence.chain(root, record)
    training = next((own for own in chain if own["kind"] == "train"), None)
    own = [record, training] if training else [record]
    seconds, memory = sum(r["seconds"] for r in own), max(r["peak_memory_gb"] for r in own)
    commit = (record.get("git_commit") or "")[:8] + ("+" if record.get("git_dirty") else "")
    return Entry(label, record["experiment"], record["name"], record.get("seed"),
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
                why = "failed, and why is damaged"
                with suppress(ValueError, KeyError, TypeError):
                    failure = json.loads((folder / FAILED).read_text(encoding="utf-8"))
                    why = " ".join(f"failed {failure['when']}: {failure['error']}".split())
            found.append(Unfinished(f"{folder.parent.name}/{folder.name}", why))
    return found


HEADER = [
    "experiment", "model", "seed", "tables", "minutes", "GB", "finished", "commit", "result",
]  # fmt: skip


def row(entry: Entry) -> list[str]:
    """An evaluated model as text, by :data:`HEADER`."""
    seed = "" if entry.seed is None else str(entry.seed)
    return [
        entry.experiment, entry.name, seed, ", ".join(map(str, entry.tables)) or "none",
        f"{entry.seconds / 60:.1f}", f"{entry.memory:.1f}", entry.finished, entry.commit,
        entry.label,
    ]  # fmt: skip


def markdown(evidence: Evidence, tables: Sequence[FilledTable]) -> str:
    """The ledger as a page of Markdown."""
    entries, rest = evaluated(evidence, tables), unfinished(evidence)
    parts = [
        "# Ledger",
        f"Every evaluated model, in a table or not: {len(entries)}. With all that they rest on, "
        f"scoring and editing too, they took {hours(evidence):.1f} hours. Minutes are those of a "
        "model's training and its evaluation, GB the peak memory of both; + marks a commit with "
        "changes beside it.",
        table(HEADER, [row(entry) for entry in entries]),
    ]
    if rest:
        listing = table(["stage", "why"], [[own.label, cell_text(own.why)] for own in rest])
        parts += [f"## Without a result ({len(rest)})", listing]
    if evidence.refused:
        rows = [[name, cell_text(why)] for name, why in sorted(evidence.refused.items())]
        parts += [f"## Refused ({len(rows)})", table(["what", "why"], rows)]
    return "\n\n".join(parts) + "\n"
