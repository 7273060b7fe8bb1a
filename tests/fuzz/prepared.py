"""What cases start from: a tiny model, outputs finished and unfinished, and stores."""

import json
import os
import shutil
import signal
from pathlib import Path

from .case import Command, lay
from .odd import PLAIN
from .running import run_command
from .sandbox import Sandbox

EDIT = ("edit", "a.jsonl", "--output", "out", "--prior", "table")
"""The command that began the outputs."""

CORPUS = "".join(
    json.dumps({"id": f"d{n}", "text": f"{n} {PLAIN}" * 8, "year": n}) + "\n" for n in range(200)
)


def prepare(folder: Path) -> None:
    """Make ``model``, ``finished``, ``unfinished``, ``store`` and ``results`` in a folder."""
    child = os.fork()  # torch and pyarrow start threads, which a process that forks may not have
    if child == 0:
        code = 1
        try:
            _make(folder)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0, "the campaign could not be prepared"


def _make(folder: Path) -> None:
    sandbox = Sandbox(folder / "sandbox")
    lay(sandbox.cwd, [("a.jsonl", CORPUS)])
    out = sandbox.cwd / "out"
    for _ in range(5):  # it may end between its first completion and the look at it
        code, _, output = run_command(
            Command(EDIT), sandbox, stop=lambda: any(out.rglob("completions/*"))
        )
        if code == -signal.SIGKILL and (out / ".work").exists():
            break
        shutil.rmtree(out, ignore_errors=True)
    else:
        raise AssertionError(f"no output could be left unfinished: {output}")
    shutil.copytree(out, folder / "unfinished")
    code, _, output = run_command(Command(EDIT), sandbox)
    assert code == 0, output
    shutil.copytree(out, folder / "finished")

    from conftest import build_tiny_model
    from written import three_arms

    from experiments.store import Store
    from experiments.store.export import export

    three_arms(folder / "store", (0, 1))
    store = Store(folder / "store")
    paths = store.root.glob("*/*/record.json")
    labels = sorted(str(path.parent.relative_to(store.root)) for path in paths)
    job = {"experiment": "cpt_bio", "process": "process 1 on nowhere", "command": "run.py",
           "begun": "2026-01-01T00:00:00Z", "stages": labels[:3]}  # fmt: skip
    (store.root / "jobs").mkdir()
    (store.root / "jobs" / "job.json").write_text(json.dumps(job))
    (store.root / "train" / "unfinished-0123456789ab").mkdir(parents=True)
    export(store, folder / "results")
    build_tiny_model(folder / "model")
