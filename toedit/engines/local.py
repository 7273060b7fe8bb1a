"""Run units of work in processes on this machine, and restart workers that are killed.

datatrove's pool waits for ever if a worker is killed, for example by the out-of-memory killer. Here
the driver hands out units one by one, so it knows the unit of a dead worker and retries it in a new
one.
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
from datatrove.utils.stats import PipelineStats
from loguru import logger

from toedit.engines import Engine
from toedit.errors import UserError, environment_problem

TRIES = 2
"""Times that a unit of work is tried before the run fails, if its workers die."""


class FreshSteps:
    """Part of an executor that runs each task on a fresh copy of the pipeline."""

    pipeline: list[PipelineStep]

    def _run_for_rank(self, rank: int, *place: int, **named: int) -> PipelineStats:
        pipeline = self.pipeline
        self.pipeline = deepcopy(pipeline)
        try:
            return super()._run_for_rank(rank, *place, **named)  # type: ignore[misc]
        finally:
            self.pipeline = pipeline


class _Executor(FreshSteps, LocalPipelineExecutor):
    """Run datatrove tasks one at a time, with completion markers."""

    def run_task(self, rank: int) -> None:
        """Run one task."""
        self._run_for_rank(rank)


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    gpu: str | None
    rank: int | None = None


def run_local(engine: Engine, steps: list[PipelineStep], tasks: int, work: Path) -> None:
    """Run the tasks that have no completion marker; markers and logs are in the folder ``work``.

    Raises:
        UserError: a task failed, or its workers died :data:`TRIES` times.
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
    """Run tasks in ``count`` worker processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["toedit.pipeline"])  # imported once for all workers
    deaths: dict[int, int] = {}
    devices = gpus()
    assigned = [devices[n % len(devices)] if devices else None for n in range(count)]
    workers = [_start(context, executor, gpu) for gpu in assigned]
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
            worker.pipe.close()  # which ends an idle worker
        for worker in workers:
            worker.process.join()


def gpus() -> list[str]:
    """List the GPUs that this process may use, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))


def _start(context: Any, executor: _Executor, gpu: str | None) -> _Worker:
    driver_end, worker_end = context.Pipe()
    process = context.Process(target=_work, args=(executor, worker_end, gpu), daemon=True)
    process.start()
    worker_end.close()  # else the driver would not see the end of the worker
    return _Worker(process, driver_end, gpu)


def _hand_out(worker: _Worker, ranks: deque[int]) -> None:
    worker.rank = ranks.popleft() if ranks else None
    if worker.rank is not None:
        with suppress(ConnectionError):  # it died, which the driver sees when it reads the pipe
            worker.pipe.send(worker.rank)


def _work(executor: _Executor, pipe: Connection, gpu: str | None) -> None:
    """Run the ranks that come through the pipe until the driver closes it, on one GPU if any."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver handles Ctrl-C
    if sys.platform == "linux":  # the fork server, our parent, ends with the driver
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
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
            problem = environment_problem(error, executor.logging_dir.path)
            # Not every exception can be pickled, and none with its traceback.
            failure = UserError(problem) if problem else RuntimeError(traceback.format_exc())
        try:
            pipe.send(failure)
        except OSError:
            os._exit(1)  # the driver is gone
