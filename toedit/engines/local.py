"""Units of work in processes on this machine, under a driver that outlives the death of any worker.

datatrove's own pool waits for ever when a worker is killed, by the system for want of memory, say.
Here the driver hands units out one by one, so it knows which one died with its worker, and gives it
to a new one.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from collections import deque
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger

from toedit.engines import Engine
from toedit.errors import UserError, environment_problem

TRIES = 2
"""Workers that a unit of work may kill before the run gives up."""


class _Executor(LocalPipelineExecutor):
    """datatrove's tasks and completion markers, a task at a time."""

    def run_task(self, rank: int) -> None:
        """Runs one task on a fresh copy of the pipeline."""
        pipeline: list[PipelineStep] = self.pipeline  # type: ignore[has-type]
        self.pipeline = deepcopy(pipeline)
        try:
            self._run_for_rank(rank)
        finally:
            self.pipeline = pipeline


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    gpu: str | None
    rank: int | None = None


def run_local(engine: Engine, steps: list[PipelineStep], tasks: int, work: Path) -> None:
    """Runs the tasks that have no completion marker, some at a time.

    Args:
        engine: how many workers.
        steps: the pipeline.
        tasks: how many there are in all.
        work: folder of markers and logs.

    Raises:
        UserError: a task failed, or killed its worker again and again.
    """
    executor = _Executor(steps, tasks=tasks, logging_dir=str(work))
    ranks = list(executor.get_incomplete_ranks())
    workers = min(engine.workers, len(ranks))
    if workers > 1:
        _supervise(executor, deque(ranks), workers)
        return
    for rank in ranks:
        executor.run_task(rank)


def _supervise(executor: _Executor, ranks: deque[int], count: int) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["toedit.pipeline"])  # imported once for all workers
    deaths: dict[int, int] = {}
    devices = gpus()
    shares = [devices[n % len(devices)] if devices else None for n in range(count)]
    workers = [_start(context, executor, gpu) for gpu in shares]
    try:
        for worker in workers:
            _hand_out(worker, ranks)
        while busy := [worker for worker in workers if worker.rank is not None]:
            ready = wait([worker.pipe for worker in busy])
            for worker in [w for w in busy if w.pipe in ready]:
                try:
                    failure = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    rank = worker.rank
                    assert rank is not None
                    deaths[rank] = deaths.get(rank, 0) + 1
                    if deaths[rank] == TRIES:
                        raise UserError(
                            f"unit of work {rank} ended {TRIES} workers (exit code "
                            f"{worker.process.exitcode}); if memory ran out, use fewer workers or "
                            "smaller batches; the same command continues"
                        ) from None
                    ranks.appendleft(rank)
                    workers.remove(worker)
                    worker = _start(context, executor, worker.gpu)
                    workers.append(worker)
                else:
                    if failure is not None:
                        raise failure
                _hand_out(worker, ranks)
    finally:
        for worker in workers:
            if worker.rank is not None:
                worker.process.kill()
            worker.pipe.close()  # an idle one ends by itself
        for worker in workers:
            worker.process.join()


def gpus() -> list[str]:
    """Names of the GPUs that this process may use, without asking torch."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name]
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))


def _start(context: Any, executor: _Executor, gpu: str | None) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(executor, theirs, gpu), daemon=True)
    process.start()
    theirs.close()  # else the end of the worker would not be seen
    return _Worker(process, ours, gpu)


def _hand_out(worker: _Worker, ranks: deque[int]) -> None:
    worker.rank = ranks.popleft() if ranks else None
    if worker.rank is not None:
        with suppress(ConnectionError):  # it died; the next look at its pipe says so
            worker.pipe.send(worker.rank)


def _work(executor: _Executor, pipe: Connection, gpu: str | None) -> None:
    """A worker: runs what it is handed until the driver is gone.

    Of several GPUs it sees one, so that workers have one each as far as these go.
    """
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver to answer
    if sys.platform == "linux":  # the fork server, our parent, ends with the driver
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    logger.disable("datatrove")
    while True:
        try:
            rank = pipe.recv()
        except EOFError:
            return
        failure: Exception | None = None
        try:
            executor.run_task(rank)
        except UserError as error:
            failure = error
        except Exception as error:
            problem = environment_problem(error)
            # Not every exception can be sent, and none with its traceback.
            failure = UserError(problem) if problem else RuntimeError(traceback.format_exc())
        try:
            pipe.send(failure)
        except OSError:
            os._exit(1)  # nobody is there to be told
