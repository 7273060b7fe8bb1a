"""Trace a cell of a table to its records, configurations, data, code and commands."""

import difflib
import json
from collections.abc import Sequence
from itertools import product
from typing import Any

from experiments.analysis.evidence import Result
from experiments.reports.tables.build import FilledTable, all_cells
from experiments.reports.tables.cells import Cell, FilledBlock, FilledRow, slug
from experiments.store.records import record_path
from experiments.store.rows import place
from experiments.store.runs import typed
from toedit.errors import UserError


def find(tables: Sequence[FilledTable], name: str) -> list[tuple[FilledBlock, FilledRow, Cell]]:
    """Find the cells that an id names.

    Args:
        tables: filled.
        name: ``table.block.row.column`` or the first parts of it, which name all cells that begin
            with them; the column may have its name in the paper.

    Raises:
        UserError: no cell has this id.
    """
    cells = {cell.id: (block, row, cell) for block, row, cell in all_cells(tables)}
    matches = [cells[key] for key in cells if key == name or key.startswith(f"{name}.")]
    matches = matches or [cell for cell in cells.values() if _as_printed(*cell, name)]
    if not matches:
        near = difflib.get_close_matches(name, cells, n=3, cutoff=0.3)
        hint = f"nearest: {', '.join(near)}" if near else "no cell is called alike"
        raise UserError(
            f"{name!r} names none of the {len(cells)} cells that hold a number of ours; {hint}; "
            "column id of the CSV files lists them all"
        )
    return matches


def _as_printed(block: FilledBlock, _: FilledRow, cell: Cell, name: str) -> bool:
    """Whether an id names a cell by the paper's name of its column, by its block without the scale,
    or by its row without the setting."""
    number, block_name, row, column = cell.id.split(".")
    printed = [c.printed for c in block.block.columns if c.printed and slug(c.label) == column]
    alternatives = product(
        (block_name, block_name.removesuffix("-embedded")),
        (row, row.partition("@")[0]),
        (None, column, *map(slug, printed)),
    )
    return name in {".".join(filter(None, [number, *parts])) for parts in alternatives}


def trace(block: FilledBlock, row: FilledRow, cell: Cell, name: str) -> str:
    """Describe a cell that was asked for by a name, and all its results."""
    results = results_of(block, row, cell)
    lines = [summary(block, row, cell), *map(describe, results)]
    if cell.id != name and not cell.id.startswith(f"{name}."):
        number = cell.id.partition(".")[0]
        lines.insert(
            0,
            f"{name} holds no number of ours (what would fill it, and its cost: python -m "
            f"experiments.tables --table {number}); its counterpart of another scale or name:",
        )
    return "\n".join(lines)


def summary(block: FilledBlock, row: FilledRow, cell: Cell) -> str:
    """Describe the numbers of a cell."""
    lines = [f"{cell.id} = {cell.value:.6g}", f"  row: {row.label}",
             f"  scale: {block.block.scale}"]  # fmt: skip
    if cell.published is not None:
        compared = f"ours minus it {cell.difference:+.4g}"
        if block.block.scale == "embedded":
            compared = "for another model, and maybe another test: not to be compared"
        lines.append(f"  printed {cell.published}, {compared}")
    estimate = cell.estimate
    if len(cell.seeds) > 1:
        values = ", ".join(f"{seed}: {value:.6g}" for seed, value in cell.seeds.items())
        lines.append(f"  by seed: {values} (s.d. {estimate.sd_seeds:.3g})")
    if estimate.se_items:
        clusters = f" in {estimate.n_clusters} clusters"
        items = f"{estimate.n_items} items{clusters * (estimate.n_clusters < estimate.n_items)}"
        lines.append(f"  standard error over {items}: {estimate.se_items:.3g}")
    if not cell.results:
        lines.append(f"  the mean of {', '.join(_averaged(block))}")
    return "\n".join(lines)


def results_of(block: FilledBlock, row: FilledRow, cell: Cell) -> list[Result]:
    """Return the results of a cell; for an average those of its first column."""
    return cell.results or row.cells[_averaged(block)[0]].results


def _averaged(block: FilledBlock) -> list[str]:
    return [column.label for column in block.block.columns if column.averaged]


def describe(result: Result) -> str:
    """Describe a result: record, data, code, machine, command, and files with its answers."""
    record = result.record
    dirty = " with changes beside it" if record.get("git_dirty") else ""
    hardware = record.get("hardware", {})
    seeded = "no seed" if result.seed is None else f"seed {result.seed}"
    lines = [
        f"  {seeded}: {result.label}",
        f"    record     {record_path(result.run.root, result.label)}",
        f"    finished   {record['finished']}, {record['seconds']:.0f} s, "
        f"{record['peak_memory_gb']} GB at most",
        f"    code       commit {record.get('git_commit')}{dirty}",
        f"    machine    {hardware.get('cpu')}, {hardware.get('cores')} cores"
        + "".join(f", {gpu}" for gpu in hardware.get("gpus", [])),
        f"    packages   {' '.join(f'{k}=={v}' for k, v in record.get('packages', {}).items())}",
        f"    wandb      {record.get('tracker_run') or 'none'}",
        f"    command    {typed(record.get('argv', []))}",
        f"    run        {result.run.folder.name} of {result.run.experiment}, finished "
        f"{result.run.finished}",
        f"    config     {json.dumps(record['config'], ensure_ascii=False)}",
    ]
    lines += ["    rests on", *(f"      {line}" for line in _inputs(result, record, set()))]
    answers = []
    for name in sorted(n for n in record.get("files", {}) if n.endswith(".parquet")):
        path = place(result.run.root, result.label, name)
        packed = path != result.folder / name
        digest = record["files"][name]["sha256"]
        note = f", the rows of {result.label}" if packed else f" sha256 {digest}"
        answers.append(f"      {path}{note}")
    return "\n".join([*lines, *(["    answers", *answers] if answers else [])])


def _inputs(result: Result, record: dict[str, Any], seen: set[str]) -> list[str]:
    """Describe the inputs of a record, recursively, with settings and hashes of local data."""
    lines = []
    for name, label in sorted(record.get("inputs", {}).items()):
        if label in seen:
            continue
        seen.add(label)
        other = result.evidence.record(result.run.root, label)
        if other is None:
            lines.append(f"{name}: {label} (its record is not here)")
            continue
        identity = json.dumps(other["identity"]["config"], ensure_ascii=False)
        hashes = [f"{k}={v}" for k, v in other["metrics"].items() if k.endswith("sha256")]
        lines.append(" ".join([f"{name}: {label}", identity, *hashes]))
        lines += [f"  {line}" for line in _inputs(result, other, seen)]
    return lines
