"""A process of the command line that knows a test hub alone; its clients read their variables once.

It runs one command after the other, so that only the first waits for imports.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from hub import Hub

WORKER = """
import contextlib, io, json, os, sys
import toedit.__main__
answers, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    words, token = json.loads(line)
    os.environ.pop("HF_TOKEN", None)
    os.environ.update({"HF_TOKEN": token} if token else {})
    out, code = io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            toedit.__main__.main(words)
        except SystemExit as stop:
            code = stop.code
    print(json.dumps([code, out.getvalue()]), file=answers, flush=True)
"""


def environment(hub: Hub, home: Path, token: str | None = None) -> dict[str, str]:
    """All variables of a process that reads the hub."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_"))}
    return inherited | hub.environment(home, token)


class Shell:
    """Runs ``toedit`` in a process; its cache of the hub is in the folder ``home``."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER], env=environment(hub, home), cwd=home, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(home / "log").open("w"),
        )  # fmt: skip

    def __call__(self, *words: object, token: str | None = None) -> tuple[int, str]:
        """Exit code of a command, and what it printed."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps([[str(word) for word in words], token]) + "\n")
        self.process.stdin.flush()
        code, output = json.loads(self.process.stdout.readline())
        return code, output

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()
