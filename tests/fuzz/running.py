"""Run a case: each command in a forked process with limits, then check what it left."""

import atexit
import faulthandler
import os
import re
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing import util
from pathlib import Path

from .case import Case, Command, lay
from .sandbox import SECRETS, Sandbox

MEMORY, FILE_SIZE = 6 << 30, 200 << 20
"""Bytes that a command may allocate above those of the warm process, and write into one file."""

LONGEST_LINE = 3000
"""Characters of an error line."""

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
CURSOR_UP = "\x1b[A"
"""Of tqdm, for a bar below another."""
FRAME = re.compile(r'File ".*?((?:toedit|evals|experiments)/[\w/]+\.py)", line \d+,? in (\w+)')


@dataclass
class Outcome:
    """What became of a case.

    Attributes:
        case: its name.
        summary: what is odd about it.
        problems: what went wrong, a phrase each; none is good.
        seconds: that its commands took.
        cpu: seconds of a processor that the case took.
        command: the command that misbehaved, as one types it.
        output: the end of what that command printed.
    """

    case: str
    summary: str
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0
    command: str = ""
    output: str = ""


def run_case(case: Case) -> Outcome:
    """Run a case; one that takes too long a second time, since native threads of a forked process
    may wait for each other without the command's fault."""
    outcome = _run_once(case)
    late = any(problem.startswith("ran longer") for problem in outcome.problems)
    return _run_once(case) if late else outcome


def _run_once(case: Case) -> Outcome:
    """Run the commands of a case in a new sandbox; stops at the first that misbehaves."""
    sandbox = Sandbox(Path(tempfile.mkdtemp(prefix="fuzz-")))
    outcome, busy = Outcome(case.name, case.summary), _busy()
    try:
        lay(sandbox.cwd, case.files)
        before = sandbox.state()
        for command in case.commands:
            started = time.monotonic()
            code, left, output = run_command(command, sandbox)
            outcome.seconds += time.monotonic() - started
            killed = command.kill_after is not None and code == -signal.SIGKILL
            if not killed:
                outcome.problems += _ending(command, code, output)
            if left and not killed:
                outcome.problems.append("left processes behind")
            writable = (*case.writable, "../tmp") if killed else case.writable
            outcome.problems += sandbox.changes(before, writable) + sandbox.leaks(before)
            before = sandbox.state() if killed else before
            if outcome.problems:
                words = " ".join(map(repr, command.arguments))
                outcome.command = f"{command.module.removesuffix('.__main__')} {words}"
                outcome.output = output[-6000:]
                break
    finally:
        sandbox.remove()
    outcome.cpu = _busy() - busy
    return outcome


def _busy() -> float:
    """Seconds of a processor that this process and its finished children took."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def run_command(
    command: Command, sandbox: Sandbox, stop: Callable[[], bool] = lambda: False
) -> tuple[int | None, bool, str]:
    """Run a command in a sandbox; it is killed as soon as ``stop()`` holds.

    Returns:
        Its exit code, None past its limit; whether it left processes; what it printed.
    """
    log = sandbox.root / "log"
    log.write_bytes(b"")
    child = os.fork()
    if child == 0:
        _be(command, sandbox, log)
    limit = command.limit if command.kill_after is None else command.kill_after
    deadline, code = time.monotonic() + limit, None
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            break
        if stop():
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    else:
        if command.kill_after is None:
            os.kill(child, signal.SIGUSR1)  # faulthandler writes where it is
            time.sleep(0.1)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        code = None if command.kill_after is None else -signal.SIGKILL
    left = False
    with suppress(ProcessLookupError):
        for _ in range(40):  # workers end when they see that the driver did
            os.killpg(child, 0)
            time.sleep(0.05)
        left = True
        os.killpg(child, signal.SIGKILL)
    output = log.read_bytes().decode("utf-8", "surrogateescape")
    log.unlink()
    return code, left, output


def _be(command: Command, sandbox: Sandbox, log: Path) -> None:
    """Become the command; does not return."""
    code: int | str | None = 1
    try:
        os.setsid()
        os.chdir(sandbox.cwd)
        output = os.open(log, os.O_WRONLY | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        faulthandler.register(signal.SIGUSR1, file=2)
        os.environ.update(sandbox.environment())
        tempfile.tempdir = None
        memory = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (memory + MEMORY, memory + MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        atexit._clear()
        util._finalizer_registry.clear()
        sys.argv = [command.module, *map(sandbox.fill, command.arguments)]
        import_module(command.module).main()
        code = 0
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            threading._shutdown()
            atexit._run_exitfuncs()
            util._run_finalizers()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _ending(command: Command, code: int | None, output: str) -> list[str]:
    """What is wrong with how a command ended and with what it printed."""
    problems = []
    if code is None:
        problems.append(f"ran longer than {command.limit:g} s ({_place(output)})")
    elif code not in command.codes:
        problems.append(f"exit code {code} ({_place(output)})")
    elif "Traceback (most recent call last)" in output:
        problems.append(f"exit code {code} with a traceback ({_place(output)})")
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    if code == 2 and len(errors) != 1:
        problems.append(f"exit code 2 with {len(errors)} error lines")
    if any(len(line) > LONGEST_LINE for line in errors):
        problems.append(f"an error line of {max(map(len, errors))} characters")
    if found := CONTROL.search(output.replace(CURSOR_UP, "")):
        problems.append(f"printed the control character {found[0]!r}")
    problems += [f"printed the secret {name}" for name, value in SECRETS.items() if value in output]
    return problems


def _place(output: str) -> str:
    """The exception at the end of an output and our innermost functions on the way to it."""
    lines = (
        output[output.rfind("Traceback (most recent") :].split("\n")
        if "Traceback" in output
        else []
    )
    last = next((line for line in lines[1:] if re.match(r"[A-Za-z_]", line)), "")
    frames = [f"{path}:{name}" for path, name in FRAME.findall(output)]
    current = "most recent call first" in output
    inner = frames[:1] if current else frames[-1:]
    return f"{last[:120]} at {', '.join(inner) or 'no place of ours'}"
