"""Log the report of a run to the tracker, as a run of its own next to those of the arms.

Its tables are pages of HTML: a table of wandb would write the folder of the store into its files.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from experiments.analysis.estimate import Estimate
from experiments.config import Config
from experiments.reports.format import difference_text, value_text
from experiments.stage import digest
from experiments.store.runs import EXAMPLES, RESULTS
from experiments.tracking import Run, RunSpec, start_run
from toedit.corpora.files import read_json

STYLE = (
    "<style>body{font:14px system-ui,sans-serif}td,th{padding:2px 8px;text-align:left}"
    "tr{border-bottom:1px solid #ddd}del{color:#a3000b}ins{color:#00591f}</style>"
)
EDITS = ("edit", "document", "text", "p", "p drawn")
"""Columns of the panel of edits."""


def log_report(config: Config, folder: Path, where: Path) -> None:
    """Log values, edits and page of a run.

    Panels: ``arms`` (all metrics, a column per arm), ``edits`` (with context) and ``report`` (the
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
    if values.get("reference"):
        log_arms(run, values)
    if (folder / EXAMPLES).is_file():
        log_edits(run, read_json(folder / EXAMPLES, dict).items())
    text = escape((folder / "results.md").read_text(encoding="utf-8"))
    run.html("report", f"<pre>{text}</pre>")
    run.finish()


def log_arms(run: Run, values: dict[str, Any]) -> None:
    """Log the arms of :func:`experiments.reports.arms.results`: a table and a summary."""
    names = list(dict.fromkeys(name for row in values["rows"] for name in row["arms"]))
    others = [name for name in names if name != values["reference"]]
    lines = []
    for row in values["rows"]:
        run.summary({f"{row['metric']}/{name}": arm["value"] for name, arm in row["arms"].items()})
        line = [escape(row["metric"])]
        for name in names:
            arm = row["arms"].get(name)
            line.append(value_text(Estimate.from_json(arm) if arm else None, row["digits"]))
        for name in others:
            change = row["differences"].get(name)
            difference = Estimate.from_json(change) if change else None
            line.append(escape(difference_text(difference, row["digits"])))
        lines.append(line)
    header = ["metric", *names, *(f"{name} − {values['reference']}" for name in others)]
    run.html("arms", _table(header, lines))


def log_edits(run: Run, examples: Iterable[tuple[str, list[dict[str, Any]]]]) -> None:
    """Log edits with their context, from the examples of each edit by its name."""
    lines = []
    for name, changes in examples:
        for change in changes:
            before, old, new, after = (escape(change[key]) for key in ("before", "old", "new",
                                                                       "after"))  # fmt: skip
            text = f"…{before}<del>{old}</del><ins>{new or '(deleted)'}</ins>{after}…"
            drawn = change["drawn_probability"]
            probabilities = f"{change['probability']:.4f}", "" if drawn is None else f"{drawn:.2g}"
            lines.append([escape(name), escape(change.get("id", "")), text, *probabilities])
    if lines:
        run.html("edits", _table(EDITS, lines))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table of HTML; the header is text, the cells are HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"{STYLE}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
