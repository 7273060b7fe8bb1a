"""A full disk ends in one line that names the folder, whatever library wrote."""

import os

import numpy as np
import pytest
from commands import cli, table_of
from conftest import corpus_text

from toedit.corpora.files import save_array, save_table, write_json
from toedit.errors import UserError, environment_problem, writing_to

MANY = "0123456789abcdef" * 8192  # 128 kB, incompressible where it matters


def by_torch(folder):
    import torch

    torch.save({"weights": torch.rand(1 << 16)}, folder / "optimizer.pt")


def by_safetensors(folder):
    import torch
    from safetensors.torch import save_file

    save_file({"weights": torch.rand(1 << 16)}, folder / "model.safetensors")


def by_pyarrow(folder):
    save_table(folder / "rows.parquet", [{"bytes": os.urandom(1 << 17)}])


WRITERS = {
    "torch": by_torch,
    "safetensors": by_safetensors,
    "pyarrow": by_pyarrow,
    "json": lambda folder: write_json(folder / "statistics.json", {"a": MANY}),
    "numpy": lambda folder: save_array(folder / "blocks.npy", np.zeros(1 << 15)),
    "text": lambda folder: (folder / "README.md").write_text(MANY),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_names_the_folder_and_what_to_do(small_disk, writer):
    disk = small_disk("32k")
    with pytest.raises(UserError, match=r"^the disk is full at ") as refused, writing_to(disk):
        WRITERS[writer](disk)
    assert str(disk) in str(refused.value)
    assert "free some space, then the same command continues" in str(refused.value)
    assert not [p for p in disk.iterdir() if p.suffix in (".json", ".npy", ".parquet")]


def test_a_full_folder_for_temporary_files_is_found(small_disk, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(small_disk("16k")))
    error = RuntimeError("I/O error: No space left on device (os error 28)")
    assert f"full at '{tmp_path / 'disk'}'" in str(environment_problem(error, tmp_path))


def test_other_errors_stay_as_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="a bug"), writing_to(tmp_path):
        raise RuntimeError("a bug")
    assert environment_problem(RuntimeError("unexpected position")) is None


@pytest.mark.parametrize("size", ["4k", "24k", "60k"])
def test_an_edit_on_a_full_disk_continues_when_there_is_space(small_disk, tmp_path, capsys, size):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("".join(f"{corpus_text(i)[:120]} of day {i}\n" for i in range(150)))
    options = ("--prior", "table", "--threshold", "0.05")
    out = small_disk(size) / "out"
    assert cli("edit", corpus, "--output", out, *options) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"error: the disk is full at '{out.parent}")
    assert not (out / "edit_stats.json").exists()
    small_disk("8m")
    assert cli("edit", corpus, "--output", out, *options) == 0
    assert cli("edit", corpus, "--output", tmp_path / "whole", *options) == 0
    assert table_of(out).equals(table_of(tmp_path / "whole"))
