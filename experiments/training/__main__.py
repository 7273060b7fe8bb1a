"""One process of a training that several share: ``torchrun -m experiments.training CONFIG.json``.

The first process writes into the folder of the training what the driver is to know. With
``--with-driver`` all of them end when the driver does, which holds their standard input.
"""

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from experiments.training.messages import ERROR, RESULT, STEP, Messages
from experiments.training.processes import read_job
from toedit.errors import UserError, environment_problem

GRACE = 10
"""Seconds in which the driver may end the processes before this one does."""


def main() -> None:
    """Trains, unless an earlier start of the same job came to its end."""
    path = Path(sys.argv[1])
    progress, first = Messages(path.parent), os.environ.get("RANK", "0") == "0"
    ended = progress.ended()
    if ended is not None:
        sys.exit(ended[0] == ERROR)
    if "--with-driver" in sys.argv:
        threading.Thread(target=_end_with_driver, daemon=True).start()
    from experiments.training.worker import train

    def write(kind: str, value: object) -> None:
        if first:
            progress.write(kind, value)

    try:
        write(RESULT, train(read_job(path), lambda values, step: write(STEP, [values, step])))
    except Exception as error:
        line = str(error) if isinstance(error, UserError) else environment_problem(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr, flush=True)
        with suppress(OSError):  # the disk may be full
            progress.write(ERROR, line)
        time.sleep(GRACE)  # the driver ends all of them
        os._exit(1)  # others may wait for this one


def _end_with_driver() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
