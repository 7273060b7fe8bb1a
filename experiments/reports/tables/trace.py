"""Where a number comes from: the record, configuration, data, code and command behind a cell."""

import difflib
import json
from collections.abc import Sequence
from typing import Any

from experiments.analysis.result import Result
from experiments.reports.tables.build import FilledTable
from experiments.reports.tables.cells import Cell, FilledBlock, FilledRow, slug
from experiments.store.rows import place
from experiments.store.runs import typed
from toedit.errors import UserError


def find(tables: Sequence[FilledTable], wanted: str) -> list[tuple[FilledBlock, FilledRow, Cell]]:
    """The cells that an id names.

    Args:
        tables: filled.
        wanted: ``table.block.row.column``; a beginning names all cells that begin so, and a column
            may be called as the paper does.

    Raises:
        UserError: no cell is called so.
    """
    cells = {
        cell.id: (block, row, cell)
        for built in tables
        for block in built.blocks
        for row in block.rows
        for cell in row.cells.values()
    }
    found = [own for name, own in cells.items() if name == wanted or name.startswith(f"{wanted}.")]
    if not found:
        found = [own for own in cells.values() if _as_printed(own, wanted)]
    if not found:
        near = difflib.get_close_matches(wanted, cells, n=3, cutoff=0.3)
        hint = f"nearest: {', '.join(near)}" if near else "no cell is called alike"
        raise UserError(
            f"{wanted!r} names none of the {len(cells)} cells that hold a number of ours; {hint}; "
            "column id of the CSV files lists them all"
        )
    return found


def _as_printed(own: tuple[FilledBlock, FilledRow, Cell], wanted: str) -> bool:
    """Whether an id names a cell by the paper's own column, by its block without the scale, or by
    its row without the setting."""
    block, _, cell = own
    number, name, row, column = cell.id.split(".")
    columns = {column} | {
        slug(c.printed) for c in block.block.columns if c.printed and slug(c.label) == column
    }
    blocks, rows = {name, name.removesuffix("-embedded")}, {row, row.partition("@")[0]}
    return wanted in {
        ".".join([number, b, r, *rest])
        for b in blocks
        for r in rows
        for rest in ([], *([c] for c in columns))
    }


def trace(block: FilledBlock, row: FilledRow, cell: Cell) -> str:
    """Everything behind a cell, as text."""
    parts = [summary(block, row, cell), *(described(own) for own in behind(block, row, cell))]
    return "\n".join(parts)


def summary(block: FilledBlock, row: FilledRow, cell: Cell) -> str:
    """A cell's own numbers."""
    lines = [f"{cell.id} = {cell.value:.6g}", f"  row: {row.label}",
             f"  scale: {block.block.scale}"]  # fmt: skip
    if cell.published is not None:
        lines.append(f"  printed {cell.published}, ours minus it {cell.difference:+.4g}")
    estimate = cell.estimate
    if len(cell.seeds) > 1:
        own = ", ".join(f"{seed}: {value:.6g}" for seed, value in cell.seeds.items())
        lines.append(f"  by seed: {own} (s.d. {estimate.sd_seeds:.3g})")
    if estimate.se_items:
        clusters = f" in {estimate.n_clusters} clusters"
        items = f"{estimate.n_items} items{clusters * (estimate.n_clusters < estimate.n_items)}"
        lines.append(f"  standard error over {items}: {estimate.se_items:.3g}")
    if not cell.results:
        lines.append(f"  the mean of {', '.join(_averaged(block))}")
    return "\n".join(lines)


def behind(block: FilledBlock, row: FilledRow, cell: Cell) -> list[Result]:
    """The results that a cell was read from; of an average those of its columns."""
    return cell.results or row.cells[_averaged(block)[0]].results


def _averaged(block: FilledBlock) -> list[str]:
    return [column.label for column in block.block.columns if column.averaged]


def described(result: Result) -> str:
    """A result: record, data, code, machine, command, and files that hold its answers."""
    files = result.record.get("files", {})
    answers = [
        f"      {_answers(result, name, files[name]['sha256'])}"
        for name in sorted(files)
        if name.endswith(".parquet")
    ]
    return "\n".join([*_result(result), *(["    answers", *answers] if answers else [])])


def _answers(result: Result, name: str, sha256: str) -> str:
    """Where a file of a result is; its hash where it is a file of its own."""
    path = place(result.run.root, result.label, name)
    packed = path != result.folder / name
    return f"{path}, the rows of {result.label}" if packed else f"{path} sha256 {sha256}"


def _result(result: Result) -> list[str]:
    record = result.record
    dirty = " with changes beside it" if record.get("git_dirty") else ""
    hardware = record.get("hardware", {})
    seeded = "no seed" if result.seed is None else f"seed {result.seed}"
    lines = [
        f"  {seeded}: {result.folder}",
        f"    record     {result.folder / 'record.json'}",
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
    lines += ["    rests on"]
    lines += [f"      {line}" for line in _inputs(result, record, set())]
    return lines


def _inputs(result: Result, record: dict[str, Any], seen: set[str]) -> list[str]:
    """What a record rests on, with seeds, hashes of local data and revisions."""
    lines = []
    for name, label in sorted(record.get("inputs", {}).items()):
        if label in seen:
            continue
        seen.add(label)
        found = result.evidence.record(result.run.root, label)
        if found is None:
            lines.append(f"{name}: {label} (its record is not here)")
            continue
        identity = json.dumps(found["identity"]["config"], ensure_ascii=False)
        hashes = [f"{k}={v}" for k, v in found["metrics"].items() if k.endswith("sha256")]
        lines.append(" ".join([f"{name}: {label}", identity, *hashes]))
        lines += [f"  {line}" for line in _inputs(result, found, seen)]
    return lines
