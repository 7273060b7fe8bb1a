"""Build the report: one HTML file that needs no network, with the trace of every number."""

import base64
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from experiments.analysis.estimate import Estimate
from experiments.analysis.evidence import Evidence
from experiments.reports import audit, claims
from experiments.reports.forest import LIMIT
from experiments.reports.format import interval_text, p_text, value_of
from experiments.reports.page import overview
from experiments.reports.page_verdicts import HEADER, page_verdicts
from experiments.reports.plots import in_place
from experiments.reports.tables import ledger, markdown
from experiments.reports.tables.build import FilledTable, all_cells, missing, run_notes
from experiments.reports.tables.cells import FilledBlock
from experiments.reports.tables.files import cells_csv
from experiments.reports.tables.run_figures import Picture
from experiments.reports.tables.text_tables import examples
from experiments.reports.tables.trace import describe, results_of, summary
from experiments.reports.tracked import log_edits
from experiments.reports.verdict_groups import groups
from experiments.store.runs import typed
from experiments.tracking import Run
from toedit.pages import content_policy

FOLDER = Path(__file__).parent
TITLE = "How to synthesize text data without model collapse? A reproduction"
CONTENTS = (
    ("claims", "Claims"), ("findings", "Corpora and theory"), ("tables", "Tables"),
    ("figures", "Figures"), ("edits", "Edits"), ("controls", "Controls"), ("ledger", "Ledger"),
    ("audit", "Audit"), ("reproduce", "How to reproduce"),
)  # fmt: skip


@dataclass(frozen=True)
class Page:
    """The report.

    Attributes:
        tables: all tables, filled.
        evidence: the runs.
        pictures: figures of the runs.
    """

    tables: Sequence[FilledTable]
    evidence: Evidence
    pictures: Sequence[Picture]

    @cached_property
    def decisions(self) -> list[claims.ClaimVerdict]:
        """The verdict on every claim."""
        return claims.decide(self.tables)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of cells with a number of our own runs, and of all cells."""
        return {
            "filled": sum(table.filled for table in self.tables),
            "total": sum(table.total for table in self.tables),
        }

    def html(self, panel: bool = False) -> str:
        """Render the page, or its overview alone as a panel of a tracker, which runs no script."""
        from jinja2 import Environment, FileSystemLoader
        from markupsafe import Markup

        environment = Environment(
            loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        macros: Any = environment.get_template("macros.html").module
        css, js = ((FOLDER / f"report.{name}").read_text() for name in ("css", "js"))
        evaluated = ledger.evaluated(self.evidence, self.tables)
        hours = ledger.hours(self.evidence)
        shown: dict[str, Any] = {
            "title": TITLE,
            "css": Markup(css),
            "panel": panel,
            "limit": LIMIT,
            "headlines": list(
                overview.headlines(self.decisions, len(evaluated), hours, **self.counts)
            ),
            "forest": [overview.Row(item) for item in self.decisions],
            "groups": groups(self.decisions),
        }
        if panel:
            return environment.get_template("panel.html").render(shown)
        sections, placed = overview.sections(self.decisions, self.tables)
        return environment.get_template("report.html").render(
            **shown,
            contents=CONTENTS,
            js=Markup(js),
            policy=Markup(content_policy(js, css)),
            sortable=macros.sortable,
            **self.counts,
            claims_header=claims.HEADER,
            claims=claims.rows(self.decisions),
            claims_note=claims.note(),
            sections=sections,
            placed=placed,
            blocks_of=overview.blocks_of,
            verdicts_header=HEADER,
            verdicts=list(page_verdicts(self.evidence)),
            tables=self.tables,
            notes=markdown.notes,
            rows=_rows,
            run_notes=run_notes,
            tests_header=markdown.COMPARED,
            tests=markdown.comparison_rows,
            missing=missing,
            figures=[_figure(picture) for picture in self.pictures],
            edits=examples(self.evidence),
            controls=list(_controls(self.evidence)),
            ledger_header=ledger.HEADER,
            ledger=evaluated,
            unfinished=ledger.unfinished(self.evidence),
            refused=sorted(self.evidence.refused.items()),
            audit={
                heading: [[f.table, f.kind, f.text, f.arithmetic] for f in findings]
                for heading, findings in audit.by_side(audit.audit()).items()
            },
            commands=sorted({typed(run.command) for run in self.evidence.distinct}),
            traces=Markup(_traces(self.tables)),
        )

    def log(self, run: Run) -> None:
        """Log the overview, the tables and the edits to a tracker."""
        run.summary({f"cells_{name}": number for name, number in self.counts.items()})
        words = {f"claims/{item.claim.id}/verdict": item.word for item in self.decisions}
        numbers = {
            f"claims/{item.claim.id}/{name}": getattr(item.estimate, name, None)
            for item in self.decisions
            for name in ("value", "low", "high", "p")
        }
        run.summary({**words, **{key: x for key, x in numbers.items() if x is not None}})
        texts = {"claims": claims.csv_text(self.decisions)}
        texts |= {f"table{table.table.number:02d}": cells_csv(table) for table in self.tables}
        for name, text in texts.items():
            header, *rows = csv.reader(StringIO(text))
            run.table(name, header, rows)
        log_edits(run, examples(self.evidence))
        run.html("overview", self.html(panel=True))


def _traces(tables: Sequence[FilledTable]) -> str:
    """Return JSON for a script element: the summary and the result folders of each cell by its id,
    and the description of each result by its folder."""
    cells: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for block, row, cell in all_cells(tables):
        results = {str(result.folder): result for result in results_of(block, row, cell)}
        texts |= {folder: describe(result) for folder, result in results.items()}
        cells[cell.id] = [summary(block, row, cell), list(results)]
    value = {"cells": cells, "results": texts}
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _rows(table: FilledTable, number: int, block: FilledBlock) -> list[list[Any]]:
    """Return the rows of a block: label and cells, as ``macros.html`` renders them."""
    best = table.comparisons.best[number]
    rows: list[list[Any]] = []
    for row in block.rows:
        rows.append([row.label])
        for column in block.columns:
            cell = row.cells.get(column.label)
            printed = markdown.printed_cell(column, cell, block, row)
            rows[-1].append(
                {
                    "id": cell.id if cell else None,
                    "text": markdown.number_of(column, cell, {}, row),
                    "best": best.get(column.label) == row.label,
                    "value": cell.value if cell else "",
                    "printed": f"printed {printed}" if printed else "",
                }
            )
    return rows


def _figure(picture: Picture) -> tuple[str, str, str]:
    """Return the title of a figure, its caption, and its pixels as lossless WebP in base64."""
    from PIL import Image

    buffer = BytesIO()
    with Image.open(picture.path) as image:
        title = str(image.info.get("Title", ""))
        image.convert("RGB").save(buffer, "WEBP", lossless=True, method=4)
    caption = f"{picture.run.experiment}: {picture.path.stem.replace('_', ' ')}"
    if picture.number:
        caption = f"{caption}, {in_place(picture.number)}"
    return title or caption, caption, base64.b64encode(buffer.getvalue()).decode()


def _controls(evidence: Evidence) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield a title and rows for each run with controls: metric, control, difference, numbers."""
    for run in evidence.distinct:
        rows: list[list[str]] = []
        with evidence.refusing(run):
            values = evidence.page(run) if run.plan == "train_on_edits" else {}
            known = values.get("rows", []) if "analysis" in values else []  # else an old version
            controls = [(row, *own) for row in known for own in row.get("controls", {}).items()]
            for row, name, control in controls:
                for difference, key in (("control − source", "minus_source"),
                                        ("edited − control", "edited_minus")):  # fmt: skip
                    if control[key] is not None:
                        estimate, digits = Estimate.from_json(control[key]), row["digits"]
                        numbers = value_of(estimate, digits), interval_text(estimate, digits)
                        rows.append([row["metric"], name, difference, *numbers, p_text(estimate.p)])
            seeds = ", ".join(map(str, values.get("seeds", [])))
            if rows:
                yield f"{run.experiment}, seed{'s' if ', ' in seeds else ''} {seeds}", rows
