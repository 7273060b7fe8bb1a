"""``toedit edit`` and ``score`` on Slurm and on Ray: the bytes of one machine."""

import re
from pathlib import Path

import pytest
from commands import cli, lines
from conftest import corpus_text
from slurm import ask, until

SUBMITTED = 75


@pytest.fixture()
def commands(tmp_path, tiny_model) -> list[list[object]]:
    """Both commands, over more documents than a unit has, with a prior of floating point."""
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(lines({"id": f"d{i}", "text": corpus_text(i)[:120]} for i in range(150)))
    prior = ["--prior", tiny_model, "--threads", "1", "--shard-size", "0.01"]
    rule = ["--preset", "forced", "--threshold", "1e-6"]
    return [["edit", corpus, *prior, *rule], ["score", corpus, *prior, "--tokens"]]


def shards(output: Path) -> dict[str, bytes]:
    found = {p.relative_to(output).as_posix(): p.read_bytes() for p in output.glob("*/*.parquet")}
    assert len(found) > 1
    return found


@pytest.mark.slow
def test_on_slurm(commands, tmp_path, slurm, capsys):
    more = ("--engine", "slurm", "--memory-gb", "1", "--cpus", "1", "--workers", "3")
    submitted = []
    for command in commands:
        output = tmp_path / "slurm" / str(command[0])
        assert cli(*command, "--output", output, *more) == SUBMITTED
        submitted.append(capsys.readouterr().out)
        assert re.search(r"3 of 3 units of .* submitted as Slurm job \d+: 3 ", submitted[-1])
    until(lambda: not ask("squeue", "-h").strip(), 180)
    for command in commands:
        output, here = (tmp_path / place / str(command[0]) for place in ("slurm", "here"))
        assert cli(*command, "--output", output, *more) == 0
        assert cli(*command, "--output", here) == 0
        assert shards(output) == shards(here)


@pytest.mark.ray
def test_on_ray(commands, tmp_path):
    pytest.importorskip("ray", reason="the extra toedit[ray] is not installed")
    more = ("--engine", "ray", "--memory-gb", "1", "--cpus", "1", "--workers", "2")
    for command in commands:
        output, here = (tmp_path / place / str(command[0]) for place in ("ray", "here"))
        assert cli(*command, "--output", output, *more) == 0
        assert cli(*command, "--output", here) == 0
        assert shards(output) == shards(here)
