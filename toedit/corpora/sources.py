"""Read documents from local files, remote files and data sets of the hub."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from toedit.corpora.documents import Reading, document_of, read_documents
from toedit.corpora.remote import fetched
from toedit.corpora.units import corpus_files, make_units
from toedit.document import Document
from toedit.errors import UserError, short


def local_documents(
    paths: Iterable[str | Path],
    reading: Reading = Reading(),  # noqa: B008
) -> Iterator[Document]:
    """Read documents of parquet, jsonl (.gz, .zst) or txt files, in order."""
    for unit in make_units(corpus_files(paths), whole_files=reading.whole_files):
        yield from read_documents(unit, reading)


def file_documents(
    address: str, name: str, folder: Path, reading: Reading, prefix: str = ""
) -> Iterator[Document]:
    """Read documents of one local file, or of a remote one through a temporary copy in ``folder``.

    Generated ids begin with ``name``, and all ids with ``prefix``.
    """
    with fetched(address, folder) as path:
        for unit in make_units([path], names=[name]):
            for document in read_documents(unit, reading):
                yield replace(document, id=f"{prefix}{document.id}")


def hub_documents(
    name: str,
    subset: str | None = None,
    split: str = "train",
    revision: str | None = None,
    reading: Reading = Reading(),  # noqa: B008
    files: str | None = None,
) -> Iterator[Document]:
    """Stream a data set of the hub, or a local folder that ``datasets`` can read.

    Args:
        name: id of the data set, or the folder.
        subset: name of its configuration.
        revision: its commit.
        files: pattern of files inside it; None for the files that its loader chooses.

    Raises:
        UserError: it cannot be reached, or a row does not have the columns of ``reading``.
    """
    from datasets import load_dataset

    try:
        rows = load_dataset(
            name, subset, split=split, revision=revision, streaming=True,
            data_files=None if files is None else {split: files},
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load the data set {name!r}: {short(error)}") from error
    for number, row in enumerate(_stream(rows, name)):
        where, default_id = f"data set {name!r} row {number}", f"{split}:{number}"
        document = document_of(dict(row), reading, where, default_id)
        if document is not None:
            yield document


def _stream(rows: Iterable[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    from datasets.exceptions import DatasetsError

    try:
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
