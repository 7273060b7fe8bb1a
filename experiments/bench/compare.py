"""Run a benchmark: alternate our code and a baseline, report medians and peak memory.

Both sides alternate on the same model, dtype, batches and threads, so a machine whose speed drifts
slows both. Peak memory is measured in a separate process for each side.
"""

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from toedit import machine

Side = Callable[[], float]
"""Does the work once and returns seconds."""


def timed(work: Callable[[], object]) -> Side:
    """A function that does the work and returns its seconds."""

    def run() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return run


@dataclass(frozen=True)
class Case:
    """A comparison.

    Attributes:
        make: loads models and data; returns (ours, baseline, tokens per run).
        baseline: description of the baseline.
        goal: target ratio of speeds, ours to the baseline's.
        rounds: runs of each side.
        warm: the first round only warms caches and is not counted.
        memory: also measure the peak memory of each side.
    """

    make: Callable[[], tuple[Side, Side, int]]
    baseline: str
    goal: float
    rounds: int
    warm: bool = True
    memory: bool = False


def measure(name: str, case: Case) -> dict[str, Any]:
    """Alternate both sides; return medians of tokens per second and of the ratio per round."""
    ours, baseline, tokens = case.make()
    pairs: list[tuple[float, float]] = []
    for number in range(case.rounds + case.warm):
        order = (ours, baseline) if number % 2 else (baseline, ours)
        seconds = {side: side() for side in order}
        if number or not case.warm:
            pairs.append((seconds[ours], seconds[baseline]))
            ratio = pairs[-1][1] / pairs[-1][0]
            print(f"{name} {len(pairs)}/{case.rounds}: ratio {ratio:.3f}", file=sys.stderr)
    ratios = [b / a for a, b in pairs]
    return {
        "baseline": case.baseline,
        "ours_tokens_per_second": tokens / statistics.median(a for a, _ in pairs),
        "baseline_tokens_per_second": tokens / statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "goal": case.goal,
        "tokens": tokens,
        "rounds": case.rounds,
    }


def _peak(work: Callable[..., Any], arguments: tuple[Any, ...], pipe: Any) -> None:
    ready = work(*arguments)
    machine.reset_peak_memory()  # loading a model needs more than some cases
    ready()
    pipe.send(machine.peak_memory_gb())


def peak_memory(work: Callable[..., Callable[[], Any]], *arguments: Any) -> float:
    """Peak memory in GB of the function that ``work(*arguments)`` returns, in a new process."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_peak, args=(work, arguments, send))
    process.start()
    send.close()  # else a child that dies leaves the next line waiting
    peak = receive.recv()
    process.join()
    return peak
