"""From what a user names to a manifest: files, folders, hub data sets, checked before any work."""

import re
import shutil
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.columns import common_schema, write_schema
from toedit.corpora.documents import Reading, document_id, raw_ids
from toedit.corpora.files import atomic_path, damaged_as, parquet_files
from toedit.corpora.units import (
    COMPRESSED,
    SUFFIXES,
    Unit,
    corpus_files,
    file_names,
    make_units,
    manifest_path,
    one_unit_a_file,
    open_lines,
    read_units,
    write_units,
)
from toedit.errors import UserError

SCHEMA = "schema.parquet"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
ROWS_PER_GROUP = 8192
"""A parquet file with larger row groups is copied, so that no unit reads a whole one."""

ROWS_PER_FILE = 50_000
"""Rows of a file that a hub data set is copied into."""


def is_hub_id(name: str) -> bool:
    """Whether an input is meant as the id of a hub data set: ``owner/name``, and no path here."""
    return bool(HUB_ID.fullmatch(name)) and not name.endswith(SUFFIXES) and not Path(name).exists()


def prepare(
    inputs: Sequence[str], folder: Path, reading: Reading, rows_per_unit: int
) -> list[Unit]:
    """Makes the manifest and the schema of a corpus, once; afterwards reads them.

    What cannot be read from the middle (compressed files, hub data sets, parquet of large row
    groups) is first copied into the folder.

    Args:
        inputs: files, folders, or ids of hub data sets.
        folder: where the manifest goes.
        reading: how records become documents.
        rows_per_unit: documents in a unit of work.

    Raises:
        UserError: an input cannot be read, files disagree, or two documents have one id.
    """
    manifest = manifest_path(folder)
    if manifest.exists():
        return read_units(manifest)
    copies = manifest.parent / "source"
    paths = [
        path
        for name in inputs
        for path in (
            hub_copy(name, copies / "hub" / name.replace("/", "--"))
            if is_hub_id(name)
            else corpus_files([name])
        )
    ]
    plain = [_plain(path, copies / f"{i:05d}") for i, path in enumerate(paths)]
    units = make_units(plain, rows_per_unit, reading.whole_files, file_names(paths))
    if not units:
        raise UserError("the inputs hold no document")
    all_have_ids = require_unique_ids(units, reading)
    schema = common_schema(units, reading, all_have_ids)
    write_schema(manifest.parent / SCHEMA, schema)
    write_units(manifest, units)
    return units


def _plain(path: Path, copy: Path) -> Path:
    """The file itself, or a copy of it that can be read from the middle."""
    if path.name.endswith(".parquet"):
        return _small_groups(path, copy.with_suffix(".parquet"))
    if not path.name.endswith(COMPRESSED):
        return path
    target = copy.with_suffix(".jsonl")
    if not target.exists():
        with (
            damaged_as(path),
            atomic_path(target) as temporary,
            open_lines(path) as source,
            temporary.open("wb") as handle,
        ):
            shutil.copyfileobj(source, handle, 1 << 20)
    return target


def _small_groups(path: Path, target: Path) -> Path:
    """The file itself, or a copy with smaller row groups: a group is the least that can be read."""
    with damaged_as(path):
        file = pq.ParquetFile(path)
        groups = (file.metadata.row_group(i).num_rows for i in range(file.num_row_groups))
        if max(groups, default=0) <= ROWS_PER_GROUP or target.exists():
            return target if target.exists() else path
        with (
            atomic_path(target) as temporary,
            pq.ParquetWriter(temporary, file.schema_arrow, compression="zstd") as writer,
        ):
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
                writer.write_batch(batch)
    return target


def hub_copy(name: str, folder: Path) -> list[Path]:
    """Copies the training split of a hub data set, or of a folder ``datasets`` reads, to parquet.

    Args:
        name: its id.
        folder: where the files go; a complete copy there is used again.

    Raises:
        UserError: it cannot be reached.
    """
    complete = folder / "complete"
    if not complete.exists():
        from datasets import load_dataset

        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            rows = load_dataset(name, split="train", streaming=True).with_format("arrow")
            batches = rows.iter(batch_size=ROWS_PER_FILE)
            for number, batch in enumerate(batches):
                pq.write_table(batch, folder / f"{number:05d}.parquet", row_group_size=1024)
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())[:160]
            raise UserError(
                f"{name!r} is no file here, and as a hub data set it cannot be loaded: {reason}"
            ) from error
        complete.touch()
    return parquet_files(folder)


def require_unique_ids(units: Sequence[Unit], reading: Reading) -> bool:
    """Reads every id once; eight bytes a document are kept in memory.

    Returns:
        Whether every document has an id of its own.

    Raises:
        UserError: two documents have one id, which keys their randomness.
    """
    files, complete = one_unit_a_file(units), True

    def digests(unit: Unit) -> bytes:
        nonlocal complete
        hashes = bytearray()
        for row, identity in enumerate(raw_ids(unit, reading), unit.start):
            complete = complete and identity is not None
            hashes += _digest(document_id(identity, unit, row))
        return bytes(hashes)

    every = np.frombuffer(b"".join(map(digests, files)), np.uint64)
    values, counts = np.unique(every, return_counts=True)
    if len(values) == len(every):
        return complete
    twice = values[counts > 1][0].tobytes()
    (first, identity), (second, _) = [
        (f"{unit.name} row {row}", name)
        for unit in files
        for row, raw in enumerate(raw_ids(unit, reading), unit.start)
        if _digest(name := document_id(raw, unit, row)) == twice
    ][:2]
    raise UserError(
        f"two documents have the id {identity!r} ({first}, {second}); ids key the randomness of "
        "editing, so make them unique or name another column with --id-column"
    )


def _digest(identity: str) -> bytes:
    return blake2b(identity.encode("utf-8", "replace"), digest_size=8).digest()
