"""``toedit edit`` under SIGKILL of a worker or of the driver: identical bytes, little work lost."""

import os
import signal
from pathlib import Path

import pytest
from commands import Command, lines, wait_for
from conftest import corpus_text

ROWS = 600


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_text(lines({"id": f"d{i}", "text": corpus_text(i)} for i in range(ROWS)))
    return path


def arguments(corpus: Path, output: Path, workers: int) -> list[str]:
    return ["edit", str(corpus), "--output", str(output), "--prior", "table", "--preset",
            "released_code", "--workers", str(workers), "--rescore"]  # fmt: skip


def run(arguments: list[str], log: Path) -> str:
    command = Command(arguments, log, "toedit.__main__")
    assert command.wait() == 0, command.output[-2000:]
    return command.output


@pytest.fixture(scope="module")
def expected(corpus, tmp_path_factory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("whole") / "out"
    run(arguments(corpus, output, 1), output.parent / "log")
    found = tree(output)
    assert {"README.md", "edit_stats.json"} < set(found)
    return found


def tree(output: Path) -> dict[str, bytes]:
    """Every file of a finished output."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and ".work" not in path.parts
    }


def shards(output: Path) -> dict[str, int]:
    """Finished units and when their shard was written."""
    work = output / ".work" / "generation-0"
    done = {path.name for path in work.glob(".work/completions/*")}
    return {
        rank: (work / "shards" / f"{rank}.parquet").stat().st_mtime_ns
        for rank in done
        if (work / "shards" / f"{rank}.parquet").exists()
    }


def children(pid: int) -> list[int]:
    """Every descendant of a process."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *children(child)]
    return found


def workers(command: Command) -> list[int]:
    """Its descendants that have a worker's signal handling: Ctrl-C is ignored."""
    ignoring = []
    for pid in children(command.process.pid):
        status = Path(f"/proc/{pid}/status").read_text()
        ignored = int(status.split("SigIgn:")[1].split()[0], 16)
        if ignored >> (signal.SIGINT - 1) & 1:
            ignoring.append(pid)
    return ignoring


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_workers_change_no_byte(corpus, expected, tmp_path, count):
    run(arguments(corpus, tmp_path / "out", count), tmp_path / "log")
    assert tree(tmp_path / "out") == expected


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["driver", "group"])
def test_a_killed_run_continues_and_keeps_finished_units(corpus, expected, tmp_path, victim):
    output = tmp_path / "out"
    command = Command(arguments(corpus, output, 2), tmp_path / "log", "toedit.__main__")
    wait_for(lambda: len(shards(output)) >= 2, command)
    command.kill(group=victim == "group")
    before = shards(output)
    assert not (output / "edit_stats.json").exists()
    again = Command(arguments(corpus, output, 2), tmp_path / "log2", "toedit.__main__")
    wait_for(lambda: len(shards(output)) >= len(before) + 1, again)
    assert {rank: shards(output)[rank] for rank in before} == before  # none was done again
    assert again.wait() == 0, again.output[-2000:]
    assert tree(output) == expected


def test_a_killed_worker_is_replaced(corpus, expected, tmp_path):
    output = tmp_path / "out"
    command = Command(arguments(corpus, output, 2), tmp_path / "log", "toedit.__main__")
    wait_for(lambda: len(shards(output)) >= 1 and len(workers(command)) >= 2, command)
    os.kill(workers(command)[-1], signal.SIGKILL)
    assert command.wait() == 0, command.output[-2000:]
    assert tree(output) == expected


@pytest.mark.slow
def test_workers_end_with_their_driver(corpus, tmp_path):
    output = tmp_path / "out"
    command = Command(arguments(corpus, output, 2), tmp_path / "log", "toedit.__main__")
    wait_for(lambda: len(shards(output)) >= 1 and len(workers(command)) >= 2, command)
    helpers = children(command.process.pid)
    command.kill(group=False)
    for pid in helpers:
        for _ in range(500):
            if (
                not Path(f"/proc/{pid}").exists()
                or "(zombie)" in Path(f"/proc/{pid}/status").read_text()
            ):
                break
            signal.sigtimedwait([], 0.02)
        else:
            raise AssertionError(f"process {pid} lives on")
