"""Which stages running and interrupted processes need: declared in ``jobs/`` before they begin."""

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from experiments.provenance import now
from experiments.store.records import are_labels
from toedit.corpora.files import read_json, write_json
from toedit.errors import UserError, short
from toedit.locks import is_locked, kept_from_children, locked, process


@dataclass(frozen=True)
class Job:
    """A declaration.

    Attributes:
        experiment: name of the experiment.
        process: who declared it.
        begun: when.
        command: the command line.
        stages: labels of all stages it needs.
        running: its process lives; otherwise it was interrupted.
        path: the file.
    """

    experiment: str
    process: str
    begun: str
    command: str
    stages: list[str]
    running: bool
    path: Path


def jobs(root: Path) -> list[Job]:
    """Declarations in a store, running ones and those an interruption left."""
    found = []
    for path in sorted((root / "jobs").glob("*.json")):
        try:
            running = is_locked(path)
            job = Job(**read_json(path, dict), running=running, path=path)
            texts = (job.experiment, job.process, job.begun, job.command)
            if not all(isinstance(text, str) for text in texts) or not are_labels(job.stages):
                raise TypeError("wrong types")
            found.append(job)
        except FileNotFoundError:
            continue  # it ended meanwhile
        except (UserError, TypeError) as error:
            raise UserError(
                f"{str(path)!r} is no list of what a job needs ({short(error, 120)}): delete it "
                "once no job runs", path
            ) from error  # fmt: skip
    return found


def registry_lock(root: Path) -> AbstractContextManager[None]:
    """Held for a moment while a job declares itself, and for as long as the store is cleaned."""
    return locked(root / "locks" / "registry", "the store's list of jobs")


@contextmanager
def declared(root: Path, experiment: str, stages: list[str], command: str) -> Iterator[None]:
    """Declares the stages a process is going to need while the block runs.

    After a good end the declaration goes; one that an interruption left stays, until a process that
    needs the same stages begins.

    Args:
        root: the store.
        experiment: name of the experiment.
        stages: labels of its stages.
        command: the command line, for people who look.
    """
    digest = hashlib.sha256(" ".join(stages).encode()).hexdigest()[:8]
    name = f"{experiment.replace('/', '-')}-{digest}-{socket.gethostname()}-{os.getpid()}.json"
    path = root / "jobs" / name
    entry = {"experiment": experiment, "process": process(), "begun": now(), "command": command,
             "stages": stages}  # fmt: skip
    with registry_lock(root):
        for job in jobs(root):
            if job.stages == stages and not job.running:
                job.path.unlink(missing_ok=True)
        write_json(path, entry)
        handle = path.open("r+")  # NFS locks only what is open for writing
        fcntl.flock(handle, fcntl.LOCK_EX)
    with handle, kept_from_children(handle):
        yield
        path.unlink(missing_ok=True)
