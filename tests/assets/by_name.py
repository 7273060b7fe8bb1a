"""Run experiments from their own configurations with smaller sizes: by_name.py STORE WORD...

A word with ``+exp=`` begins an experiment; the words behind it are its overrides.
"""

import sys
import time

from experiments.config.compose import compose
from experiments.rehearsal.rule import shrunk
from experiments.run import run
from toedit.errors import one_line_errors

if __name__ == "__main__":
    store, *words = sys.argv[1:]
    experiments: list[list[str]] = []
    for word in words:
        if word.startswith("+exp="):
            experiments.append([])
        experiments[-1].append(word)
    for arguments in experiments:
        begun, cpu = time.monotonic(), time.process_time()
        with one_line_errors():
            run(shrunk(compose([*arguments, f"store={store}", "tracker=none"])))
        seconds = f"{time.monotonic() - begun:.0f} s, {time.process_time() - cpu:.0f} s of CPU"
        print(f"done {arguments[0]} in {seconds}", flush=True)
