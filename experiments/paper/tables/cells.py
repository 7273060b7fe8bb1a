"""The numbers of a block: which results fill a row, what a cell holds, what is printed there."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from experiments.paper import printed
from experiments.paper.evidence import Evidence
from experiments.paper.result import Result
from experiments.paper.tables.layout import Block, Column, Row
from toedit.errors import UserError


@dataclass
class Cell:
    """A number of ours with what is needed to read it.

    Attributes:
        id: its name for ``trace``.
        value: the metric; the mean where there are several seeds.
        stderr: its standard error over items, of a single seed.
        sd: standard deviation over seeds, of several.
        items: how many it rests on.
        seeds: values by seed.
        published: the number printed there; None where nothing is.
        results: what it was read from, a result a seed; of an average, none of its own.
    """

    id: str
    value: float
    stderr: float | None
    sd: float | None
    items: int
    seeds: dict[int, float]
    published: str | None
    results: list[Result] = field(repr=False)

    @property
    def difference(self) -> float | None:
        """Ours minus the printed number."""
        return None if self.published is None else self.value - float(self.published)


@dataclass
class FilledRow:
    """A row of a block with what fills it: one setting, under one seed or several.

    Attributes:
        row: the row.
        label: its label; with what sets it apart where several settings fill the row.
        results: by seed.
        cells: by label of the column.
    """

    row: Row
    label: str
    results: dict[int, Result]
    cells: dict[str, Cell]


@dataclass
class FilledBlock:
    """A block and its numbers; rows that nothing fills have no results."""

    block: Block
    rows: list[FilledRow]
    columns: list[Column]

    @property
    def total(self) -> int:
        """Cells that it has, averages left out."""
        return len(self.rows) * len(self.block.columns)

    @property
    def filled(self) -> int:
        """Cells that hold a number of ours, averages left out."""
        return sum(column.label in row.cells for row in self.rows for column in self.block.columns)


AVERAGE = "Avg"


def fill(number: int, block: Block, evidence: Evidence) -> FilledBlock:
    """Reads a block's numbers.

    Args:
        number: of the table.
        block: its layout.
        evidence: the runs; results that cannot be used are noted there as refused.
    """
    rows: list[FilledRow] = []
    for row in block.rows:
        families = _families(row, block, block.columns[0].measure.kind, evidence)
        filled = [_row(number, block, row, results, evidence) for results in families]
        filled = [own for own in filled if own.cells]  # the others measured something else
        _tell_apart(filled)
        rows += filled or [_row(number, block, row, {}, evidence)]
    columns = list(block.columns)
    if block.average and sum(column.averaged for column in columns) > 1:
        last = max(i for i, column in enumerate(columns) if column.averaged)
        kept = next(column.measure for column in columns if column.averaged)
        columns.insert(last + 1, Column(AVERAGE, kept, block.average, averaged=False))
    return FilledBlock(block, rows, columns)


def _families(row: Row, block: Block, kind: str, evidence: Evidence) -> list[dict[int, Result]]:
    """Results that fill a row, by seed, a group a setting."""
    groups: dict[str, list[Result]] = defaultdict(list)
    names = dict.fromkeys(filter(None, (row.experiment or block.experiment, row.also)))
    for result in (own for name in names for own in evidence.results(name, kind)):
        if result.arm == row.arm and fits(result, {**block.where, **row.where}):
            groups[result.family].append(result)
    families: list[dict[int, Result]] = []
    for members in groups.values():
        while members:  # a seed that was run twice with different numbers is a run of its own
            family: dict[int, Result] = {}
            for result in members:
                family.setdefault(result.seed, result)
            members = [result for result in members if result not in family.values()]
            family = dict(sorted(family.items()))
            if not any(_same_numbers(family, other) for other in families):
                families.append(family)
    return families


def _same_numbers(family: dict[int, Result], other: dict[int, Result]) -> bool:
    """Whether a setting came to the very numbers of another, as one that changes nothing does."""
    return family.keys() == other.keys() and all(
        family[seed].record["metrics"] == other[seed].record["metrics"] for seed in family
    )


def fits(result: Result, where: dict[str, Any]) -> bool:
    """Whether the configurations that a result rests on hold some values.

    Args:
        result: the result.
        where: values by ``kind.field``, the fields of fields after further dots.
    """
    for name, wanted in where.items():
        kind, *path = name.split(".")
        record = result.upstream(kind)
        if record is None and kind == "train":
            continue  # the base model, which no training made
        found: Any = {} if record is None else record["config"]
        for key in path:
            found = found.get(key, {}) if isinstance(found, dict) else {}
        if found != wanted:
            return False
    return True


def _tell_apart(rows: Sequence[FilledRow]) -> None:
    """Labels rows of several settings with the fields that differ, and their cells' ids."""
    if len(rows) < 2:
        return
    settings = [next(iter(row.results.values())).settings for row in rows]
    keys = sorted({key for own in settings for key in own})
    varying = [k for k in keys if len({repr(own.get(k, "default")) for own in settings}) > 1]
    for number, (row, own) in enumerate(zip(rows, settings, strict=True), 1):
        told = ", ".join(f"{key}={own.get(key, 'default')}" for key in varying[:3])
        row.label = f"{row.label} (#{number}{': ' if told else ''}{told})"
        family = next(iter(row.results.values())).family[:6]
        for cell in row.cells.values():
            table, block, name, column = cell.id.split(".")
            cell.id = ".".join([table, block, f"{name}@{family}", column])


def _row(
    number: int, block: Block, row: Row, results: dict[int, Result], evidence: Evidence
) -> FilledRow:
    cells: dict[str, Cell] = {}
    for column in block.columns:
        cell_id = identity(number, block, row.label, column.label)
        cell = _cell(cell_id, column, results, printed_at(block, row, column), evidence)
        if cell is not None:
            cells[column.label] = cell
    averaged = [column.label for column in block.columns if column.averaged]
    if block.average and len(averaged) > 1 and set(averaged) <= set(cells):
        own = [cells[name] for name in averaged]
        cells[AVERAGE] = _average(identity(number, block, row.label, AVERAGE), own, block, row)
    return FilledRow(row, row.label, results, cells)


def _cell(
    cell_id: str,
    column: Column,
    results: dict[int, Result],
    published: str | None,
    evidence: Evidence,
) -> Cell | None:
    found, used = {}, []
    for seed, result in results.items():
        try:
            value = column.measure.value(result)
            if value is not None:
                column.measure.sums(result)  # compares the answers with the record
        except UserError as error:
            evidence.refused[result.label] = str(error).removeprefix(f"{result.label}: ")
            continue
        if value is not None:
            found[seed] = value
            used.append(result)
    if not found:
        return None
    values = {seed: value.value for seed, value in found.items()}
    first = next(iter(found.values()))
    many = len(values) > 1
    return Cell(
        cell_id,
        fmean(values.values()),
        None if many else first.stderr,
        stdev(values.values()) if many else None,
        first.items,
        values,
        published,
        used,
    )


def _average(cell_id: str, cells: list[Cell], block: Block, row: Row) -> Cell:
    """The mean of a row's cells, seed by seed; a printed one beside it only of the same tests."""
    shared = [seed for seed in cells[0].seeds if all(seed in cell.seeds for cell in cells)]
    values = {seed: fmean(cell.seeds[seed] for cell in cells) for seed in shared}
    errors = [cell.stderr for cell in cells if cell.stderr is not None]
    single = len(values) == 1 and len(errors) == len(cells)
    return Cell(
        cell_id,
        fmean(values.values()),
        sum(error**2 for error in errors) ** 0.5 / len(cells) if single else None,
        stdev(values.values()) if len(values) > 1 else None,
        sum(cell.items for cell in cells),
        values,
        printed_average(block, row),
        [],
    )


def printed_row(block: Block, row: Row) -> printed.PrintedRow | None:
    """The printed row beside one of ours."""
    if not block.published or block.pivot or not row.printed:
        return None
    files = [block.published]
    if f"{block.published}_v1" in printed.tables():
        files.append(f"{block.published}_v1")
    for name in files:
        for found in printed.rows(name):
            if row.printed.items() <= found.keys.items():
                return found
    return None


def printed_average(block: Block, row: Row) -> str | None:
    """The average printed beside one of ours, if it is over the same columns."""
    found = printed_row(block, row)
    own = {column.printed for column in block.columns if column.averaged}
    return found.average if found is not None and own == set(found.cells) else None


def printed_at(block: Block, row: Row, column: Column) -> str | None:
    """The number printed where a cell of ours stands; None where nothing is."""
    if column.printed is None or not block.published:
        return None
    if block.pivot:
        key, value = block.pivot
        rows = (r for r in printed.read(block.published) if r[key] == column.printed)
        return next((found[value] for found in rows), None)
    own = printed_row(block, row)
    text = own.cells.get(column.printed) if own else None
    return text.rstrip("%") if text else None


def identity(number: int, block: Block, row: str, column: str) -> str:
    """The name of a cell: ``3.biomedicine.ToEdit.PubMedQA``; where several settings fill a row,
    ``ToEdit@`` and the beginning of the setting's hash."""
    return ".".join([str(number), block.name, slug(row), slug(column)])


def slug(text: str) -> str:
    """A label as a part of an id."""
    return re.sub(r"[\s.@]+", "_", text)
