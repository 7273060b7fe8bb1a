"""The report: one HTML file that needs no network, with every number traced."""

import base64
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.analysis.estimate import Estimate
from experiments.analysis.evidence import Evidence
from experiments.reports import audit, claims, stated
from experiments.reports.forest import forest_figure
from experiments.reports.format import interval_text, p_text, signed, value_of
from experiments.reports.tables import ledger
from experiments.reports.tables.build import FilledTable, missing, runs_of
from experiments.reports.tables.cells import Cell, FilledBlock, FilledRow
from experiments.reports.tables.files import cells_csv
from experiments.reports.tables.layout import Column
from experiments.reports.tables.markdown import (
    COMPARED,
    comparison_row,
    notes,
    number_of,
    printed_text,
)
from experiments.reports.tables.run_figures import Picture, read_page
from experiments.reports.tables.text_tables import examples
from experiments.reports.tables.trace import behind, described, summary
from experiments.store.runs import Run, typed
from experiments.tracking import Run as Tracked

FOLDER = Path(__file__).parent
TITLE = "How to synthesize text data without model collapse? A reproduction"
CONTENTS = (
    ("overview", "Overview"), ("tables", "Tables"), ("figures", "Figures"), ("edits", "Edits"),
    ("controls", "Controls"), ("ledger", "Ledger"), ("audit", "Audit"),
    ("reproduce", "How to reproduce"),
)  # fmt: skip


@dataclass(frozen=True)
class Page:
    """What the report shows.

    Attributes:
        tables: filled, of all numbers.
        evidence: the runs.
        pictures: figures, drawn.
    """

    tables: Sequence[FilledTable]
    evidence: Evidence
    pictures: Sequence[Picture]

    @cached_property
    def decided(self) -> list[claims.ClaimVerdict]:
        """The verdict on every claim."""
        return claims.decide(self.tables)

    @cached_property
    def forest(self) -> dict[str, str] | None:
        """All claims in one picture; None where none was run."""
        with TemporaryDirectory() as folder:
            path = forest_figure(self.decided, Path(folder))
            return None if path is None else _picture(path, "The claims, in margins")

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many cells hold a number of ours, and how many there are."""
        return {
            "filled": sum(built.filled for built in self.tables),
            "total": sum(built.total for built in self.tables),
        }

    def html(self) -> str:
        """The whole page, which needs no network."""
        from jinja2 import Environment, FileSystemLoader
        from markupsafe import Markup

        environment = Environment(
            loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        macros: Any = environment.get_template("macros.html").module
        found, runs = self.evidence, self.evidence.distinct
        return environment.get_template("report.html").render(
            title=TITLE,
            contents=CONTENTS,
            css=Markup((FOLDER / "report.css").read_text()),
            js=Markup((FOLDER / "report.js").read_text()),
            sortable=macros.sortable,
            **self.counts,
            claims_header=claims.HEADER,
            claims=claims.rows(self.decided),
            claims_note=claims.note(),
            forest=self.forest,
            details_header=claims.DETAILS,
            details=claims.details(self.decided),
            stated=_stated(found),
            tables=[_table(built) for built in self.tables],
            figures=[_figure(picture) for picture in self.pictures],
            edits=[{"title": title, "edits": own} for title, own in examples(found)],
            controls=[own for run in runs for own in _controls(run, found)],
            ledger={
                "header": ledger.HEADER,
                "rows": [ledger.row(own) for own in ledger.evaluated(found, self.tables)],
                "unfinished": [[own.label, own.why] for own in ledger.unfinished(found)],
                "refused": [list(pair) for pair in sorted(found.refused.items())],
            },
            audit=[
                (heading, [[f.table, f.kind, f.text, f.arithmetic] for f in own])
                for heading, own in audit.by_side(audit.audit()).items()
            ],
            commands=sorted({typed(run.command) for run in runs}),
            traces=Markup(_json(_traces(self.tables))),
        )

    def log(self, run: Tracked) -> None:
        """The overview and the tables, to a tracker."""
        run.summary({f"cells_{name}": number for name, number in self.counts.items()})
        rows = list(csv.reader(StringIO(claims.csv_text(self.decided))))
        run.table("claims", rows[0], rows[1:])
        run.summary(
            {
                f"claims/{own.claim.id}/{name}": value
                for own in self.decided
                for name, value in (("verdict", own.word), *_numbers(own))
            }
        )
        for built in self.tables:
            rows = list(csv.reader(StringIO(cells_csv(built))))
            run.table(f"table{built.table.number:02d}", rows[0], rows[1:])


def _numbers(own: claims.ClaimVerdict) -> list[tuple[str, float]]:
    """Value, interval and p of a claim, as far as there are such."""
    if own.estimate is None:
        return []
    found = [(name, getattr(own.estimate, name)) for name in ("value", "low", "high", "p")]
    return [(name, value) for name, value in found if value is not None]


def _stated(evidence: Evidence) -> list[dict[str, Any]]:
    """Findings about corpora, and statements of the theory."""
    found = []
    for plan, (title, note) in stated.SECTIONS.items():
        rows = [[own.text, own.verdict, own.numbers] for own in stated.stated(plan, evidence)]
        if rows:
            found.append({"title": title, "note": note, "rows": rows})
    return found


def _json(value: Any) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _traces(tables: Sequence[FilledTable]) -> dict[str, Any]:
    """What is behind the cells: of each its summary and its results, of each result its text."""
    cells: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for built in tables:
        for block in built.blocks:
            for row in block.rows:
                for cell in row.cells.values():
                    own = behind(block, row, cell)
                    texts |= {str(result.folder): described(result) for result in own}
                    folders = [str(result.folder) for result in own]
                    cells[cell.id] = [summary(block, row, cell), folders]
    return {"cells": cells, "results": texts}


def _table(built: FilledTable) -> dict[str, Any]:
    return {
        "number": built.table.number,
        "title": built.table.title,
        "note": built.table.note,
        "legend": notes(built) if built.filled else "",
        "blocks": [_block(built, number, block) for number, block in built.numbered],
    }


def _block(built: FilledTable, number: int, block: FilledBlock) -> dict[str, Any]:
    best = built.comparisons.best[number]
    said = dict.fromkeys(run.note for run in runs_of(block) if run.note)
    return {
        "title": block.block.title,
        "label": f"Table {built.table.number}, {block.block.title}",
        "scale": block.block.scale,
        "filled": block.filled,
        "total": block.total,
        "note": " ".join(said),
        "header": ["row", *(column.label for column in block.columns)],
        "rows": [
            [row.label, *(_cell(block, row, column, best) for column in block.columns)]
            for row in block.rows
        ],
        "tests_header": COMPARED,
        "tests": [comparison_row(own) for own in built.comparisons.planned if own.block == number],
        "missing": [
            {"command": line, "cost": cost,
             "rows": "all rows" if len(rows) == len(block.rows) else ", ".join(rows)}
            for line, cost, rows in missing(block)
        ],
    }  # fmt: skip


def _cell(
    block: FilledBlock, row: FilledRow, column: Column, best: dict[str, str]
) -> dict[str, Any]:
    cell: Cell | None = row.cells.get(column.label)
    printed = printed_text(block, row, column) if cell is None else cell.published
    beside = f"printed {printed}" if printed else ""
    if cell is not None and cell.difference is not None:
        beside += f" ({signed(cell.difference, column.metric.digits)})"
    return {
        "id": cell.id if cell else None,
        "text": number_of(column, cell, {}, row),
        "best": best.get(column.label) == row.label,
        "value": "" if cell is None else cell.value,
        "printed": beside,
    }


def _figure(picture: Picture) -> dict[str, str]:
    name = picture.path.stem.replace("_", " ")
    stands = f"in place of figure {picture.number} of the paper" if picture.number else ""
    caption = ", ".join(filter(None, (f"{picture.run.experiment}: {name}", stands)))
    return _picture(picture.path, caption)


def _picture(path: Path, caption: str) -> dict[str, str]:
    data = base64.b64encode(path.read_bytes()).decode()
    return {"data": data, "alt": caption, "caption": caption}


def _controls(run: Run, evidence: Evidence) -> list[dict[str, Any]]:
    """The controls of a run: a row a metric and control, with both differences."""
    if run.plan != "train_on_edits":
        return []
    rows, values = [], read_page(run, evidence)
    if "analysis" not in values:  # a page of an earlier version
        return []
    for row in values.get("rows", []):
        for name, found in row.get("controls", {}).items():
            for what, own in (("control − source", found["minus_source"]),
                              ("edited − control", found["edited_minus"])):  # fmt: skip
                if own is not None:
                    estimate, digits = Estimate.from_json(own), row["digits"]
                    value = value_of(estimate, digits)
                    ends, p = interval_text(estimate, digits), p_text(estimate.p)
                    rows.append([row["metric"], name, what, value, ends, p])
    header = ["metric", "control", "difference", "value", "95 %", "p"]
    seeds = values.get("seeds", [])
    title = f"{run.experiment}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return [{"title": title, "header": header, "rows": rows}] if rows else []
