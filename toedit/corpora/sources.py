"""Read documents from local files, remote files and data sets of the hub."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import BadZipFile

from toedit.corpora.documents import documents_of, read_documents, require_text_columns
from toedit.corpora.files import read_zstd_by_pyarrow
from toedit.corpora.records import Reading
from toedit.corpora.remote import fetched, is_remote, pinned_addresses, short_names
from toedit.corpora.units import corpus_files, make_units
from toedit.document import Document
from toedit.errors import UserError, short
from toedit.hub import DATASET, commit_of, hub_errors, pinned_address, split_revision

log = logging.getLogger(__name__)

HEAD = 1000
"""Rows of a hub data set of which one must have each column of the text."""

BUILDERS = {".parquet": "parquet", ".csv": "csv", ".txt": "text"}
"""Of ``datasets`` for a file, by its suffix; JSON for others."""


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
        for unit in make_units([path], whole_files=reading.whole_files, names=[name]):
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
        files: pattern of files inside it, or an address such as ``zip://PATH::hf://…`` for a file
            in an archive; None for the files that its loader chooses.
        skipped: counts the records that ``reading`` leaves out, by reason.

    Raises:
        UserError: it cannot be reached, or a row does not have the columns of ``reading``.
    """
    from datasets import load_dataset

    read_zstd_by_pyarrow()
    name, revision = split_revision(name, revision)
    if "/" in name and not Path(name).exists():
        revision = commit_of(DATASET, name, revision) or revision
    options: dict[str, Any] = {"path": name, "name": subset, "revision": revision}
    if files is not None and is_remote(files):  # which the loader of a data set does not take
        files = pinned_address(at_commit(files, name, revision))
        options = {"path": BUILDERS.get(Path(files.partition("::")[0]).suffix, "json")}
    try:
        with hub_errors(DATASET, name, revision, None if Path(name).exists() else files):
            rows = load_dataset(
                **options, split=split, streaming=True,
                data_files=None if files is None else {split: files},
            )  # fmt: skip
    except loading_errors() as error:
        raise UserError(f"cannot load the data set {name!r}: {short(error)}") from error
    checked = _with_columns(_stream(rows, name, revision), name, reading)
    records = (
        (f"data set {name!r} row {number}", f"{split}:{number}", dict(row))
        for number, row in enumerate(checked)
    )
    yield from documents_of(records, reading, skipped)


def at_commit(files: str, name: str, revision: str | None) -> str:
    """A pattern of files, in which an address of the data set itself has its commit."""
    own = f"hf://datasets/{name}/"
    return files if revision is None else files.replace(own, f"{own[:-1]}@{revision}/")


def loading_errors() -> tuple[type[Exception], ...]:
    """Errors of ``datasets`` for a data set that cannot be loaded."""
    from datasets.exceptions import DatasetsError

    return OSError, ValueError, RuntimeError, BadZipFile, DatasetsError


def _with_columns(
    rows: Iterator[dict[str, Any]], name: str, reading: Reading
) -> Iterator[dict[str, Any]]:
    """The rows, after a check that one of the first has each column of the text.

    Raises:
        UserError: none has, so that it is probably another column.
    """
    head: list[dict[str, Any]] = []
    columns: dict[str, None] = {}
    missing = list(reading.text_columns)
    for row in islice(rows, HEAD):
        head.append(row)
        columns |= dict.fromkeys(row)
        missing = [column for column in missing if column not in columns]
        if not missing:
            break
    if head and missing:
        field = next(field for field, value in vars(reading).items() if value == missing[0])
        raise UserError(
            f"data set {name!r} has no column {missing[0]!r}; its columns: "
            f"{short(', '.join(columns), 400)}; name one with corpus.{field}=COLUMN"
        )
    yield from chain(head, rows)


def _stream(
    rows: Iterable[dict[str, Any]], name: str, revision: str | None
) -> Iterator[dict[str, Any]]:
    try:
        with hub_errors(DATASET, name, revision):
            yield from rows
    except loading_errors() as error:
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
