"""The report: one HTML file that needs no network, with every number traced."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

from experiments.paper import audit, claims
from experiments.paper.evidence import Evidence
from experiments.paper.runs import Run, typed
from experiments.paper.tables import ledger
from experiments.paper.tables.build import Built, missing, runs_of
from experiments.paper.tables.cells import Cell, FilledBlock, FilledRow
from experiments.paper.tables.figures import Picture, results
from experiments.paper.tables.files import cells_csv
from experiments.paper.tables.layout import Column
from experiments.paper.tables.markdown import (
    LEGEND,
    number_of,
    p_text,
    printed_text,
    signed,
)
from experiments.paper.tables.trace import behind, described, summary
from experiments.paper.tables.words import examples
from experiments.tracking import Run as Tracked

FOLDER = Path(__file__).parent
TITLE = "How to synthesize text data without model collapse? A reproduction"
CONTENTS = (
    ("overview", "Overview"), ("tables", "Tables"), ("figures", "Figures"), ("edits", "Edits"),
    ("controls", "Controls"), ("ledger", "Ledger"), ("audit", "Audit"),
    ("reproduce", "How to reproduce"),
)  # fmt: skip


VERDICTS = ("claim", "in the paper", "verdict", "scale", "numbers")


@dataclass(frozen=True)
class Page:
    """What the report shows.

    Attributes:
        tables: filled, of all numbers.
        evidence: the runs.
        pictures: figures, drawn.
    """

    tables: Sequence[Built]
    evidence: Evidence
    pictures: Sequence[Picture]

    @cached_property
    def verdicts(self) -> list[list[str]]:
        """The verdict on every claim, by :data:`VERDICTS`."""
        decided = claims.decide(self.tables, self.evidence)
        return [[v.text, v.where, v.found, v.scale, v.numbers] for v in decided]

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
            legend=LEGEND,
            **self.counts,
            verdicts_header=VERDICTS,
            verdicts=self.verdicts,
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
        run.table("claims", VERDICTS, self.verdicts)
        for built in self.tables:
            rows = list(csv.reader(StringIO(cells_csv(built))))
            run.table(f"table{built.table.number:02d}", rows[0], rows[1:])


def _json(value: Any) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _traces(tables: Sequence[Built]) -> dict[str, Any]:
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


def _table(built: Built) -> dict[str, Any]:
    return {
        "number": built.table.number,
        "title": built.table.title,
        "note": built.table.note,
        "blocks": [_block(built, number, block) for number, block in built.numbered],
    }


def _block(built: Built, number: int, block: FilledBlock) -> dict[str, Any]:
    best = built.comparisons.best[number]
    digits = {column.label: column.measure.digits for column in block.columns}
    notes = dict.fromkeys(run.note for run in runs_of(block) if run.note)
    return {
        "title": block.block.title,
        "label": f"Table {built.table.number}, {block.block.title}",
        "scale": block.block.scale,
        "filled": block.filled,
        "total": block.total,
        "note": " ".join(notes),
        "header": ["row", *(column.label for column in block.columns)],
        "rows": [
            [row.label, *(_cell(block, row, column, best) for column in block.columns)]
            for row in block.rows
        ],
        "tests_header": ["difference", "column", "value", "95 % over items", "could be seen", "p",
                         "p, Holm", "test"],
        "tests": [
            [f"{t.first.label} − {t.second.label}", t.column, signed(t.value, digits[t.column]),
             f"[{signed(t.low, digits[t.column])}, {signed(t.high, digits[t.column])}]",
             f"{t.detectable:.2g}", p_text(t.p), p_text(t.p_holm), t.method]
            for t in built.comparisons.planned if t.block == number
        ],
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
        beside += f" ({signed(cell.difference, column.measure.digits)})"
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
    data = base64.b64encode(picture.path.read_bytes()).decode()
    return {"data": data, "alt": caption, "caption": caption}


def _controls(run: Run, evidence: Evidence) -> list[dict[str, Any]]:
    """The controls of a run: a row a metric and control, with both differences."""
    if run.plan != "train_on_edits":
        return []
    rows, values = [], results(run, evidence)
    for row in values.get("rows", []):
        for name, found in row.get("controls", {}).items():
            for what, own in (("control − source", found["minus_source"]),
                              ("edited − control", found["edited_minus"])):  # fmt: skip
                if own is not None:
                    ends = "" if own["low"] is None else f"[{own['low']:+.4g}, {own['high']:+.4g}]"
                    rows.append([row["metric"], name, what, f"{own['value']:+.4g}", ends])
    header = ["metric", "control", "difference", "value", "95 %"]
    seeds = values.get("seeds", [])
    title = f"{run.experiment}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return [{"title": title, "header": header, "rows": rows}] if rows else []
