"""Simulate iterated training in linear regression, and compare it with exact and paper curves."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.config.statistics import TheoryConfig
from experiments.stage import Stage, StageConfig, StageContext
from toedit.corpora.files import save_table
from toedit.progress import counted
from toedit.theory import closed_forms as forms
from toedit.theory.procedure import Schedule, Simulation, simulate
from toedit.theory.recursion import WITHOUT, exact_random, expected, limit, sampled_directions

TABLE = "theory.parquet"
SHARES = [round(0.1 * n, 1) for n in range(11)]
RATIOS = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
MANY = 40
"""Edits of the curves that show whether the error stays bounded."""

MEASURED, EXACT, LIMIT = "Monte Carlo", "exact", "limit d/T -> 0"
PAPER, BOUND = "paper, Theorem 1", "paper, geometric bound"
BY_GENERATION, BY_SHARE, BY_RATIO, BY_EDITS, ANISOTROPIC, EDITED = (
    "error by generation", "one edit by its share", "two models by d/T", "many edits",
    "features of unequal scale", "share edited by generation",
)  # fmt: skip

Row = dict[str, Any]


@dataclass
class SimulateStage(StageConfig, kind="simulate"):
    """The setting and the seed of the simulation."""

    theory: TheoryConfig
    seed: int = 0

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write ``theory.parquet``, a row per value; return the last error of every schedule."""
        rows = list(_all(self.theory, self.seed))
        save_table(context.folder / TABLE, rows)
        curves = [row for row in rows if row["part"] == BY_GENERATION and row["source"] == MEASURED]
        for generation in range(1, self.theory.generations + 1):
            errors = {row["name"]: row["value"] for row in curves if row["x"] == generation}
            context.log(errors, generation)
        return {row["name"]: {"error": row["value"], "stderr": row["stderr"]}
                for row in curves if row["x"] == self.theory.generations}  # fmt: skip


def stage(theory: TheoryConfig, seed: int) -> Stage:
    """All curves of a setting."""
    return Stage(SimulateStage(theory, seed), "theory", arm="theory", seed=seed, tracked=True)


def _all(theory: TheoryConfig, seed: int) -> Iterator[Row]:
    for schedule in counted(theory.schedules, "simulate", "schedules", len(theory.schedules)):
        yield from _by_generation(theory, schedule, seed)
    yield from _by_share(theory, seed)
    yield from _by_ratio(theory, seed)
    yield from _many_edits(theory, seed)


def _rows(part: str, name: str, source: str, xs: Any, values: Any, errors: Any = None) -> list[Row]:
    errors = np.zeros(len(values)) if errors is None else errors
    return [{"part": part, "name": name, "source": source, "x": float(x), "value": float(v),
             "stderr": float(e)} for x, v, e in zip(xs, values, errors, strict=True)]  # fmt: skip


def _second_models(part: str, name: str, xs: list[float], results: list[Simulation]) -> list[Row]:
    """Errors of the second model of every simulation."""
    errors = [result.stderr[1] for result in results]
    return _rows(part, name, MEASURED, xs, [result.mean[1] for result in results], errors)


def _simulated(theory: TheoryConfig, schedule: Schedule, generations: int, seed: int) -> Simulation:
    return simulate(theory.rows, theory.features, schedule, generations, theory.draws, seed,
                    theory.sigma, theory.scales)  # fmt: skip


def _by_generation(theory: TheoryConfig, schedule: Schedule, seed: int) -> Iterator[Row]:
    rows, features, count = theory.rows, theory.features, theory.generations
    label, part, xs = schedule.label, BY_GENERATION, range(1, count + 1)
    result = _simulated(theory, schedule, count, seed)
    yield from _rows(part, label, MEASURED, xs, result.mean, result.stderr)
    yield from _rows(EDITED, label, MEASURED, xs[:-1], result.share.mean(axis=0))
    fractions = schedule.fractions(count - 1)
    if schedule.kind not in WITHOUT:
        curves = expected(rows, features, schedule, count, 32, seed)
        error = curves.std(axis=0, ddof=1) / np.sqrt(len(curves))
        yield from _rows(part, label, EXACT, xs, curves.mean(axis=0), error)
    limit_curve = _limit(schedule, count)
    if limit_curve is not None:
        yield from _rows(part, label, LIMIT, xs, limit_curve)
    if schedule.kind == "disjoint":  # the theorem's assumption
        theorem = [forms.theorem_1(fractions[:n]) for n in range(count)]
        yield from _rows(part, label, PAPER, xs, theorem)
    shrinking = schedule.kind in ("disjoint", "random") and schedule.decay < 1
    if shrinking and rows >= features + 4:
        bound = forms.geometric_bound(rows, features, schedule.fraction, schedule.decay)
        yield from _rows(part, label, BOUND, xs, [bound] * count)
    if theory.scales:
        plain = _simulated(replace(theory, scales=[]), schedule, count, seed)
        yield from _rows(ANISOTROPIC, label, "equal scales", xs, plain.mean, plain.stderr)
        yield from _rows(ANISOTROPIC, label, "given scales", xs, result.mean, result.stderr)


def _limit(schedule: Schedule, generations: int) -> np.ndarray | None:
    """The curve as d/T -> 0, if a closed form or the recursion over classes gives it."""
    edits = generations - 1
    fractions = schedule.fractions(edits)
    if schedule.kind == "collapse":
        return forms.collapsed(generations)
    if schedule.kind == "accumulate":
        return forms.accumulated(generations)
    if schedule.kind == "random":
        return np.array([forms.random_limit(fractions[:n]) for n in range(generations)])
    if schedule.kind == "disjoint":
        return np.array([forms.disjoint_limit(fractions[:n]) for n in range(generations)])
    if schedule.kind == "original" and schedule.decay == 1:
        return np.array([forms.original_limit(schedule.fraction, n) for n in range(generations)])
    if schedule.kind in ("fixed", "round_robin"):
        return limit(schedule.masks(1000, edits, np.random.default_rng(0)))
    return None


def _by_share(theory: TheoryConfig, seed: int) -> Iterator[Row]:
    some, small = "rows of any label", "rows of small residual"
    for kind, name in (("fixed", some), ("residual", small)):
        results = [_simulated(theory, Schedule(kind, f), 2, seed) for f in SHARES]
        yield from _second_models(BY_SHARE, name, [r.share.mean() for r in results], results)
    exact_shares = [round(f * theory.rows) / theory.rows for f in SHARES]  # a number of whole rows
    exact = [forms.one_edit(f, theory.rows, theory.features) for f in exact_shares]
    yield from _rows(BY_SHARE, some, EXACT, exact_shares, exact)
    yield from _rows(BY_SHARE, small, LIMIT, SHARES, [forms.residual_limit(f) for f in SHARES])
    yield from _rows(BY_SHARE, some, PAPER, SHARES, [forms.theorem_1([f]) for f in SHARES])


def _by_ratio(theory: TheoryConfig, seed: int) -> Iterator[Row]:
    """Errors of the second model by d/T, after editing all rows and after editing half of them."""
    sizes = [d for r in RATIOS if (d := round(r * theory.rows)) and d + 2 <= theory.rows]
    xs = [d / theory.rows for d in sizes]
    plain = replace(theory, scales=[], draws=max(2, theory.draws // 5))  # d^3 each
    for share, name in ((1.0, "all rows edited"), (0.5, "half of the rows edited")):
        edit = Schedule("fixed", share)
        results = [_simulated(replace(plain, features=d), edit, 2, seed) for d in sizes]
        yield from _second_models(BY_RATIO, name, xs, results)
        exact_share = round(share * theory.rows) / theory.rows
        exact = [forms.one_edit(exact_share, theory.rows, d) for d in sizes]
        yield from _rows(BY_RATIO, name, EXACT, xs, exact)


def _many_edits(theory: TheoryConfig, seed: int) -> Iterator[Row]:
    xs = range(1, MANY + 2)
    directions = list(sampled_directions(theory.rows, theory.features, 16, seed))
    for schedule in (Schedule("collapse"), Schedule("random", 0.1), Schedule("random", 0.3, 0.8)):
        curves = [exact_random(u, schedule.fractions(MANY)) for u in directions]
        yield from _rows(BY_EDITS, schedule.label, EXACT, xs, np.mean(curves, axis=0))
    yield from _rows(BY_EDITS, "accumulate", EXACT, xs, forms.accumulated(MANY + 1))
    for name, curve in (("fixed 0.3", forms.fixed_limit), ("original 0.3", forms.original_limit)):
        yield from _rows(BY_EDITS, name, LIMIT, xs, [curve(0.3, n) for n in range(MANY + 1)])
