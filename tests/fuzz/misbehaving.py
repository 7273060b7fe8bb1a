"""A command that misbehaves as its argument says: the harness must notice."""

import os
import subprocess
import sys
import time
from pathlib import Path

from toedit.errors import fail


def main() -> None:
    """Entry point."""
    what = sys.argv[1]
    if what == "raise":
        raise ValueError("a bug")
    if what == "hang":
        time.sleep(60)
    if what == "silent":
        sys.exit(2)
    if what == "outside":
        Path("../outside/canary.txt").write_text("gone")
    if what == "remove":
        (Path.home() / "canary.txt").unlink()
    if what == "temporary":
        Path(os.environ["TMPDIR"], "rest").write_text("rest")
    if what == "secret":
        Path("out").write_text(os.environ["HF_TOKEN"])
    if what == "tell":
        print(os.environ["WANDB_API_KEY"])
    if what == "escape":
        print("\033[2J")
    if what == "process":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    if what == "memory":
        bytearray(1 << 40)
    if what == "refuse":
        fail("one line")
