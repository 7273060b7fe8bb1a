"""Divide a corpus into units of work, ranges of rows of files, and save them in a manifest.

Units are fixed before any worker starts, so results do not depend on the number of workers. A row
is a row of a parquet file, a line of a txt file (also an empty one), or a record of a jsonl file:
blank lines of jsonl are not counted, so that they change neither ids nor edits. A unit of a text
file has the byte offset of its first row, so that workers skip the rows before it.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq

from toedit.corpora import SLURM_JOB, WORK
from toedit.corpora.files import damaged_as, natural, read_json, text_stream, write_json
from toedit.errors import UserError
from toedit.user_paths import user_path

log = logging.getLogger(__name__)

WORK_SCRATCH = tuple(
    f"{WORK}/{name}"
    for name in (
        "completions",
        "edits",
        "executor.json",
        "executor.pik",
        "launch_script.slurm",
        "logs",
        "measured",
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
JSON_LINES = {".json": ".jsonl", ".json.gz": ".jsonl.gz", ".json.zst": ".jsonl.zst"}
"""Further suffixes of remote files of JSON lines, and what their copies are called."""


@dataclass(frozen=True)
class Unit:
    """Rows ``start`` to ``stop`` (exclusive) of a file.

    Attributes:
        name: name of the file in the ids of its documents.
        offset: byte at which the first row begins, in a text file.
        line: number of lines before the first row, in a text file.
    """

    file: str
    start: int
    stop: int
    name: str = ""
    offset: int = 0
    line: int = 0

    @property
    def source(self) -> str:
        """How errors name the file; if it is a copy, by the name of the user's file."""
        return self.name or Path(self.file).name


def manifest_path(folder: Path) -> Path:
    """Path of the manifest of an output folder."""
    return folder / WORK / "manifest.json"


def corpus_files(inputs: Iterable[str | Path], warn: bool = False) -> list[Path]:
    """List the readable files among files and folders, each real file once.

    Folders are searched, also through symbolic links, except hidden files and folders in them;
    ``warn`` logs one line on each folder that holds anything that is not read.

    Raises:
        UserError: a path does not exist, or there is no file of a known suffix.
    """
    files: list[Path] = []
    for path in (Path(user_path(name, "input ")) for name in inputs):
        if path.is_dir():
            found, unread = _search(path)
            files += found
            if warn and unread:
                log.warning("warning: not read in %r: %s", str(path), _listed(unread))
        elif path.is_file():
            files.append(path)
        else:
            what = "is neither a file nor a folder" if path.exists() else "does not exist"
            raise UserError(f"input {str(path)!r} {what}")
    bad = [p for p in files if not p.name.endswith(SUFFIXES)]
    if bad or not files:
        what = f"{str(bad[0])!r} has an unknown suffix" if bad else "no readable file in the inputs"
        raise UserError(f"{what}; allowed: {', '.join(SUFFIXES)}")
    return distinct([Path(user_path(path)) for path in files])


def distinct(paths: Iterable[Path]) -> list[Path]:
    """The first path of each real file."""
    first: dict[Path, Path] = {}
    for path in paths:
        first.setdefault(path.resolve(), path)
    return list(first.values())


def _search(folder: Path) -> tuple[list[Path], dict[str, list[str]]]:
    """Files of known suffixes below a folder, and names of all else by the reason.

    Linked folders are searched last, so that a file has its own name rather than that of a link.
    """
    files: list[Path] = []
    unread: defaultdict[str, list[str]] = defaultdict(list)
    seen, tops = set(), [folder]

    def unreadable(error: OSError) -> None:
        unread["without permission"].append(os.path.relpath(error.filename, folder))

    while tops:
        links: list[Path] = []
        steps = (step for top in tops for step in os.walk(top, onerror=unreadable))
        for parent, folders, names in steps:
            real = os.path.realpath(parent)
            hidden = [name for name in folders if name.startswith(".")]
            folders[:] = [] if real in seen else [n for n in folders if n not in hidden]
            if real in seen:
                continue
            seen.add(real)
            links += [path for name in folders if (path := Path(parent, name)).is_symlink()]
            for path in (Path(parent, name) for name in (*hidden, *names)):
                reason = _reason_not_to_read(path)
                if reason is None:
                    files.append(path)
                else:
                    unread[reason].append(str(path.relative_to(folder)))
        tops = []
        for link in sorted(links, key=natural):
            if link.resolve() not in link.parent.resolve().parents:
                tops.append(link)
            elif str(link.resolve()) not in seen:
                unread["links to a folder above"].append(str(link.relative_to(folder)))
    files.sort(key=lambda path: (path.is_symlink(), natural(path)))
    return sorted(distinct(files), key=natural), unread


def _reason_not_to_read(path: Path) -> str | None:
    if path.name.startswith("."):
        return "hidden"
    if not path.exists():
        return "dangling links"
    return None if path.name.endswith(SUFFIXES) and path.is_file() else "of unknown suffix"


def _listed(unread: dict[str, list[str]]) -> str:
    """Number and first names of what is not read, by reason."""
    return ", ".join(
        f"{len(names)} {reason} ({', '.join(sorted(names)[:3])}{', ...' if names[3:] else ''})"
        for reason, names in sorted(unread.items())
    )


def lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Lines of a (compressed) text file from a byte offset on, each with its newline."""
    with text_stream(path, offset) as stream:
        yield from stream


def rows_of(path: Path, offset: int = 0, line: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """Rows of a (compressed) text file from a byte offset on, which is that of line ``line``.

    Yields:
        Number of the line, from 0, its byte offset, and the line with its newline.
    """
    is_txt = path.name.endswith(".txt")
    for number, text in enumerate(lines(path, offset), line):
        if is_txt or not is_blank(text):
            yield number, offset, text
        offset += len(text)


def is_blank(line: bytes) -> bool:
    """Whether a line holds nothing but white space and byte order marks."""
    return line[:1] != b"{" and not line.decode(errors="replace").strip().strip("\ufeff").strip()


def _starts(path: Path, step: int | None) -> tuple[list[tuple[int, int]], int]:
    """Byte offset and line number of every ``step``-th row, and the number of rows."""
    starts, rows = [], 0
    for line, offset, _ in rows_of(path):
        if rows == 0 or (step and rows % step == 0):
            starts.append((offset, line))
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
        starts: list[tuple[int, int]] = []
        if path.name.endswith(".parquet"):
            with damaged_as(path):
                rows = pq.ParquetFile(path).metadata.num_rows
        elif whole_files and path.name.endswith(".txt"):
            rows = 1
        else:
            starts, rows = _starts(path, rows_per_unit)
        step = rows_per_unit or max(rows, 1)
        units += [
            Unit(str(path), start, min(start + step, rows), name, *(starts[i] if starts else ()))
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
    rows = read_json(path, list)
    with damaged_as(path):
        units = [
            Unit(**{**row, "file": os.path.normpath(path.parent / row["file"])}) for row in rows
        ]
        if not all(map(_is_valid, units)):
            raise ValueError("a unit is no range of rows of a file")
        return units


def _is_valid(unit: Unit) -> bool:
    """Whether the fields of a unit have their types and limits."""
    numbers = (unit.start, unit.stop, unit.offset, unit.line)
    texts = isinstance(unit.name, str) and "\0" not in unit.file
    return texts and all(type(n) is int and 0 <= n < 2**63 for n in numbers)


def all_inside(units: Iterable[Unit], folder: Path) -> bool:
    """Whether the files of units lie below a folder, which links do not lead out of either."""
    for top, file in {(str(folder), unit.file) for unit in units}:
        named = Path(os.path.abspath(file)).is_relative_to(os.path.abspath(top))
        if not named or not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(top)):
            return False
    return True
