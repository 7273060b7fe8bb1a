"""Log the report of a run to the tracker, as a run of its own next to those of the arms."""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from experiments.config import Config
from experiments.stage import digest
from experiments.store.runs import EXAMPLES, RESULTS
from experiments.tracking import Run, RunSpec, start_run
from toedit.corpora.files import read_json

ARMS = ("metric", "arm", "value", "low", "high", "difference", "difference low", "difference high",
        "p")  # fmt: skip
"""Columns of the table of arms; the difference is from the reference arm, both with 95 % ends."""

EDITS = ("edit", "document", "before", "old", "new", "after", "p", "p drawn")
"""Columns of the table of edits."""


def log_report(config: Config, folder: Path, where: Path) -> None:
    """Log values, edits and page of a run.

    Panels: ``arms`` and ``edits`` (tables), ``arms/METRIC`` (bars, an arm each) and ``report`` (the
    page). The summary holds ``METRIC/ARM``, named as in the page.

    Args:
        config: the experiment.
        folder: its report.
        where: the tracker's files.
    """
    values = read_json(folder / RESULTS, dict)
    spec = RunSpec(
        f"report-{digest([folder.name, values])}", f"{config.name}-report", config.name, "report",
        {"experiment": config.name, "report": folder.name},
    )  # fmt: skip
    run = start_run(config.tracker, spec, where)
    if "reference" in values:
        log_arms(run, values)
    if (folder / EXAMPLES).is_file():
        log_edits(run, read_json(folder / EXAMPLES, dict))
    text = escape((folder / "results.md").read_text(encoding="utf-8"))
    run.html("report", f"<pre>{text}</pre>")
    run.finish()


def log_arms(run: Run, values: dict[str, Any]) -> None:
    """Log the arms of :func:`experiments.reports.arms.results`: a table, bars and a summary."""
    lines = []
    for row in values["rows"]:
        levels = {name: level["value"] for name, level in row["arms"].items()}
        run.summary({f"{row['metric']}/{name}": value for name, value in levels.items()})
        run.bars(f"arms/{row['metric']}", "arm", levels)
        for name, level in row["arms"].items():
            change = row["differences"].get(name) or {}
            ends = [level["value"], level["low"], level["high"]]
            ends += [change.get(key) for key in ("value", "low", "high", "p")]
            lines.append([row["metric"], name, *ends])
    run.table("arms", ARMS, lines)


def log_edits(run: Run, examples: dict[str, list[dict[str, Any]]]) -> None:
    """Log a table of edits with their context, from the examples of a run by edit."""
    run.table("edits", EDITS, list(_edits(examples)))


def _edits(examples: dict[str, list[dict[str, Any]]]) -> Iterator[list[Any]]:
    for name, changes in examples.items():
        for change in changes:
            keys = ("id", "before", "old", "new", "after", "probability", "drawn_probability")
            yield [name, *(change[key] for key in keys)]
