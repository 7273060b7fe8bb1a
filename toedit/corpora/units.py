"""The manifest that cuts a corpus into units of work: ranges of rows of files.

Units are fixed before any worker starts, so results do not depend on how many workers there are. A
unit of a text file knows at which byte it begins, so that no worker reads what is not its own.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora import SLURM_JOB, WORK
from toedit.corpora.files import damaged_as, natural, read_json, write_json
from toedit.errors import UserError

WORK_SCRATCH = tuple(
    f"{WORK}/{name}"
    for name in (
        "completions",
        "edits",
        "executor.json",
        "executor.pik",
        "launch_script.slurm",
        "logs",
        "progress",
        "ranks_to_run.json",
        SLURM_JOB,
        "slurm_logs",
        "stats",
        "stats.json",
    )
)

COMPRESSED = (".jsonl.gz", ".jsonl.zst")
SUFFIXES = (".parquet", ".jsonl", ".txt", *COMPRESSED)


@dataclass(frozen=True)
class Unit:
    """Rows ``start`` to ``stop`` of a file.

    Attributes:
        file: its path.
        start: first row.
        stop: one past the last.
        name: stands for the file in the ids of its documents.
        offset: byte at which the first row begins, in a text file.
    """

    file: str
    start: int
    stop: int
    name: str = ""
    offset: int = 0


def manifest_path(folder: Path) -> Path:
    """Where the manifest of an output folder stands."""
    return folder / WORK / "manifest.json"


def corpus_files(inputs: Iterable[str | Path]) -> list[Path]:
    """The readable files among files and folders, folders searched for known suffixes and sorted.

    Raises:
        UserError: a path does not exist, or nothing readable was found.
    """
    files = []
    for path in map(Path, inputs):
        if not path.exists():
            raise UserError(f"input {str(path)!r} does not exist")
        found = (
            sorted(
                (p for p in path.rglob("*") if p.name.endswith(SUFFIXES) and p.is_file()),
                key=natural,
            )
            if path.is_dir()
            else [path]
        )
        files += [
            p for p in found if not any(part.startswith(".") for part in p.relative_to(path).parts)
        ]
    bad = [p for p in files if not p.name.endswith(SUFFIXES)]
    if bad or not files:
        what = f"{str(bad[0])!r} has an unknown suffix" if bad else "no readable file in the inputs"
        raise UserError(f"{what}; allowed: {', '.join(SUFFIXES)}")
    return files


def open_lines(path: Path) -> pa.NativeFile:
    """Bytes of a text file, decompressed where its suffix says so."""
    compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    return pa.input_stream(str(path), compression=compression)


def lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Lines of a text file from a byte on, each with the newline it ends in."""
    with damaged_as(path), open_lines(path) as stream:
        if stream.seekable():
            stream.seek(offset)
        else:
            while offset > 0:
                offset -= len(stream.read(min(offset, 1 << 20)))
        rest = b""
        while block := stream.read(1 << 20):
            *whole, rest = (rest + block).split(b"\n")
            yield from (line + b"\n" for line in whole)
        if rest:
            yield rest


def _starts(path: Path, step: int | None) -> tuple[list[int], int]:
    """Byte offsets of every ``step``-th line, and the number of lines."""
    starts, position, rows = [], 0, 0
    for line in lines(path):
        if rows == 0 or (step and rows % step == 0):
            starts.append(position)
        position += len(line)
        rows += 1
    return starts, rows


def file_names(paths: Sequence[Path]) -> list[str]:
    """What files go by: their names, or their paths below the common folder where names repeat."""
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        common = os.path.commonpath([path.resolve().parent for path in paths])
        names = [os.path.relpath(path.resolve(), common) for path in paths]
    return names


def make_units(
    files: Iterable[Path],
    rows_per_unit: int | None = None,
    whole_files: bool = False,
    names: Sequence[str] | None = None,
) -> list[Unit]:
    """Cuts files into units, in order.

    Args:
        files: parquet, jsonl and txt files.
        rows_per_unit: most rows in a unit; None for a unit a file.
        whole_files: a txt file is one document instead of one a line.
        names: what the files go by; None for :func:`file_names`.
    """
    paths = list(files)
    units = []
    for path, name in zip(paths, names or file_names(paths), strict=True):
        starts: list[int] = []
        if path.name.endswith(".parquet"):
            with damaged_as(path):
                rows = pq.ParquetFile(path).metadata.num_rows
        elif whole_files and path.name.endswith(".txt"):
            rows = 1
        else:
            starts, rows = _starts(path, rows_per_unit)
        step = rows_per_unit or max(rows, 1)
        units += [
            Unit(str(path), start, min(start + step, rows), name, starts[i] if starts else 0)
            for i, start in enumerate(range(0, rows, step))
        ]
    return units


def one_unit_a_file(units: Iterable[Unit]) -> list[Unit]:
    """The files behind units, each as a single unit."""
    last = {unit.file: unit for unit in units}
    return [Unit(unit.file, 0, unit.stop, unit.name) for unit in last.values()]


def write_units(path: Path, units: list[Unit]) -> None:
    """Writes a manifest; files are named relative to it, so that a folder of results can move."""
    rows = [{**asdict(u), "file": os.path.relpath(u.file, path.parent)} for u in units]
    write_json(path, rows)


def read_units(path: Path) -> list[Unit]:
    """Reads a manifest.

    Raises:
        UserError: the file is damaged.
    """
    rows = read_json(path)
    with damaged_as(path):
        return [
            Unit(**{**row, "file": os.path.normpath(path.parent / row["file"])}) for row in rows
        ]
