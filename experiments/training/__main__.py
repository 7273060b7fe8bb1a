"""One process of a training: ``torchrun -m experiments.training CONFIG.json``.

The first process writes messages for the driver into the folder of the training. With
``--with-driver`` each process exits when the driver does, which holds their standard input.
"""

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from experiments.training.messages import ERROR, MEASURED, RESULT, STEP, Messages
from experiments.training.training_job import read_job
from toedit.errors import UserError, environment_problem
from toedit.machine import measured

GRACE = 10
"""Seconds in which the driver may end the processes before this one exits."""


def main() -> None:
    """Train, unless an earlier start of the same job already ended."""
    path = Path(sys.argv[1])
    messages, first = Messages(path.parent), os.environ.get("RANK", "0") == "0"
    ended = messages.ended()
    if ended is not None:
        sys.exit(ended[0] == ERROR)
    if "--with-driver" in sys.argv:
        threading.Thread(target=_exit_with_driver, daemon=True).start()
    from experiments.training.worker import train

    def write(kind: str, value: object) -> None:
        if first:
            messages.write(kind, value)

    try:
        started = time.monotonic()
        metrics = train(read_job(path), lambda values, step: write(STEP, [values, step]))
        write(MEASURED, measured(time.monotonic() - started))
        write(RESULT, metrics)
    except Exception as error:
        line = environment_problem(error, path.parent)
        line = str(error) if isinstance(error, UserError) else line
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr, flush=True)
        with suppress(OSError):  # the disk may be full
            messages.write(ERROR, line)
        time.sleep(GRACE)  # the driver ends all of them
        os._exit(1)  # others may wait for this one


def _exit_with_driver() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
