"""A number is the same wherever it is printed: pages, tables as CSV, Markdown, LaTeX and HTML."""

import csv
import html
import json
import re
from io import StringIO
from pathlib import Path

import pytest

from experiments.analysis.estimate import Estimate
from experiments.analysis.evidence import Evidence
from experiments.reports import claims
from experiments.reports.format import interval_text, p_text, value_of, value_text
from experiments.reports.page import Page
from experiments.reports.tables import files, markdown
from experiments.reports.tables.build import build_all
from experiments.reports.tables.cells import AVERAGE
from experiments.reports.tables.columns import BITS

ROOT = Path(__file__).resolve().parents[3]
SHARED = ("value", "low", "high", "low90", "high90", "p", "se_items", "sd_seeds", "n_seeds")


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return Evidence([ROOT / "results"])


@pytest.fixture(scope="module")
def tables(evidence):
    return build_all(evidence)


def row_of(values: dict, label: str) -> dict | None:
    """The row of a page that a column of a table shows."""
    starts = {BITS.label: "held-out", AVERAGE: "average of the"}
    start = starts.get(label, f"{label}, acc %")
    found = [row for row in values["rows"] if row["metric"].startswith(start)]
    if label == BITS.label:
        found = [row for row in found if "bits per byte" in row["metric"]]
    return found[0] if found else None


def test_pages_and_tables_hold_the_same_estimates(evidence, tables):
    pages = {}
    for run in evidence.runs:
        path = run.folder / "results.json"
        values = json.loads(path.read_text())
        if "rows" in values and "reference" in values:
            labels = {entry.label: entry.arm for entry in run.of_kind("evaluate")}
            pages[run.folder.name] = labels, values
    compared = levels = 0
    for built in tables:
        for own in built.comparisons.planned:
            results = {r.label for row in (own.first, own.second) for r in row.results.values()}
            for labels, values in pages.values():
                row = row_of(values, own.column)
                if row is None or not results <= set(labels):
                    continue
                arms = {label: labels[label] for label in results}
                first, second = (next(arms[r.label] for r in row_.results.values())
                                 for row_ in (own.first, own.second))  # fmt: skip
                if values["reference"] != second or len(results) != sum(
                    arm in (first, second) for arm in labels.values()
                ):
                    continue
                page = Estimate.from_json(row["differences"][first])
                for name in SHARED:
                    assert getattr(page, name) == getattr(own.estimate, name), (own.column, name)
                compared += 1
                for arm, filled in ((first, own.first), (second, own.second)):
                    level = Estimate.from_json(row["arms"][arm])
                    assert level.value == filled.cells[own.column].value
                    assert level.se_items == filled.cells[own.column].estimate.se_items
                    levels += 1
    assert compared > 40
    assert levels > 80


def test_files_hold_the_same_numbers_as_the_tables(tables):
    for built in tables:
        rows = list(csv.DictReader(StringIO(files.comparisons_csv(built))))
        assert len(rows) == len(built.comparisons.planned)
        for row, own in zip(rows, built.comparisons.planned, strict=True):
            for name in files.ESTIMATE:
                told, known = row[name], getattr(own.estimate, name)
                if known is None:
                    assert told == ""
                elif isinstance(known, str):
                    assert told == known
                else:
                    assert float(told) == known
        cells = {row["id"]: row for row in csv.DictReader(StringIO(files.cells_csv(built)))}
        for block in built.blocks:
            for filled in block.rows:
                for cell in filled.cells.values():
                    if cell.id in cells:
                        assert float(cells[cell.id]["value"]) == cell.value
                        assert float(cells[cell.id]["se_items"]) == cell.estimate.se_items


def text_of(cell: str) -> str:
    return " ".join(cell.split())


def test_every_printed_form_is_that_of_the_estimate(evidence, tables):
    page = Page(tables, evidence, []).html()
    shown = text_of(html.unescape(re.sub(r"<[^>]+>", " ", page)))
    for built in tables:
        told, tex = markdown.markdown(built), files.tex(built)
        for own in built.comparisons.planned:
            line = [text_of(cell) for cell in markdown.comparison_row(own)]
            found, digits = own.estimate, own.metric.digits
            assert line[1] == value_of(found, digits)
            assert line[2] == interval_text(found, digits)
            assert line[3:5] == [p_text(found.p), p_text(own.p_corrected)]
            assert re.search(r" *\| *".join(map(re.escape, line)), told), line
            assert all(cell in shown for cell in line)
        for number, block in built.numbered:
            best = built.comparisons.best[number]
            for row in block.rows:
                for column in block.columns:
                    cell = row.cells.get(column.label)
                    if cell is None:
                        continue
                    own = value_text(cell.estimate, column.metric.digits)
                    assert own in shown
                    text = markdown.number_of(column, cell, best, row)
                    assert text.replace("*", "") == own
                    assert text in told
                    assert files.escaped(text) in tex


def test_claims_rest_on_the_comparisons_of_the_tables(tables):
    decided = claims.decide(tables)
    rows = {row["id"]: row for row in csv.DictReader(StringIO(claims.csv_text(decided)))}
    pairs = [pair for built in tables for pair in built.comparisons.pairs]
    known = [estimate for pair in pairs for estimate in (pair.estimate, pair.swapped.estimate)]
    tested = [own for own in decided if own.estimate is not None]
    assert len(tested) > 5
    for own in tested:
        assert own.estimate in known
        assert float(rows[own.claim.id]["low"]) == own.estimate.low
        assert rows[own.claim.id]["verdict"] == own.word


def test_what_is_said_of_a_seed_is_said_once_for_a_table(tables):
    for built in tables:
        assert markdown.markdown(built).count("[–, –] is") <= 1
