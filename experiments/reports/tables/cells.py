"""The numbers of a block: which results fill a row, what a cell holds, what is printed there."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.analysis.compare import Arm
from experiments.analysis.estimate import Estimate
from experiments.analysis.evidence import Evidence, fingerprint_and_numbers
from experiments.analysis.levels import geometric_level, level, over_seeds
from experiments.analysis.metrics import PERPLEXITY, Metric
from experiments.analysis.result import Result
from experiments.reports import printed
from experiments.reports.tables.layout import Block, Column, Row
from toedit.errors import UserError


@dataclass
class Cell:
    """A number of ours with what is needed to read it.

    Attributes:
        id: its name for ``trace``.
        estimate: the value, mean over seeds, with its errors.
        observed: what it was made of: observations by seed and metric, of an average those of its
            columns; none of what a record alone holds.
        seeds: values by seed.
        published: the number printed there; None where nothing is.
        results: what it was read from, a result a seed; of an average, none of its own.
    """

    id: str
    estimate: Estimate
    observed: list[tuple[Arm, Metric]]
    seeds: dict[int | None, float]
    published: str | None
    results: list[Result] = field(repr=False)

    @property
    def value(self) -> float:
        """The number."""
        return self.estimate.value

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
    results: dict[int | None, Result]
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


AVERAGE, GEOMETRIC = "Avg", "geometric mean"
"""Columns that are made of the others. Perplexities have both: the arithmetic mean stands beside
the paper's column, the geometric one is what arms are compared by."""


def fill(number: int, block: Block, evidence: Evidence) -> FilledBlock:
    """Reads a block's numbers.

    Args:
        number: of the table.
        block: its layout.
        evidence: the runs; results that cannot be used are noted there as refused.
    """
    rows: list[FilledRow] = []
    for row in block.rows:
        families = _families(row, block, block.columns[0].metric.kind, evidence)
        filled = [_row(number, block, row, results, evidence) for results in families]
        filled = [own for own in filled if own.cells]  # the others measured something else
        _tell_apart(filled)
        rows += filled or [_row(number, block, row, {}, evidence)]
    columns = list(block.columns)
    averaged = [i for i, column in enumerate(columns) if column.averaged]
    if len(averaged) > 1:
        kept = columns[averaged[0]].metric
        made = [Column(AVERAGE, kept, block.average, averaged=False)] if block.average else []
        if kept.shape == PERPLEXITY:
            made.append(Column(GEOMETRIC, kept, averaged=False))
        columns[averaged[-1] + 1 : averaged[-1] + 1] = made
    return FilledBlock(block, rows, columns)


def _families(
    row: Row, block: Block, kind: str, evidence: Evidence
) -> list[dict[int | None, Result]]:
    """Results that fill a row, by seed, a group a setting."""
    groups: dict[str, list[Result]] = defaultdict(list)
    names = dict.fromkeys(filter(None, (row.experiment or block.experiment, row.also)))
    found = {
        (own.arm, own.checkpoint, fingerprint_and_numbers(own.record)): own
        for name in reversed(names)
        for own in evidence.results(name, kind)
    }
    for result in reversed(found.values()):
        place = row.arm, row.checkpoint
        named = place in ((result.arm, result.checkpoint), (result.entry.name, None))
        if named and fits(result, {**block.where, **row.where}):
            groups[result.family].append(result)
    families: list[dict[int | None, Result]] = []
    for members in groups.values():
        while members:  # a seed that was run twice with different numbers is a run of its own
            family: dict[int | None, Result] = {}
            for result in members:
                family.setdefault(result.seed, result)
            members = [result for result in members if result not in family.values()]
            family = dict(sorted(family.items(), key=lambda own: -1 if own[0] is None else own[0]))
            if not any(_same_numbers(family, other) for other in families):
                families.append(family)
    return families


def _same_numbers(family: dict[int | None, Result], other: dict[int | None, Result]) -> bool:
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
    number: int, block: Block, row: Row, results: dict[int | None, Result], evidence: Evidence
) -> FilledRow:
    cells: dict[str, Cell] = {}
    for column in block.columns:
        cell_id = identity(number, block, row.label, column.label)
        cell = _cell(cell_id, column, results, printed_at(block, row, column), evidence)
        if cell is not None:
            cells[column.label] = cell
    averaged = [column.label for column in block.columns if column.averaged]
    if len(averaged) > 1 and set(averaged) <= set(cells):
        own = [cells[name] for name in averaged]
        parts = _shared_seeds(own)
        if parts and block.average:
            published = printed_average(block, row)
            cells[AVERAGE] = _made(number, block, row, AVERAGE, level(parts), parts, published)
        if parts and parts[0][1].shape == PERPLEXITY:
            found = geometric_level(parts)
            cells[GEOMETRIC] = _made(number, block, row, GEOMETRIC, found, parts, None)
    return FilledRow(row, row.label, results, cells)


def _shared_seeds(cells: Sequence[Cell]) -> list[tuple[Arm, Metric]]:
    """What cells were made of, of the seeds that all of them have; nothing where there are none."""
    parts = [part for cell in cells for part in cell.observed]
    seeds = [s for s in parts[0][0] if all(s in arm for arm, _ in parts)] if parts else []
    if not seeds or len(parts) < len(cells):
        return []
    return [({seed: arm[seed] for seed in seeds}, metric) for arm, metric in parts]


def _made(
    number: int, block: Block, row: Row, label: str, found: Estimate,
    parts: list[tuple[Arm, Metric]], published: str | None,
) -> Cell:  # fmt: skip
    """A cell that is made of others."""
    seeds = dict(zip(parts[0][0], found.by_seed, strict=True))
    return Cell(identity(number, block, row.label, label), found, parts, seeds, published, [])


def _cell(
    cell_id: str, column: Column, results: dict[int | None, Result], published: str | None,
    evidence: Evidence,
) -> Cell | None:  # fmt: skip
    metric = column.metric
    observed, recorded, used = {}, {}, []
    for seed, result in results.items():
        try:
            own, alone = metric.observe(result), metric.recorded(result)
        except UserError as error:
            evidence.refused[result.label] = str(error).removeprefix(f"{result.label}: ")
            continue
        if own is not None:
            observed[seed] = own
        elif alone is not None:
            recorded[seed] = alone
        else:
            continue
        used.append(result)
    if not used:
        return None
    made: list[tuple[Arm, Metric]] = [(observed, metric)] if observed else []
    found = level(made) if made else over_seeds([*recorded.values()], metric.name)
    seeds = dict(zip(observed or recorded, found.by_seed, strict=True))
    return Cell(cell_id, found, made, seeds, published, used)


def printed_row(block: Block, row: Row) -> printed.PrintedRow | None:
    """The printed row beside one of ours."""
    if not block.published or block.pivot or not row.printed:
        return None
    both = block.published, f"{block.published}_v1"
    rows = (r for name in both if name in printed.tables() for r in printed.rows(name))
    return next((found for found in rows if row.printed.items() <= found.keys.items()), None)


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
