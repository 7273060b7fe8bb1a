"""Prepare files, folders and hub data sets for units of work: copy, check ids, write a manifest."""

import os
import re
import shutil
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.conversations import RESPONDER, ROLES, roles_of
from toedit.corpora.documents import (
    checked_ids,
    document_id,
    read_documents,
    require_text_columns,
)
from toedit.corpora.files import atomic_path, damaged_as, parquet_files, text_stream
from toedit.corpora.records import Reading
from toedit.corpora.schema import common_schema, write_schema
from toedit.corpora.sources import loading_errors, loading_problem
from toedit.corpora.units import (
    COMPRESSED,
    SUFFIXES,
    Unit,
    corpus_files,
    distinct,
    file_names,
    make_units,
    manifest_path,
    one_unit_per_file,
    read_units,
    write_units,
)
from toedit.errors import UserError

SCHEMA = "schema.parquet"
COMPLETE = "complete"
"""File in the copy of a hub data set that holds its commit, written last."""

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
ROWS_PER_GROUP = 8192
"""Parquet files with larger row groups are copied: a row group is the least that can be read."""

ROWS_PER_FILE = 50_000
"""Rows per file of a copied hub data set."""


def is_hub_id(name: str) -> bool:
    """Whether an input is the id of a hub data set: ``owner/name``, and no local path."""
    return bool(HUB_ID.fullmatch(name)) and not name.endswith(SUFFIXES) and not Path(name).exists()


def prepare(
    inputs: Sequence[str], folder: Path, reading: Reading, rows_per_unit: int
) -> list[Unit]:
    """Write the manifest and the schema of a corpus; if they exist, read the manifest.

    Files that cannot be read from the middle (compressed files, hub data sets, parquet with large
    row groups) are first copied into the folder. Inputs are files, folders or ids of hub data sets.
    A manifest of files in other places is written again; that their content is the same is up to
    the caller.

    Raises:
        UserError: an input cannot be read, files disagree, or two documents have one id.
    """
    manifest = manifest_path(folder)
    copies = manifest.parent / "source"
    paths: list[Path] = []
    for name in inputs:
        if is_hub_id(name):
            paths += hub_copy(name, _hub_folder(folder, name))
        else:
            paths += corpus_files([name], warn=True)
    paths = distinct(paths)
    if manifest.exists():
        units, here = read_units(manifest), {os.path.abspath(path) for path in paths}
        read = {os.path.abspath(unit.file) for unit in units}
        if all(Path(file).is_relative_to(os.path.abspath(copies)) for file in read - here):
            return units
    seekable = [_seekable(path, copies / f"{i:05d}") for i, path in enumerate(paths)]
    units = make_units(seekable, rows_per_unit, reading.whole_files, file_names(paths))
    if not units:
        raise UserError("the inputs hold no document")
    require_text_columns(units, reading)
    all_have_ids = require_unique_ids(units, reading)
    documents = (document for unit in units for document in read_documents(unit, reading))
    if reading.missing_text == "skip" and next(documents, None) is None:
        raise UserError("the inputs hold no document with a text")
    write_schema(manifest.parent / SCHEMA, common_schema(units, reading, all_have_ids))
    write_units(manifest, units)
    return units


def _seekable(path: Path, copy: Path) -> Path:
    """The file itself if it can be read from the middle, else an uncompressed copy."""
    if path.name.endswith(".parquet"):
        return _small_groups(path, copy.with_suffix(".parquet"))
    if not path.name.endswith(COMPRESSED):
        return path
    target = copy.with_suffix(".jsonl")
    if not target.exists():
        with (
            text_stream(path) as source,
            atomic_path(target) as temporary,
            temporary.open("wb") as handle,
        ):
            shutil.copyfileobj(source, handle, 1 << 20)
    return target


def _small_groups(path: Path, target: Path) -> Path:
    """The file itself, or a copy at ``target`` if its row groups are large."""
    if target.exists():
        return target
    with damaged_as(path):
        file = pq.ParquetFile(path)
        groups = (file.metadata.row_group(i).num_rows for i in range(file.num_row_groups))
        if max(groups, default=0) <= ROWS_PER_GROUP:
            return path
        with (
            atomic_path(target) as temporary,
            pq.ParquetWriter(temporary, file.schema_arrow, compression="zstd") as writer,
        ):
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
                writer.write_batch(batch)
    return target


def _hub_folder(folder: Path, name: str) -> Path:
    return manifest_path(folder).parent / "source" / "hub" / name.replace("/", "--")


def hub_commit(name: str, folder: Path) -> str | None:
    """Return the commit of the copied data set that ``prepare`` left in ``folder``, if known."""
    return (_hub_folder(folder, name) / COMPLETE).read_text() or None


def hub_copy(name: str, folder: Path) -> list[Path]:
    """Copy the training split of a hub data set, or of a folder ``datasets`` reads, to parquet.

    A complete copy in ``folder`` is reused.

    Raises:
        UserError: it cannot be loaded.
    """
    complete = folder / COMPLETE
    if not complete.exists():
        from datasets import load_dataset_builder

        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            builder = load_dataset_builder(name)
            rows = builder.as_streaming_dataset("train").with_format("arrow")
            batches = rows.iter(batch_size=ROWS_PER_FILE)
            for number, batch in enumerate(batches):
                pq.write_table(batch, folder / f"{number:05d}.parquet", row_group_size=1024)
        except (*loading_errors(), pa.ArrowException) as error:
            raise UserError(
                f"{name!r} is no file here, and as a hub data set it cannot be loaded: "
                + loading_problem(error, "download the files that it reads and name them")
            ) from error
        complete.write_text(builder.hash or "")
    return parquet_files(folder)


def require_unique_ids(units: Sequence[Unit], reading: Reading) -> bool:
    """Check every text, and that no two documents have the same id.

    Needs eight bytes of memory per document.

    Returns:
        Whether every record has an id.

    Raises:
        UserError: a text is missing or no text, or two documents have the same id, which keys
            their randomness.
    """
    files, all_have_ids, digests = one_unit_per_file(units), True, bytearray()
    for unit in files:
        for row, value in enumerate(checked_ids(unit, reading), unit.start):
            all_have_ids = all_have_ids and value is not None
            digests += _digest(document_id(value, unit, row))
    values, counts = np.unique(np.frombuffer(digests, np.uint64), return_counts=True)
    if (counts == 1).all():
        return all_have_ids
    repeated = values[counts > 1][0].tobytes()
    (first, identity), (second, _) = [
        (f"{unit.name} row {row}", name)
        for unit in files
        for row, value in enumerate(checked_ids(unit, reading), unit.start)
        if _digest(name := document_id(value, unit, row)) == repeated
    ][:2]
    raise UserError(
        f"two documents have the id {identity!r} ({first}, {second}); ids key the randomness of "
        "editing, so make them unique or name another column with --id-column, one that no record "
        "has for file and row"
    )


def require_responses(units: Sequence[Unit], reading: Reading) -> None:
    """Check that a corpus of conversations has a response; reads no further than the first.

    Raises:
        UserError: it has none, so that its roles probably have other names.
    """
    if reading.messages_column is None:
        return
    names: set[str] = set()
    for document in (d for unit in units for d in read_documents(unit, reading)):
        if document.editable:
            return
        names |= roles_of(document.metadata[reading.messages_column])
    raise UserError(
        f"no turn in column {reading.messages_column!r} is a response with text; its roles are "
        f"{', '.join(sorted(names)) or 'none'}; say which is the response's with "
        f"--role-names {RESPONDER}=NAME (roles: {', '.join(ROLES)})"
    )


def _digest(identity: str) -> bytes:
    return blake2b(identity.encode("utf-8", "replace"), digest_size=8).digest()
