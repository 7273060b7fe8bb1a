"""The first documents of files elsewhere, without reading the rest of them."""

from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.fingerprint import digest
from toedit.corpora.remote import addresses, opened
from toedit.embedded import once

DOCUMENTS = 300


def head(pattern: str) -> Path:
    """A copy of the first documents of the first file that a pattern stands for, made once.

    Args:
        pattern: an address, as :func:`toedit.corpora.remote.addresses` takes it.

    Raises:
        UserError: it stands for no file, or its place cannot be reached.
    """
    first = addresses([pattern])[0]
    name = Path(urlsplit(first).path).name
    folder = once(f"rehearsal-head-{digest([first, DOCUMENTS])}", partial(_copy, first, name))
    return folder / name


def _copy(address: str, name: str, folder: Path) -> None:
    with opened(address) as stream:
        if name.endswith(".parquet"):
            batch = next(pq.ParquetFile(stream).iter_batches(DOCUMENTS))
            pq.write_table(pa.Table.from_batches([batch]), folder / name)
            return
        codec = {".gz": "gzip", ".zst": "zstd"}.get(Path(name).suffix)
        source: Any = pa.PythonFile(stream, "r")
        text = pa.CompressedInputStream(source, codec) if codec else source
        with pa.output_stream(str(folder / name), compression=codec) as copy:
            copy.write(_lines(text))


def _lines(text: Any) -> bytes:
    """The first lines of a text."""
    read = b""
    while read.count(b"\n") < DOCUMENTS and (block := text.read(1 << 16)):
        read += block
    return b"\n".join(read.split(b"\n")[:DOCUMENTS]) + b"\n" if read else b""
