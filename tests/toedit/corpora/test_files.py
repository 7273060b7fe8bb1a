"""Files that are hard to read: long lines, and archives that unpack to far more than text does."""

import gzip
import time

import pyarrow as pa
import pytest

from toedit.corpora import files
from toedit.corpora.prepare import prepare
from toedit.corpora.records import Reading
from toedit.corpora.sources import local_documents
from toedit.corpora.units import lines, make_units
from toedit.errors import UserError


def test_a_long_line_takes_linear_time(tmp_path):
    path = tmp_path / "a.txt"
    size = 200_000_000
    path.write_bytes(b"first\n" + b"x" * size + b"\nlast")
    started = time.process_time()
    assert [len(line) for line in lines(path)] == [6, size + 1, 4]
    assert [len(line) for line in lines(path, size)] == [7, 4]
    assert time.process_time() - started < 5  # quadratic, it was 20


def test_lines_of_compressed_files_from_an_offset(tmp_path):
    text = b"".join(b"%d %s\n" % (i, b"y" * (i % 3000)) for i in range(2000))
    plain, packed = tmp_path / "a.jsonl", tmp_path / "a.jsonl.zst"
    plain.write_bytes(text)
    packed.write_bytes(pa.compress(text, "zstd", asbytes=True))
    for offset in (0, 1, 70_000, len(text) - 1, len(text), len(text) + 9):
        expected = text[offset:].splitlines(keepends=True)
        assert list(lines(plain, offset)) == list(lines(packed, offset)) == expected


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_an_archive_that_unpacks_without_end_is_refused(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(files, "MIN_UNPACKED", 1 << 22)
    path, text = tmp_path / f"bomb.jsonl.{suffix}", b'{"text": "again"}\n' * 400_000
    path.write_bytes(gzip.compress(text) if suffix == "gz" else pa.compress(text, "zstd", True))
    message = rf"bomb\.jsonl\.{suffix}' unpacks to more than 100 times its size .* unpack it first"
    with pytest.raises(UserError, match=message):
        prepare([str(path)], tmp_path / "out", Reading(), 64)
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    with pytest.raises(UserError, match=message):
        list(local_documents([path]))
    monkeypatch.setattr(files, "MIN_UNPACKED", 1 << 23)  # small files may repeat themselves
    assert sum(unit.stop - unit.start for unit in make_units([path])) == 400_000
