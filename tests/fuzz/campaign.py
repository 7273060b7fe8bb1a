"""The cases of a campaign by name, and how they are run: side by side, from warm processes."""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module
from pathlib import Path
from random import Random

from commands import FORK, PRELOAD

from . import configurations, corpora, differences, models, options, outputs, stores
from .case import Case, Generator
from .prepared import prepare
from .running import Outcome, run_case

KINDS: dict[str, tuple[Generator, int]] = {
    "corpora": (corpora.make, 640),
    "options": (options.make, 440),
    "outputs": (outputs.make, 200),
    "models": (models.make, 200),
    "stores": (stores.make, 240),
    "configurations": (configurations.make, 320),
    "differences": (differences.make, 80),
}
"""Generators of cases and the number of cases of each."""

PROGRAMS = (
    "toedit.pipeline", "experiments.run", "experiments.runner", "experiments.plans",
    "experiments.costs.report", "experiments.store.__main__", "experiments.tables",
    "experiments.reports.tables.build", "experiments.analysis.evidence",
)  # fmt: skip
"""Modules that a warm process has imported."""


def names() -> list[str]:
    """All cases, kind by kind."""
    return [f"{kind}-{n}" for kind, (_, count) in KINDS.items() for n in range(count)]


def sample(count: int, seed: int = 0) -> list[str]:
    """Some cases, in shares of the kinds."""
    return sorted(Random(seed).sample(names(), count))


def case_of(name: str, prepared: Path) -> Case:
    """Make the case of a name; equal for equal names."""
    kind, _, number = name.rpartition("-")
    return KINDS[kind][0](Random(name), int(number), prepared)


def run(chosen: Iterable[str | Case], workers: int) -> Iterator[Outcome]:
    """Run cases, by name or as they are, in ``workers`` processes; yields outcomes as they come."""
    chosen, folder = list(chosen), Path(tempfile.mkdtemp(prefix="fuzz-prepared-"))
    with ProcessPoolExecutor(workers, FORK, _warm) as pool:
        try:
            if any(isinstance(case, str) for case in chosen):
                pool.submit(prepare, folder).result()
            futures = [pool.submit(_run, case, folder) for case in chosen]
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)
            shutil.rmtree(folder, ignore_errors=True)


def _warm() -> None:
    for module in (*PRELOAD, *PROGRAMS):  # the fork server may be one that another test started
        import_module(module)


def _run(case: str | Case, folder: Path) -> Outcome:
    return run_case(case_of(case, folder) if isinstance(case, str) else case)


def report(outcomes: Iterable[Outcome], show: Callable[[str], None] = print) -> int:
    """Print every failure with the command to repeat it, and a summary; returns the failures."""
    started, count, failed, cpu = time.monotonic(), 0, 0, 0.0
    kinds: Counter[str] = Counter()
    slowest = Outcome("", "")
    for outcome in outcomes:
        count += 1
        cpu += outcome.cpu
        slowest = max(slowest, outcome, key=lambda o: o.seconds)
        if outcome.problems:
            failed += 1
            kinds[outcome.case.rpartition("-")[0]] += 1
            show(f"{outcome.case}: {outcome.summary!a}\n  {outcome.command[:300]}")
            for problem in outcome.problems:
                show(f"  - {ascii(problem)[1:-1]}")
            show(f"  make fuzz CASE={outcome.case}")
    seconds = time.monotonic() - started
    show(f"{count} cases in {seconds:.0f} s ({cpu:.0f} s of a processor)")
    show(f"{failed} failed {dict(kinds) or ''}")
    show(f"slowest: {slowest.case}, {slowest.seconds:.1f} s")
    return failed
