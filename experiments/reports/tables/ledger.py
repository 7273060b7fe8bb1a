"""List every evaluated model of a store, in a table or not, and every stage without a result."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments.analysis.evidence import Evidence, fingerprint_and_numbers
from experiments.reports.format import cell_text, table
from experiments.reports.tables.build import FilledTable, all_cells
from experiments.store import FAILED
from experiments.store.maintenance import stage_labels
from experiments.store.records import RECORD, labels
from toedit.corpora.files import read_json
from toedit.corpora.paths import inside
from toedit.errors import UserError

HEADER = [
    "experiment", "model", "seed", "tables", "minutes", "GB", "finished", "commit", "result",
]  # fmt: skip


def evaluated(evidence: Evidence, tables: Sequence[FilledTable]) -> list[list[str]]:
    """List all evaluations with a record by :data:`HEADER`, sorted by experiment, model and label.

    Minutes and peak memory are those of the evaluation and of the training before it.
    """
    numbers: dict[str, set[int]] = defaultdict(set)
    for filled in tables:
        for _, _, cell in all_cells([filled]):
            for result in cell.results:
                numbers[fingerprint_and_numbers(result.record)].add(filled.table.number)
    rows: dict[str, list[str]] = {}
    for root, label, record in _evaluations(evidence):
        chain = evidence.chain(root, record)
        training = next((other for other in chain if other["kind"] == "train"), None)
        both = [record, training] if training else [record]
        key = fingerprint_and_numbers(record)
        seed = record.get("seed")
        rows.setdefault(key, [
            record["experiment"], record["name"], "" if seed is None else str(seed),
            ", ".join(map(str, sorted(numbers[key]))) or "none",
            f"{sum(r['seconds'] for r in both) / 60:.1f}",
            f"{max(r['peak_memory_gb'] for r in both):.1f}", record["finished"],
            (record.get("git_commit") or "")[:8] + ("+" if record.get("git_dirty") else ""), label,
        ])  # fmt: skip
    return sorted(rows.values(), key=lambda row: (row[0], row[1], row[-1]))


def _evaluations(evidence: Evidence) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Yield the store, label and record of every evaluation with a record."""
    for root in evidence.roots:
        for label in labels(root, "evaluate"):
            record = evidence.record(root, label)
            if record is not None:
                yield root, label, record


def hours(evidence: Evidence) -> float:
    """Sum the hours of all evaluations and of the stages before them, each counted once."""
    seconds = {
        f"{stage['kind']}/{stage['fingerprint']}": stage["seconds"]
        for root, _, record in _evaluations(evidence)
        for stage in evidence.chain(root, record)
    }
    return sum(seconds.values()) / 3600


def unfinished(evidence: Evidence) -> list[tuple[str, str]]:
    """List the label of every stage without a record, and why it has none as far as it is known."""
    stages = []
    for root in evidence.roots:
        for label in stage_labels(root):
            folder = root / label
            if not folder.is_dir() or (folder / RECORD).exists():
                continue
            why = "interrupted, or still running"
            if (folder / FAILED).is_file():
                why = "failed, and why is damaged"
                with suppress(UserError, KeyError):
                    failure = read_json(inside(folder, FAILED), dict)
                    why = " ".join(f"failed {failure['when']}: {failure['error']}".split())
            stages.append((label, why))
    return stages


def markdown(evidence: Evidence, tables: Sequence[FilledTable]) -> str:
    """Format the ledger as a page of Markdown."""
    rows = evaluated(evidence, tables)
    parts = [
        "# Ledger",
        f"Every evaluated model, in a table or not: {len(rows)}. With all that they rest on, "
        f"scoring and editing too, they took {hours(evidence):.1f} hours. Minutes are those of a "
        "model's training and its evaluation, GB the peak memory of both; + marks a commit with "
        "changes beside it.",
        table(HEADER, rows),
    ]
    for title, column, pairs in (
        ("Without a result", "stage", unfinished(evidence)),
        ("Refused", "what", sorted(evidence.refused.items())),
    ):
        if pairs:
            listing = table([column, "why"], [[name, cell_text(why)] for name, why in pairs])
            parts += [f"## {title} ({len(pairs)})", listing]
    return "\n\n".join(parts) + "\n"
