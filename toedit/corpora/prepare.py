"""Prepare files, folders and hub data sets for units of work: copy, check ids, write a manifest."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

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
from toedit.corpora.files import (
    atomic_path,
    damaged_as,
    natural,
    read_zstd_by_pyarrow,
    text_stream,
)
from toedit.corpora.paths import is_relative
from toedit.corpora.records import Reading
from toedit.corpora.remote import address_path, fetched, fixed_addresses, is_remote
from toedit.corpora.schema import common_schema, write_schema
from toedit.corpora.sources import loading_errors
from toedit.corpora.units import (
    COMPRESSED,
    JSON_LINES,
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
from toedit.errors import UserError, environment_problem, short
from toedit.hub import ADDRESS, DATASET, commit_of, hub_errors, pinned_address, split_revision

SCHEMA = "schema.parquet"
COMPLETE, BEGUN = "complete", "begun"
"""Files in the copy of a hub data set that hold its commit, written last and first."""

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
ROWS_PER_GROUP = 8192
"""Parquet files with larger row groups are copied: a row group is the least that can be read."""

ROWS_PER_FILE, ROWS_PER_BATCH = 50_000, 1000
"""Rows per file of a copied hub data set, and of it in memory."""

LISTED = "files.json"
"""File in the copies of an address that fixes which files its pattern stands for."""


def is_hub_id(name: str) -> bool:
    """Whether an input is the id of a hub data set (``owner/name[@revision]``), and no path."""
    return bool(HUB_ID.fullmatch(name)) and not name.endswith(SUFFIXES) and not Path(name).exists()


def prepare(
    inputs: Sequence[str],
    folder: Path,
    reading: Reading,
    rows_per_unit: int,
    subset: str | None = None,
    split: str = "train",
) -> list[Unit]:
    """Write the manifest and the schema of a corpus; if they exist, read the manifest.

    What is not here, or cannot be read from the middle (compressed files, parquet with large row
    groups), is first copied into the folder. Inputs are files, folders, addresses, or ids of hub
    data sets, of which ``subset`` and ``split`` are read. A manifest of files in other places is
    written again; that their content is the same is up to the caller.

    Raises:
        UserError: an input cannot be read, files disagree, or two documents have one id.
    """
    manifest = manifest_path(folder)
    copies = manifest.parent / "source"
    paths: list[Path] = []
    for name in inputs:
        if is_hub_id(name):
            paths += hub_copy(name, _copy_folder(copies / "hub", name), subset, split)
        elif is_remote(name):
            paths += remote_copies(name, _copy_folder(copies / "remote", name))
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


def _copy_folder(folder: Path, name: str) -> Path:
    plain = name if is_hub_id(name) else blake2b(name.encode(), digest_size=8).hexdigest()
    return folder / plain.replace("/", "--")


def pinned_commit(name: str) -> str | None:
    """The commit at which an input is read; None for an address elsewhere than on the hub.

    Raises:
        UserError: it is not on the hub, or may not be read.
    """
    if is_hub_id(name):
        return commit_of(DATASET, *split_revision(name))
    found = ADDRESS.search(pinned_address(name))
    return found[3] if found else None


def remote_copies(pattern: str, folder: Path) -> list[Path]:
    """Copy the files of an address, in which ``*`` matches anything; those here are reused.

    Copies have the path of their address, so that ids are those of the same files on this machine.

    Raises:
        UserError: no file matches, or one cannot be read.
    """
    copies = []
    for address in fixed_addresses([pattern], folder / LISTED):
        place = address_path(address)
        suffix = next((s for s in (*SUFFIXES, *JSON_LINES) if place.endswith(s)), None)
        if suffix is None or not is_relative(place):
            allowed = ", ".join((*SUFFIXES, *JSON_LINES))
            raise UserError(f"{address!r} has an unknown suffix; allowed: {allowed}")
        copy = folder / (place.removesuffix(suffix) + JSON_LINES.get(suffix, suffix))
        if copy in copies:
            raise UserError(f"two addresses name the file {place!r}; read one of them")
        if not copy.exists():
            with fetched(address, folder / "fetched") as temporary:
                copy.parent.mkdir(parents=True, exist_ok=True)
                os.replace(temporary, copy)
        copies.append(copy)
    return copies


def hub_copy(
    name: str, folder: Path, subset: str | None = None, split: str = "train"
) -> list[Path]:
    """Copy a split of a hub data set, or of a folder ``datasets`` reads, to parquet.

    Shards that an interrupted copy in ``folder`` holds in full are not read again.

    Raises:
        UserError: it cannot be loaded.
    """
    if not (folder / COMPLETE).exists():
        from datasets import load_dataset_builder

        read_zstd_by_pyarrow()
        plain, revision = split_revision(name)
        commit = None if Path(plain).exists() else commit_of(DATASET, plain, revision)
        with _loading(plain, commit or revision):
            builder = load_dataset_builder(plain, subset, revision=commit or revision)
            rows = builder.as_streaming_dataset(split).with_format("arrow")
            state = f"{builder.hash} {subset} {split} {rows.num_shards}"
            if not (folder / BEGUN).exists() or (folder / BEGUN).read_text() != state:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                (folder / BEGUN).write_text(state)
            for number in range(rows.num_shards):
                _copy_shard(rows.shard(rows.num_shards, number), folder / f"{number:05d}")
            (folder / COMPLETE).write_text(builder.hash or "")
    return sorted(folder.rglob("*.parquet"), key=natural)


def _copy_shard(rows: Any, target: Path) -> None:
    """Copy a shard to files of :data:`ROWS_PER_FILE` rows, or fewer where columns change."""
    if target.exists():
        return
    temporary = target.with_name(f".{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    number = room = 0
    writer: pq.ParquetWriter | None = None
    with ExitStack() as files:
        for batch in rows.iter(batch_size=ROWS_PER_BATCH):
            if writer is None or room <= 0 or batch.schema != writer.schema:
                files.close()
                path, room = temporary / f"{number:05d}.parquet", ROWS_PER_FILE
                writer = files.enter_context(pq.ParquetWriter(path, batch.schema))
                number += 1
            writer.write_table(batch)
            room -= len(batch)
    os.replace(temporary, target)


@contextmanager
def _loading(name: str, revision: str | None) -> Iterator[None]:
    """Explain what ``datasets`` raises for a data set."""
    try:
        with hub_errors(DATASET, name, revision):
            yield
    except (*loading_errors(), pa.ArrowException) as error:
        if environment_problem(error):
            raise
        raise UserError(
            f"{name!r} is no file here, and as a hub data set it cannot be loaded: "
            f"{short(error, 300)}; --subset names its configuration, --split its split"
        ) from error


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
