"""Training by several processes of this machine, which torchrun starts, restarts and ends."""

import codecs
import logging
import os
import shlex
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from experiments.config.launch import LaunchConfig
from experiments.training import LOG
from experiments.training.messages import ERROR, RESULT, STEP, Messages
from experiments.training.processes import freeze, worker_command
from toedit.errors import UserError

if TYPE_CHECKING:
    from experiments.training.curves import LogStep
    from experiments.training.worker import Job

POLL = 0.2
"""Seconds between two looks at what the processes tell."""

GRACE = 5
"""Seconds in which the last messages of processes are waited for."""

log = logging.getLogger(__name__)


def train_together(job: "Job", launch: LaunchConfig, log_step: "LogStep") -> dict[str, Any]:
    """Trains in processes of this machine that torchrun starts, restarts and ends together.

    Where there are several nodes, this one is the first, and the others are to run the command that
    is printed.

    Raises:
        UserError: a mistake, or processes ended more often than they may be restarted.
    """
    path = freeze(job)
    progress, found = Messages(job.folder), dict[str, Any]()
    command = worker_command(path, launch)
    if launch.nodes > 1:
        log.info("run on each other node, in %s, at every start: %s", Path.cwd(),
                 shlex.join(command))  # fmt: skip
    threads = max(1, (os.cpu_count() or 1) // launch.devices)
    process = subprocess.Popen(
        [*command, "--with-driver"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={"OMP_NUM_THREADS": str(threads), **os.environ},
        start_new_session=True,  # Ctrl-C is the driver's, which ends them
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    written = Path(job.folder, LOG)
    copier = threading.Thread(target=_copy, args=(process.stdout, written), daemon=True)
    copier.start()
    try:
        ended = False
        while not ended and ERROR not in found:  # torchrun would restart after a mistake
            time.sleep(POLL)
            ended = process.poll() is not None
            for kind, value in progress.read_new():
                if kind == STEP:
                    log_step(*value)
                else:
                    found[kind] = value
    finally:
        process.kill()
        process.stdin.close()  # the processes end by themselves
        process.wait()
        copier.join(GRACE)  # processes that are left hold the pipe for a moment
    if ERROR in found:
        raise UserError(found[ERROR])
    if RESULT not in found:
        raise UserError(
            f"a process of the training on {launch.processes} devices ended, also after "
            f"launch.restarts={launch.restarts} restarts (exit code {process.returncode}); its "
            f"message stands in {written}; if memory ran out, lower train.micro_batch; the same "
            "command continues"
        )
    return found[RESULT]


def _copy(source: IO[bytes], path: Path) -> None:
    """Shows what the processes print, bars included, and keeps it.

    Goes on where either cannot be written, because processes whose output nobody takes stand still.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while chunk := os.read(source.fileno(), 65536):
        with suppress(OSError):
            sys.stderr.write(decoder.decode(chunk))
            sys.stderr.flush()
        with suppress(OSError), path.open("ab") as file:
            file.write(chunk)
