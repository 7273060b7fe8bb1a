"""Where documents come from: local files, and the hub."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from toedit.corpora.documents import Reading, document_of, read_documents
from toedit.corpora.remote import fetched
from toedit.corpora.units import corpus_files, make_units
from toedit.document import Document
from toedit.errors import UserError


def local_documents(
    paths: Iterable[str | Path],
    reading: Reading = Reading(),  # noqa: B008
) -> Iterator[Document]:
    """Documents of parquet, jsonl (.gz, .zst) or txt files, in order."""
    for unit in make_units(corpus_files(paths), whole_files=reading.whole_files):
        yield from read_documents(unit, reading)


def file_documents(
    address: str, name: str, folder: Path, reading: Reading, prefix: str = ""
) -> Iterator[Document]:
    """Documents of one file, wherever it lies.

    Args:
        address: of the file.
        name: stands for it in the ids of documents that have none.
        folder: where a copy lies meanwhile, of a file from elsewhere.
        reading: how records become documents.
        prefix: before the id of every document.
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
    """Streams a data set of the hub, or a local folder that ``datasets`` can read.

    Args:
        name: of the data set.
        subset: its configuration.
        split: its split.
        revision: its commit.
        reading: how records become documents.
        files: pattern of files inside it; None for what its loader takes.

    Raises:
        UserError: it cannot be reached, or a row is no record of the kind that ``reading`` says.
    """
    from datasets import load_dataset

    try:
        rows = load_dataset(
            name, subset, split=split, revision=revision, streaming=True,
            data_files=None if files is None else {split: files},
        )  # fmt: skip
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"cannot load the data set {name!r}: {reason}") from error
    for number, row in enumerate(_streamed(rows, name)):

        def named(identity: object, row: int = number) -> str:
            return f"{split}:{row}" if identity is None else str(identity)

        document = document_of(dict(row), reading, f"data set {name!r} row {number}", named)
        if document is not None:
            yield document


def _streamed(rows: Iterable[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    from datasets.exceptions import DatasetsError

    try:
        yield from rows
    except (OSError, ValueError, DatasetsError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"reading the data set {name!r} broke off: {reason}; run again") from error


def drop_repeated_lines(documents: Iterable[Document]) -> Iterator[Document]:
    """Removes every line that occurred before, in this document or an earlier one.

    Lines are compared without case and surrounding space; a line that is part of another line of
    its own document goes too. A document without a line left is dropped.
    """
    seen: set[str] = set()
    for document in documents:
        lines = [line.strip() for line in document.text.split("\n")]
        keys = [" ".join(line.casefold().split()) for line in lines]
        kept = []
        for i, (line, key) in enumerate(zip(lines, keys, strict=True)):
            inside = any(key in other for j, other in enumerate(keys) if j != i and key != other)
            if key and key not in seen and not inside:
                kept.append(line)
            seen.add(key)
        if kept:
            metadata = {
                **document.metadata,
                "lines": len(kept),
                "lines_dropped": len(lines) - len(kept),
            }
            yield Document(document.id, "\n".join(kept), metadata)
