"""The end of a run in a terminal: what editing did, the arms, and where files are."""

import os
import sys
from pathlib import Path
from typing import Any

from experiments.analysis.estimate import Estimate
from experiments.config import Config
from experiments.reports.controls import span
from experiments.reports.format import interval_text, value_of
from experiments.reports.report import PAGES
from experiments.reports.tables.catalogue import TABLES
from experiments.store.runs import RESULTS
from toedit import terminal
from toedit.corpora.files import read_json
from toedit.layout import fill, plain, table, terminal_width
from toedit.rules import PRESETS

LOG = "run.log"
"""File in the folder of a report with what was shown and what libraries wrote."""

UNBROKEN = 24
"""Characters of the name of a metric that stays on one line."""

UNCLEAR, ONE_SEED = "unclear", "one seed"


def summary(config: Config, folder: Path, page: str) -> str:
    """Text for the end of a run, as wide as the terminal.

    Args:
        config: the experiment.
        folder: of its report.
        page: its page as Markdown.
    """
    if terminal.is_quiet():
        return f"written to {folder}"
    width = terminal_width()
    if config.plan in PAGES:
        return "\n\n".join([plain(page, width), files(config, folder, width)])
    values = read_json(folder / RESULTS, dict)
    seeds = values["seeds"]
    suffix = f", seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}" if seeds else ""
    blocks = [fill(f"{values['experiment']}{suffix}", width)]
    if values["editing"]:
        blocks.append(editing(values["editing"], width))
    if rows := [row for row in values["rows"] if row["primary"] or row["figure"]]:
        blocks.append(arms(rows, values["reference"], width))
    return "\n\n".join([*blocks, files(config, folder, width)])


def editing(edits: dict[str, dict[str, Any]], width: int) -> str:
    """Say what each edit changed."""
    by_arm: dict[str, list[dict[str, Any]]] = {}
    for edit in edits.values():
        by_arm.setdefault(edit["arm"], []).append(edit)
    sizes = {edit["tokens"] for edit in edits.values()}
    title = f"Editing, {sizes.pop():,} tokens" if len(sizes) == 1 else "Editing"
    header = ["edit", "changed", "per 10,000", "eligible", "rule"]
    rows = [
        [name, span([str(e["changed"]) for e in group]),
         span([f"{e['changed_per_10k']:.1f}" for e in group]),
         span([f"{100 * e['eligible_share']:.2f}" for e in group]) + " %", group[0]["rule"]]
        for name, group in by_arm.items()
    ]  # fmt: skip
    return f"{title}\n" + table(header, rows, width, "  ")


def arms(rows: list[dict[str, Any]], reference: str, width: int) -> str:
    """Compare the arms by the metrics that see small differences."""
    names = list(rows[0]["arms"])
    others = [name for name in names if name not in (reference, "base")]
    if len(others) == 1:
        (other,) = others
        shown = [name for name in ("base", reference, other) if name in names]
        body = [
            [_metric(row), *(_value(row, name) for name in shown), *_difference(row, other)]
            for row in rows
        ]
        header = ["metric", *shown, "difference [95 %]", "verdict"]
        what = f"{other} minus {reference}"
    else:
        header, body = ["metric", "arm", "value", "difference [95 %]", "verdict"], []
        for row in rows:
            body += [
                [
                    "" if number else _metric(row),
                    name,
                    _value(row, name),
                    *_difference(row, name),
                ]
                for number, name in enumerate(row["arms"])
            ]
        what = f"minus {reference}" if reference else "values"
    note = f"Difference: {what}."
    if any(UNCLEAR in line for line in body):
        note += f" {UNCLEAR.capitalize()}: the interval contains 0."
    if any(ONE_SEED in line for line in body):
        note += (
            f" {ONE_SEED.capitalize()}: the interval is over items alone; training with another "
            "seed gives another difference, maybe of the other sign: seeds=[0,1,2] would tell."
        )
    note += " Further metrics, and how they were compared: results.md."
    return f"Arms\n{table(header, body, width, '  ')}\n{fill(note, width, '  ')}"


def _metric(row: dict[str, Any]) -> str:
    name: str = row["metric"].partition(" (")[0]
    return name.replace(" ", "\xa0") if len(name) <= UNBROKEN else name


def _value(row: dict[str, Any], name: str) -> str:
    level = row["arms"].get(name)
    if level is None or level["value"] is None:
        return ""
    value = float(level["value"])
    return f"{value:.3g}" if abs(value) >= 1e6 else f"{value:.{row['digits']}f}"


def _difference(row: dict[str, Any], name: str) -> list[str]:
    """A difference with its interval, and what it says."""
    found = row["differences"].get(name)
    if not found:
        return ["", ""]
    estimate = Estimate.from_json(found)
    interval = interval_text(estimate, row["digits"]).replace(" ", "\xa0")
    if estimate.low is None or estimate.high is None:
        word = ""
    elif estimate.n_seeds == 1:
        word = ONE_SEED
    elif estimate.low <= 0 <= estimate.high:
        word = UNCLEAR
    else:
        word = "worse" if is_lower_better(row) == (estimate.low > 0) else "better"
    return [f"{value_of(estimate, row['digits'])} {interval}".strip(), word]


def is_lower_better(row: dict[str, Any]) -> bool:
    """Whether less is better of a metric; results of earlier versions say it of held-out text."""
    return bool(row.get("lower", row["group"] == "held-out"))


def files(config: Config, folder: Path, width: int) -> str:
    """Say where files are, and what to try next."""
    figures = "; figures beside it" if any(folder.glob("*.png")) else ""
    rows = [["results.md", f"tables, errors, and how they were computed{figures}"]]
    if any(folder.glob("edits/*.html")):
        rows.append(["edits/", "pages of the changed tokens of each edit, for a browser"])
    rows.append([LOG, "every line of the run, also of libraries"])
    following = []
    if config.plan not in PAGES and not config.seeds:
        following.append(["add 'seeds=[0,1,2]'", "more seeds, for intervals over seeds"])
    if config.plan == "train_on_edits" and config.edit != PRESETS["forced"]:
        following.append(["add edit=forced", "another rule of editing"])
    if config.name in {block.experiment for own in TABLES.values() for block in own.blocks}:
        store = "" if config.store == Config.store else f" --store {config.store}"
        command = f"{python()} -m experiments.tables{store}"
        following.append([command, "the paper's tables with these numbers"])
    parts = [f"Files, written to {folder}\n{_listed(rows, width)}"]
    if following:
        parts.append(f"Next\n{_listed(following, width)}")
    return "\n".join(parts)


def _listed(rows: list[list[str]], width: int) -> str:
    return table(["", ""], rows, width, "  ").lstrip("\n")


def python() -> str:
    """The Python of this process as one types it here: ``python`` in an active environment."""
    if sys.prefix == sys.base_prefix or os.environ.get("VIRTUAL_ENV") == sys.prefix:
        return "python"
    path = Path(sys.executable)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
