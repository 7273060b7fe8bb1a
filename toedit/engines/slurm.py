"""Slurm: write and submit batch scripts, find jobs in the queue, and say how they ended.

Everything that runs on Slurm goes through here: units of work, trainings and sweeps. It needs the
commands sbatch and squeue, and no accounting: squeue knows the jobs in the queue, for some minutes
those that ended, and later the last line of the log says why. A file next to the work
(:class:`Submission`) names its job, so the same command finds it again.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from toedit.corpora import SLURM_JOB
from toedit.corpora.files import read_json, write_json
from toedit.errors import Submitted, UserError, short
from toedit.identity import differences

TRIES = 3
"""Jobs that are submitted for the same work before one of them makes progress."""

PATIENCE = 60
"""Seconds until a command of Slurm counts as unanswered."""

CLIENT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_TIME_FORMAT")
"""Variables by which commands find their cluster; others of SLURM_* describe a job."""

ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
         "REVOKED", "TIMEOUT"}  # fmt: skip
"""States of jobs that do not run again."""

IMPOSSIBLE = re.compile(
    r"BadConstraints|DependencyNeverSatisfied|Invalid(Account|QOS)|Partition(Config|\w+Limit)"
    r"|\w+NotAllowed|\w+Per(Job|Node)\w*"
)
"""Reasons for which a job waits that no waiting removes."""


def require_slurm(setting: str, instead: str) -> None:
    """Raise a UserError if a command is missing; ``instead`` is a setting that needs no Slurm."""
    for name in ("sbatch", "squeue"):
        if shutil.which(name) is None:
            raise UserError(f"{setting} needs the command {name} on this machine; use {instead}")


def require_options(group: str, config: Any) -> None:
    """Raise a UserError if text for an ``#SBATCH`` line is empty or has several lines.

    Args:
        group: of the fields, for the message.
        config: has ``time``, ``partition``, ``account``, ``qos`` and ``options``, of which values
            may be empty: an option without a value.
    """
    for name in ("time", "partition", "account", "qos"):
        value = getattr(config, name)
        if value is not None and (not value.strip() or "\n" in value):
            what = "give a limit such as 24:00:00" if name == "time" else "give its name, or none"
            raise UserError(f"{group}.{name}={value!r} is no {name} of Slurm; {what}")
    for name, value in config.options.items():
        if not re.fullmatch(r"[a-z][\w-]*", name, re.I) or "\n" in str(value):
            raise UserError(
                f"{group}.options: {f'{name}={value}'[:100]!r} is no option of sbatch; give its "
                "long name without dashes, such as constraint=a100"
            )


def batch_script(options: Mapping[str, Any], *lines: str) -> str:
    """A batch script. An option that is None is left out; one that is empty has no value."""
    stated = [
        f"#SBATCH --{name}" + (f"={_quoted(str(value))}" if value != "" else "")
        for name, value in options.items()
        if value is not None
    ]
    return "\n".join(["#!/bin/bash", *stated, *lines, ""])


def _quoted(text: str) -> str:
    return text if text[:1] in ("'", '"') else shlex.quote(text)


def _run(*command: str, about: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Slurm without the variables of a job that this process may run in.

    Raises:
        UserError: it is missing, or the controller does not answer.
    """
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SLURM_") or name in CLIENT
    }
    settings: dict[str, Any] = {"capture_output": True, "text": True, "env": variables}
    try:
        # Without a controller squeue and sbatch try for up to a minute, and ping says so at once.
        if shutil.which("scontrol"):
            ping = subprocess.run(["scontrol", "ping"], timeout=PATIENCE, check=False, **settings)
            if " is DOWN" in ping.stdout and " is UP" not in ping.stdout:
                line = short(ping.stdout.splitlines()[0])
                raise UserError(f"Slurm does not answer {about}: {line}; try again later")
        return subprocess.run(command, timeout=PATIENCE, check=False, **settings)
    except OSError as error:
        raise UserError(
            f"there is no answer {about} here without the command {command[0]}: give this command "
            f"where it is, or delete the {SLURM_JOB} that names a job if it is gone"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"Slurm does not answer {about} within {PATIENCE} s; try again later"
        ) from error


def array_size() -> int:
    """The largest number of tasks of an array here."""
    if shutil.which("scontrol") is None:
        return 1001  # Slurm's default
    config = _run("scontrol", "show", "config", about="how large an array may be").stdout
    found = [re.search(rf"^{name}\s*=\s*(\d+)", config, re.M)
             for name in ("MaxArraySize", "MaxJobCount")]  # fmt: skip
    return max(1, min((int(match[1]) for match in found if match), default=1001))


def submit(script: Path) -> str:
    """Submit a batch script and return the job id.

    Raises:
        UserError: sbatch refused it, in its own words.
    """
    result = _run("sbatch", "--parsable", str(script), about="to sbatch")
    number = result.stdout.strip().partition(";")[0]
    if result.returncode or not number:
        said = re.sub(r"sbatch: (error: )?|Batch job submission failed: ", "", result.stderr)
        words = "; ".join(dict.fromkeys(line.strip() for line in said.splitlines() if line.strip()))
        raise UserError(f"sbatch refused the job: {words or 'no reason given'} ({script})")
    return number


@dataclass(frozen=True)
class Job:
    """A job as squeue describes it.

    Attributes:
        number: its id.
        tasks: state and reason of each task of the array; one for a job without; none once Slurm
            has forgotten it.
    """

    number: str
    tasks: list[tuple[str, str]]

    @property
    def unfinished(self) -> bool:
        """Whether a task waits or runs."""
        return any(state not in ENDED for state, _ in self.tasks)

    @property
    def impossible(self) -> bool:
        """Whether all that is unfinished waits for what will not come."""
        left = [reason for state, reason in self.tasks if state not in ENDED]
        return bool(left) and all(IMPOSSIBLE.fullmatch(reason) for reason in left)

    def __str__(self) -> str:
        counts = Counter(self.tasks)
        many = len(self.tasks) > 1
        states = [
            (f"{count} " if many else "") + state + (f" ({reason})" if reason else "")
            for (state, reason), count in counts.items()
        ]
        return f"Slurm job {self.number}: {', '.join(states) or 'no longer known to squeue'}"

    @property
    def advice(self) -> str:
        """What to do while it is unfinished."""
        cancel = f"scancel {self.number}"
        if self.impossible:
            return f"it cannot start like this: {cancel}, change what it requests, submit again"
        if any("held" in reason.lower() for _, reason in self.tasks):
            return f"it is held: scontrol release {self.number}, or {cancel}"
        return f"{cancel} ends it"


def find(number: str) -> Job:
    """Look a job up in the queue.

    Raises:
        UserError: squeue is missing, does not answer, or fails.
    """
    command = ("squeue", "-h", "-r", "-t", "all", "-j", number, "-o", "%T|%r")
    result = _run(*command, about=f"whether job {number} still runs")
    if result.returncode and "invalid job id" not in result.stderr.lower():
        raise UserError(
            f"squeue cannot say whether job {number} still runs: {short(result.stderr, 200)}"
        )
    rows = [line.partition("|")[::2] for line in result.stdout.split("\n") if line.strip()]
    # Of a cancelled task squeue keeps the reason for which it waited.
    tasks = [(state, "" if why == "None" or state == "CANCELLED" else why) for state, why in rows]
    array, _, task = number.partition("_")
    if task and not tasks and (whole := find(array).tasks) == [("CANCELLED", "")]:
        tasks = whole  # an array that is cancelled before it begins has no tasks any more
    return Job(number, tasks)


def last_line(logs: Iterable[Path]) -> str:
    """The last line of the first log that has one; what srun adds to an error comes last."""
    for path in logs:
        text = path.read_text(errors="replace") if path.is_file() else ""
        lines = [" ".join(line.split())[-300:] for line in text.split("\n") if line.strip()]
        if lines:
            own = [line for line in lines if not line.startswith(("srun: ", "+ "))]
            return (own or lines)[-1]
    return "the log is empty"


def job_of(mark: Path) -> str:
    """The id of the job that a file names.

    Raises:
        UserError: it names none.
    """
    job = str(read_json(mark, dict).get("id"))
    if not re.fullmatch(r"\w[\w.+-]*", job):
        raise UserError(
            f"{str(mark)!r} names no Slurm job; delete it if none is at work here", mark
        )
    return job


def require_idle(marks: Iterable[Path], label: str) -> None:
    """Raise a UserError while a job is queued or running that one of the files ``marks`` names."""
    for mark in marks:
        job = find(job_of(mark))
        if job.unfinished:
            log = read_json(mark, dict).get("log", mark.parent)
            raise UserError(
                f"{label} waits or runs as {job} (log {log}): end it (scancel {job.number}) first, "
                "or wait"
            )


@dataclass
class Submission:
    """Work that a job of Slurm does, and the file that names the last job submitted for it.

    Attributes:
        mark: the file.
        label: what the work is.
        options: of sbatch, to notice that they changed.
        log: the log of a job, ``%A`` standing for its id.
        done: how much is finished; a job that adds to it is no failure.
    """

    mark: Path
    label: str
    options: Mapping[str, Any]
    log: str
    done: int = 0

    @cached_property
    def _last(self) -> dict[str, Any]:
        return read_json(self.mark, dict) if self.mark.exists() else {}

    def _log(self, number: str) -> str:
        return self.log.replace("%A", number)

    @cached_property
    def last_end(self) -> str:
        """How the last job ended; empty if there was none.

        Raises:
            Submitted: it waits or runs.
            UserError: Slurm gives no answer.
        """
        if not self.mark.exists():
            return ""
        job = find(job_of(self.mark))
        log = self._log(job.number)
        if not job.unfinished:
            return f"{job}, ended without a result: {last_line([Path(log)])} (log {log})"
        changed = differences(self._last.get("options", self.options), self.options, "none")
        advice = job.advice
        if changed:
            advice = (f"settings changed since ({short('; '.join(changed))}): scancel {job.number} "
                      "first to submit with these")  # fmt: skip
        raise Submitted(f"{self.label}: {job}, log {log}; {advice}")

    def submit(self, script: Path) -> NoReturn:
        """Submit a batch script, after the last job ended.

        Raises:
            Submitted: always, unless there is an error.
            UserError: sbatch refuses, or :data:`TRIES` jobs with these options made no progress.
        """
        ended, last = self.last_end, self._last
        progress = self.done > last.get("done", 0) or last.get("options") != self.options
        tries = 1 if progress else last.get("tries", 1) + 1
        if tries > TRIES:
            raise UserError(
                f"{self.label}: {ended}; {TRIES} jobs in a row did nothing: mend the cause, then "
                f"delete {str(self.mark)!r} and give the same command again"
            )
        number = submit(script)
        log = self._log(number)
        write_json(self.mark, {"id": number, "tries": tries, "done": self.done,
                               "options": self.options, "log": log})  # fmt: skip
        again = f"; try {tries} of {TRIES}, as {ended}" if ended else ""
        job = find(number)
        raise Submitted(f"{self.label}: submitted as {job}, log {log}{again}; {job.advice}")
