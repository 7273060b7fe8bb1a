"""Runs our command lines in processes that have the heavy imports behind them.

A fork server imports torch and transformers once; each command is a process of its own, forked from
it, with its own arguments, output, exit code and process group. It is killed like any other.
"""

import fcntl
import hashlib
import json
import multiprocessing
import os
import pty
import re
import resource
import signal
import struct
import sys
import termios
import threading
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import corpus_text

from toedit.__main__ import main

ROOT = Path(__file__).resolve().parents[2]

FORK = multiprocessing.get_context("forkserver")
PRELOAD = (  # by installed names: the fork server does not know pytest's path
    "datasets", "hydra", "matplotlib.backends.backend_pdf", "matplotlib.pyplot",
    "transformers.models.auto.modeling_auto",
    "transformers.models.llama.modeling_llama", "transformers.trainer",
    "experiments.config.compose", "experiments.reports.arms", "experiments.reports.arms_page",
    "experiments.run", "experiments.runner", "experiments.store.__main__",
    "experiments.training.worker", "toedit.__main__", "toedit.pipeline",
)  # fmt: skip
FORK.set_forkserver_preload(list(PRELOAD))

ROWS = [{"id": i, "text": corpus_text(i), "year": 1990 + i, "tags": ["a", None][: i % 3]}
        for i in range(90)]  # fmt: skip
"""A corpus of numbered documents with other columns."""

VOLATILE = {
    "seconds",
    "finished",
    "peak_memory_gb",
    "argv",
    "command_line",
    "git_dirty",
    "git_commit",
}
"""Fields of a record that say when and how fast, not what."""


def small_run(corpus: Path, model: Path, store: Path, *more: str) -> list[str]:
    """Arguments of the whole experiment on a tiny random model and the exact prior."""
    return [
        "+exp=cpt_bio", f"store={store}",
        "corpus=local", f"corpus.paths=[{corpus}]", "corpus.heldout_share=0.3",
        "corpus.train_characters=null", "corpus.heldout_characters=null",
        "prior=table", f"model.model={model}", "model.separator=null",
        "train.tokens=1536", "train.block_size=64", "train.batch_tokens=128",
        "train.checkpoint_steps=4", "engine.rows_per_unit=4",
        "eval.suite=null", "eval.heldout_tokens=1000", "tracker=none", *more,
    ]  # fmt: skip


def _main(
    module: str,
    arguments: list[str],
    log: str,
    environment: dict[str, str],
    file_size: int | None,
    columns: int | None,
) -> None:
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    if columns is not None:
        output = _terminal(output, columns)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environment)
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [module, *arguments]
    try:
        import_module(module).main()
    finally:
        # As at the end of an interpreter; else idle workers of joblib are waited for, five minutes.
        sys.stdout.flush()
        if columns is not None:
            for number in (output, 1, 2):
                os.close(number)  # which ends the copy
        threading._shutdown()


def _terminal(output: int, columns: int) -> int:
    """A terminal of so many columns; what it shows is copied to a file."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def copy() -> None:
        with suppress(OSError):
            while chunk := os.read(ours, 65536):
                os.write(output, chunk)

    threading.Thread(target=copy).start()
    return theirs


def shown(text: str) -> list[str]:
    """Lines of a terminal without colours; a line that is drawn again counts each time."""
    return re.split("[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))


def lines(rows) -> str:
    """Records as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def cli(*arguments: str) -> int:
    """Runs ``toedit`` in this process; returns its exit code."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return stop.value.code


def table_of(output: Path, part: str = "data") -> pa.Table:
    """What a command of ``toedit`` wrote."""
    return pa.concat_tables([pq.read_table(p) for p in sorted((output / part).glob("*.parquet"))])


class Command:
    """One run of a command line.

    Args:
        arguments: what follows ``python -m MODULE``.
        log: file for its output.
        module: which command line.
        columns: of a terminal that it runs in; None for a file.
        file_size: most bytes it may write into one file, as a stand-in for a full disk.
        environment: variables to set.
    """

    def __init__(
        self,
        arguments: list[str],
        log: Path,
        module: str = "experiments.run",
        file_size: int | None = None,
        columns: int | None = None,
        **environment: str,
    ) -> None:
        self.log = log
        environment = {"COLUMNS": "500", **environment}  # tables without wrapped cells
        log.write_text("")
        self.process = FORK.Process(
            target=_main, args=(module, arguments, str(log), environment, file_size, columns)
        )
        self.process.start()

    def signal(self, number: int, group: bool = True) -> None:
        """Sends a signal to the process, or to it and its children."""
        try:
            (os.killpg if group else os.kill)(self.process.pid, number)
        except ProcessLookupError:
            self.process.join()

    def kill(self, group: bool = True) -> None:
        self.signal(signal.SIGKILL, group)
        self.process.join()

    def wait(self) -> int:
        self.process.join()
        return self.process.exitcode

    @property
    def running(self) -> bool:
        return self.process.is_alive()

    @property
    def output(self) -> str:
        return self.log.read_text()


def run(arguments: list[str], log: Path, **environment: Any) -> str:
    """Runs a command to its good end; returns what it printed."""
    command = Command(arguments, log, **environment)
    assert command.wait() == 0, command.output[-3000:]
    return command.output


def wait_for(condition, command: Command, seconds: float = 120) -> None:
    """Waits until a condition holds while the command is running."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert command.running, command.output[-2000:]
        assert time.monotonic() < deadline, command.output[-2000:]
        time.sleep(0.002)


def records(store: Path) -> dict[str, dict]:
    """Every record without what may differ between two equal runs."""
    found = {}
    for path in sorted(store.glob("*/*/record.json")):
        record = json.loads(path.read_text())
        record["metrics"].pop("speed", None)
        found[f"{record['kind']}/{record['name']}"] = {
            key: value for key, value in record.items() if key not in VOLATILE
        }
    return found


def files(store: Path) -> dict[str, str]:
    """Hashes of every file that a record lists."""
    listed = [
        path.parent / name
        for path in sorted(store.glob("*/*/record.json"))
        for name in json.loads(path.read_text())["files"]
    ]
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in listed
    }
