"""Read documents from local files, remote files and data sets of the hub."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from toedit.corpora.documents import documents_of, read_documents, require_text_columns
from toedit.corpora.files import read_zstd_by_pyarrow
from toedit.corpora.records import Reading
from toedit.corpora.remote import fetched, is_remote, pinned_addresses, short_names
from toedit.corpora.units import corpus_files, make_units
from toedit.document import Document
from toedit.errors import UserError, short
from toedit.hub import DATASET, commit_of, hub_errors, pinned_address, split_revision

log = logging.getLogger(__name__)


def local_documents(
    paths: Iterable[str | Path],
    reading: Reading = Reading(),  # noqa: B008
    skipped: Counter[str] | None = None,
    warn: bool = False,
) -> Iterator[Document]:
    """Read documents of parquet, jsonl (.gz, .zst) or txt files, in order; those of remote
    addresses come last, through temporary copies.

    ``skipped`` counts the records that ``reading`` leaves out; ``warn`` logs what is not read.
    """
    names = list(map(str, paths))
    remote = [name for name in names if is_remote(name)]
    if len(remote) < len(names) or not names:
        local = (name for name in names if not is_remote(name))
        units = make_units(corpus_files(local, warn), whole_files=reading.whole_files)
        require_text_columns(units, reading)
        for unit in units:
            yield from read_documents(unit, reading, skipped)
    files = pinned_addresses(remote)
    for address, name in zip(files, short_names(files), strict=True):
        with TemporaryDirectory() as folder:
            yield from file_documents(address, name, Path(folder), reading)


def file_documents(
    address: str, name: str, folder: Path, reading: Reading, prefix: str = ""
) -> Iterator[Document]:
    """Read documents of one local file, or of a remote one through a temporary copy in ``folder``.

    Generated ids begin with ``name``, and all ids with ``prefix``. Records that are left out are
    counted in the log.
    """
    skipped: Counter[str] = Counter()
    with fetched(address, folder) as path:
        for unit in make_units([path], names=[name]):
            for document in read_documents(unit, reading, skipped):
                yield replace(document, id=f"{prefix}{document.id}")
    for reason, number in skipped.items():
        log.warning("warning: %r: %d records skipped (%s)", name, number, reason)


def hub_documents(
    name: str,
    subset: str | None = None,
    split: str = "train",
    revision: str | None = None,
    reading: Reading = Reading(),  # noqa: B008
    files: str | None = None,
    skipped: Counter[str] | None = None,
) -> Iterator[Document]:
    """Stream a data set of the hub, or a local folder that ``datasets`` can read.

    Args:
        name: id of the data set, also ``ID@REVISION``, or the folder.
        subset: name of its configuration.
        revision: its commit.
        files: pattern of files inside it; None for the files that its loader chooses.
        skipped: counts the records that ``reading`` leaves out, by reason.

    Raises:
        UserError: it cannot be reached, or a row does not have the columns of ``reading``.
    """
    from datasets import load_dataset

    read_zstd_by_pyarrow()
    name, revision = split_revision(name, revision)
    if "/" in name and not Path(name).exists():
        revision = commit_of(DATASET, name, revision) or revision
    files = None if files is None else pinned_address(files)
    try:
        with hub_errors(DATASET, name, revision, files):
            rows = load_dataset(
                name, subset, split=split, revision=revision, streaming=True,
                data_files=None if files is None else {split: files},
            )  # fmt: skip
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load the data set {name!r}: {short(error)}") from error
    columns = set(rows.column_names or reading.text_columns)
    if unknown := [column for column in reading.text_columns if column not in columns]:
        raise UserError(
            f"data set {name!r} has no column {unknown[0]!r}; its columns: "
            f"{', '.join(rows.column_names)}"
        )
    records = (
        (f"data set {name!r} row {number}", f"{split}:{number}", dict(row))
        for number, row in enumerate(_stream(rows, name, revision))
    )
    yield from documents_of(records, reading, skipped)


def _stream(
    rows: Iterable[dict[str, Any]], name: str, revision: str | None
) -> Iterator[dict[str, Any]]:
    from datasets.exceptions import DatasetsError

    try:
        with hub_errors(DATASET, name, revision):
            yield from rows
    except (OSError, ValueError, DatasetsError) as error:
        raise UserError(
            f"reading the data set {name!r} broke off: {short(error)}; run again"
        ) from error


def drop_repeated_lines(documents: Iterable[Document]) -> Iterator[Document]:
    """Remove every line that occurred before, in the same document or an earlier one.

    Lines are compared without case and surrounding space. A line that is part of another line of
    the same document is removed too, and so is a document without remaining lines.
    """
    seen: set[str] = set()
    for document in documents:
        lines = [line.strip() for line in document.text.split("\n")]
        keys = [" ".join(line.casefold().split()) for line in lines]
        remaining = []
        for i, (line, key) in enumerate(zip(lines, keys, strict=True)):
            inside = any(key in other for j, other in enumerate(keys) if j != i and key != other)
            if key and key not in seen and not inside:
                remaining.append(line)
            seen.add(key)
        if remaining:
            counts = {"lines": len(remaining), "lines_dropped": len(lines) - len(remaining)}
            yield Document(document.id, "\n".join(remaining), {**document.metadata, **counts})
