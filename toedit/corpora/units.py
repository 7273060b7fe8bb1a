"""Divide a corpus into units of work, ranges of rows of files, and save them in a manifest.

Units are fixed before any worker starts, so results do not depend on the number of workers. A unit
of a text file has the byte offset of its first row, so that workers skip the rows before it.
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
"""Paths in an output folder that a finished stage does not need."""

COMPRESSED = (".jsonl.gz", ".jsonl.zst")
SUFFIXES = (".parquet", ".jsonl", ".txt", *COMPRESSED)


@dataclass(frozen=True)
class Unit:
    """Rows ``start`` to ``stop`` (exclusive) of a file.

    Attributes:
        name: name of the file in the ids of its documents.
        offset: byte at which the first row begins, in a text file.
    """

    file: str
    start: int
    stop: int
    name: str = ""
    offset: int = 0


def manifest_path(folder: Path) -> Path:
    """Path of the manifest of an output folder."""
    return folder / WORK / "manifest.json"


def corpus_files(inputs: Iterable[str | Path]) -> list[Path]:
    """List the readable files among files and folders; folders are searched, except hidden ones.

    Raises:
        UserError: a path does not exist, or there is no file of a known suffix.
    """
    files: list[Path] = []
    for path in map(Path, inputs):
        if path.is_dir():
            readable = (p for p in path.rglob("*") if p.name.endswith(SUFFIXES) and p.is_file())
            visible = (p for p in readable if "/." not in f"/{p.relative_to(path).as_posix()}")
            files += sorted(visible, key=natural)
        elif path.exists():
            files.append(path)
        else:
            raise UserError(f"input {str(path)!r} does not exist")
    bad = [p for p in files if not p.name.endswith(SUFFIXES)]
    if bad or not files:
        what = f"{str(bad[0])!r} has an unknown suffix" if bad else "no readable file in the inputs"
        raise UserError(f"{what}; allowed: {', '.join(SUFFIXES)}")
    return files


def lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Lines of a (compressed) text file from a byte offset on, each with its newline."""
    with damaged_as(path), pa.input_stream(path.absolute()) as stream:
        if stream.seekable():
            stream.seek(offset)
        else:
            while offset > 0:
                offset -= len(stream.read(min(offset, 1 << 20)))
        rest = b""
        while block := stream.read(1 << 20):
            *complete, rest = (rest + block).split(b"\n")
            yield from (line + b"\n" for line in complete)
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
    """Names of files, or their paths below the common folder if names repeat."""
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
    """Divide files into units, in order.

    Args:
        rows_per_unit: maximum rows of a unit; None for one unit per file.
        whole_files: a txt file is one document instead of one per line.
        names: names of the files in ids; None for :func:`file_names`.
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


def one_unit_per_file(units: Iterable[Unit]) -> list[Unit]:
    """The files of units, each as a single unit."""
    last = {unit.file: unit for unit in units}
    return [Unit(unit.file, 0, unit.stop, unit.name) for unit in last.values()]


def write_units(path: Path, units: list[Unit]) -> None:
    """Write a manifest; its paths are relative to it, so that a folder of results can move."""
    rows = [{**asdict(u), "file": os.path.relpath(u.file, path.parent)} for u in units]
    write_json(path, rows)


def read_units(path: Path) -> list[Unit]:
    """Read a manifest; a damaged file is a :class:`UserError`."""
    rows = read_json(path)
    with damaged_as(path):
        return [
            Unit(**{**row, "file": os.path.normpath(path.parent / row["file"])}) for row in rows
        ]
