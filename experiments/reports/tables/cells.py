"""Fill the cells of a block: choose results for each row, compute values, add printed numbers."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.analysis.compare import Arm
from experiments.analysis.estimate import Estimate
from experiments.analysis.evidence import (
    CUT,
    Evidence,
    Result,
    agree,
    fingerprint_and_numbers,
    numbers,
)
from experiments.analysis.levels import geometric_level, level, over_seeds
from experiments.analysis.metrics import PERPLEXITY, Metric
from experiments.reports import printed
from experiments.reports.tables import settings
from experiments.reports.tables.layout import Block, Column, Row
from toedit.errors import UserError


@dataclass
class Cell:
    """A number of our own runs.

    Attributes:
        id: name for ``trace``.
        estimate: the value, mean over seeds, with its errors.
        observed: observations by seed with their metric: one pair for a column, the pairs of all
            columns for an average, none for a value that only a record holds.
        seeds: values by seed.
        published: the printed number for comparison; None if there is none.
        results: one result per seed; empty for an average.
    """

    id: str
    estimate: Estimate
    observed: list[tuple[Arm, Metric]]
    seeds: dict[int | None, float]
    published: str | None
    results: list[Result] = field(repr=False)

    @property
    def value(self) -> float:
        """The value, mean over seeds."""
        return self.estimate.value

    @property
    def difference(self) -> float | None:
        """Ours minus the printed number."""
        return None if self.published is None else self.value - float(self.published)


@dataclass
class FilledRow:
    """A row of a block with its cells: one setting under one or several seeds.

    Attributes:
        row: its layout.
        label: its label; with the differing settings if several settings fill the row.
        results: by seed.
        cells: by label of the column.
    """

    row: Row
    label: str
    results: dict[int | None, Result]
    cells: dict[str, Cell]


@dataclass
class FilledBlock:
    """A block with its rows and columns; empty rows have no results."""

    block: Block
    rows: list[FilledRow]
    columns: list[Column]

    @property
    def total(self) -> int:
        """Number of cells, without averages."""
        return len(self.rows) * len(self.block.columns)

    @property
    def filled(self) -> int:
        """Number of cells with a number of our own runs, without averages."""
        return sum(column.label in row.cells for row in self.rows for column in self.block.columns)


AVERAGE, GEOMETRIC = "Avg", "geometric mean"
"""Columns that are computed from the others. Perplexities have both: the arithmetic mean is next to
the paper's column, the geometric one is used to compare arms."""


def fill(number: int, block: Block, evidence: Evidence) -> FilledBlock:
    """Fill a block of the table with a number; unusable results are listed in
    ``evidence.refused``."""
    rows: list[FilledRow] = []
    for row in block.rows:
        families = _families(row, block, block.columns[0].metric.kind, evidence)
        filled = [_row(number, block, row, results, evidence) for results in families]
        filled = [candidate for candidate in filled if candidate.cells]
        _label_settings(filled)
        rows += filled or [_row(number, block, row, {}, evidence)]
    columns = list(block.columns)
    averaged = [i for i, column in enumerate(columns) if column.averaged]
    if len(averaged) > 1:
        metric = columns[averaged[0]].metric
        added = [Column(AVERAGE, metric, block.average, averaged=False)] if block.average else []
        if metric.shape == PERPLEXITY:
            added.append(Column(GEOMETRIC, metric, averaged=False))
        columns[averaged[-1] + 1 : averaged[-1] + 1] = added
    return FilledBlock(block, rows, columns)


def _families(
    row: Row, block: Block, kind: str, evidence: Evidence
) -> list[dict[int | None, Result]]:
    """Find the results of a row: one family per setting, each with its results by seed."""
    groups: dict[str, list[Result]] = defaultdict(list)
    names = dict.fromkeys(filter(None, (row.experiment or block.experiment, row.also)))
    results = {
        (result.arm, result.checkpoint, fingerprint_and_numbers(result.record)): result
        for name in reversed(names)
        for result in evidence.results(name, kind)
    }
    for result in reversed(results.values()):
        names_of_result = (result.arm, result.checkpoint), (result.entry.name, None)
        matches = (row.arm, row.checkpoint) in names_of_result
        if matches and fits(result, {**block.where, **row.where}):
            groups[result.family].append(result)
    families: list[dict[int | None, Result]] = []
    known: list[dict[int | None, Any]] = []
    for members in groups.values():
        of_setting: dict[int | None, list[Any]] = defaultdict(list)
        while members:  # a seed that was run twice with other numbers starts another family
            family = {result.seed: result for result in reversed(members)}
            members = [result for result in members if result is not family[result.seed]]
            seeds = sorted(family, key=lambda seed: -1 if seed is None else seed)
            metrics = {seed: numbers(family[seed].record) for seed in seeds}
            repeated = all(
                any(agree(own, other) for other in of_setting[seed])
                for seed, own in metrics.items()
            )
            for seed, own in metrics.items():
                of_setting[seed].append(own)
            if metrics not in known and not repeated:  # else nothing that matters differs
                known.append(metrics)
                families.append({seed: family[seed] for seed in seeds})
    return families


def fits(result: Result, where: dict[str, Any]) -> bool:
    """Whether the configurations of a result and its inputs hold given values.

    Args:
        result: the result.
        where: values by ``kind.field``, with further dots for nested fields.
    """
    for name, expected in where.items():
        kind, *path = name.split(".")
        record = result.upstream(kind)
        if record is None and kind == "train":
            continue  # the base model was not trained
        value: Any = {} if record is None else record["config"]
        for key in path:
            value = value.get(key, {}) if isinstance(value, dict) else {}
        if value != expected:
            return False
    return True


def _label_settings(rows: Sequence[FilledRow]) -> None:
    """Add the differing settings to the labels and cell ids of rows of several settings."""
    if len(rows) < 2:
        return
    results = [next(iter(row.results.values())) for row in rows]
    for row, result, text in zip(rows, results, settings.labels(results), strict=True):
        row.label = f"{row.label} ({text})"
        family = result.family[:6]
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
        parts = _shared_seeds([cells[name] for name in averaged])
        computed: dict[str, tuple[Estimate, str | None]] = {}
        if parts and block.average:
            computed[AVERAGE] = level(parts), printed_average(block, row)
        if parts and parts[0][1].shape == PERPLEXITY:
            computed[GEOMETRIC] = geometric_level(parts), None
        for name, (estimate, published) in computed.items():
            seeds = dict(zip(parts[0][0], estimate.by_seed, strict=True))
            cell_id = identity(number, block, row.label, name)
            cells[name] = Cell(cell_id, estimate, parts, seeds, published, [])
    return FilledRow(row, row.label, results, cells)


def _shared_seeds(cells: Sequence[Cell]) -> list[tuple[Arm, Metric]]:
    """Return the observations of the seeds that all cells share; empty if they share none."""
    parts = [part for cell in cells for part in cell.observed]
    seeds = [s for s in parts[0][0] if all(s in arm for arm, _ in parts)] if parts else []
    if not seeds or len(parts) < len(cells):
        return []
    return [({seed: arm[seed] for seed in seeds}, metric) for arm, metric in parts]


def _cell(
    cell_id: str, column: Column, results: dict[int | None, Result], published: str | None,
    evidence: Evidence,
) -> Cell | None:  # fmt: skip
    metric = column.metric
    observed, recorded, used = {}, {}, []
    for seed, result in results.items():
        try:
            observations, value = metric.observe(result), metric.recorded(result)
        except UserError as error:
            evidence.refused[result.label] = str(error).removeprefix(f"{result.label}: ")
            continue
        if observations is not None:
            observed[seed] = observations
        elif value is not None:
            recorded[seed] = value
        else:
            continue
        used.append(result)
    if not used:
        return None
    parts: list[tuple[Arm, Metric]] = [(observed, metric)] if observed else []
    estimate = level(parts) if parts else over_seeds([*recorded.values()], metric.name)
    seeds = dict(zip(observed or recorded, estimate.by_seed, strict=True))
    return Cell(cell_id, estimate, parts, seeds, published, used)


def cut_items(column: Column, cell: Cell) -> dict[str, int | None]:
    """By result, the number of items that were longer than the model reads, None where it was not
    counted; empty if the column is of no benchmark, or of averages."""
    if column.metric.benchmark is None:
        return {}
    return {r.label: r.record["metrics"][column.metric.task].get(CUT) for r in cell.results}


def printed_row(block: Block, row: Row) -> printed.PrintedRow | None:
    """Find the printed row that corresponds to a row; None if there is none."""
    if not block.published or block.pivot or not row.printed:
        return None
    versions = block.published, f"{block.published}_v1"
    rows = (r for name in versions if name in printed.tables() for r in printed.rows(name))
    return next((other for other in rows if row.printed.items() <= other.keys.items()), None)


def printed_average(block: Block, row: Row) -> str | None:
    """Return the printed average of a row if it averages the same columns as the block."""
    paper = printed_row(block, row)
    columns = {column.printed for column in block.columns if column.averaged}
    return paper.average if paper is not None and columns == set(paper.cells) else None


def printed_at(block: Block, row: Row, column: Column) -> str | None:
    """Return the printed number of a cell; None if there is none."""
    if column.label == AVERAGE:
        return printed_average(block, row)
    if column.printed is None or not block.published:
        return None
    if block.pivot:
        key, value = block.pivot
        rows = (r for r in printed.read(block.published) if r[key] == column.printed)
        return next((line[value] for line in rows), None)
    paper = printed_row(block, row)
    text = paper.cells.get(column.printed) if paper else None
    return text.rstrip("%") if text else None


def identity(number: int, block: Block, row: str, column: str) -> str:
    """Return the id of a cell, as ``3.biomedicine-embedded.ToEdit.Avg``; if several settings fill
    the row, its part is ``ToEdit@`` and the first digits of the setting's hash."""
    return ".".join([str(number), block.name, slug(row), slug(column)])


def slug(text: str) -> str:
    """Replace spaces, dots and @ of a label by underscores, for an id."""
    return re.sub(r"[\s.@]+", "_", text)
