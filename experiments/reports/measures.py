"""What a page shows of the arms of an experiment: held-out text and benchmarks, a row a measure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evals.suites import BenchmarkTask
from experiments.analysis.compare import Arm, aggregate, compare
from experiments.analysis.estimate import Estimate
from experiments.analysis.levels import geometric_level, level
from experiments.analysis.metrics import (
    FIELDS,
    HELD_OUT_TASK,
    Metric,
    benchmark,
    bits_per_byte,
    item_rows,
    perplexity,
)
from experiments.analysis.result import Result

Arms = dict[str, dict[int | None, Result]]
"""Evaluations by arm and seed."""

GROUPS = {
    ("human", True): "human, domains of the mixtures",
    ("human", False): "human, held-out domains",
    ("synthetic", True): "synthetic, formats of the mixtures",
    ("synthetic", False): "synthetic, held-out formats",
}
"""Held-out text by kind and by whether training text holds its domain."""


@dataclass(frozen=True)
class Measure:
    """A row of a page.

    Attributes:
        label: of the row.
        group: of rows that stand together.
        metrics: of one task, or of several that are averaged.
        geometric: whether the average is a geometric mean, as of perplexities.
        primary: whether it is one of those that see small differences.
        figure: whether a figure shows it.
    """

    label: str
    group: str
    metrics: tuple[Metric, ...]
    geometric: bool = False
    primary: bool = False
    figure: bool = False

    @property
    def digits(self) -> int:
        """Decimals of a value."""
        return self.metrics[0].digits

    def observed(self, results: dict[int | None, Result]) -> list[tuple[Arm, Metric]] | None:
        """Observations of an arm by metric and seed; None where one was not measured."""
        parts: list[tuple[Arm, Metric]] = []
        for metric in self.metrics:
            arm = metric.arm(results)
            if arm is None:
                return None
            parts.append((arm, metric))
        return parts

    def level(self, parts: list[tuple[Arm, Metric]]) -> Estimate:
        """An arm alone."""
        return geometric_level(parts) if self.geometric else level(parts)

    def difference(
        self, first: list[tuple[Arm, Metric]], second: list[tuple[Arm, Metric]]
    ) -> Estimate:
        """An arm minus another."""
        pairs = [(a, b, metric) for (a, metric), (b, _) in zip(first, second, strict=True)]
        return compare(*pairs[0]) if len(pairs) == 1 else aggregate(pairs)


def measures(result: Result, tasks: Sequence[BenchmarkTask]) -> list[Measure]:
    """The rows of a page, from what one evaluation holds."""
    return [*_held_out(result), *_benchmarks(result, tasks)]


def _held_out(result: Result) -> Iterator[Measure]:
    rows = item_rows(result, HELD_OUT_TASK)
    if "domain" not in rows[0]:
        responses = result.record["config"].get("template") is not None
        name = "held-out responses" if responses else "held-out"
        size = f"({len(rows)} documents, {sum(row['tokens'] for row in rows)} tokens)"
        yield Measure(f"{name} bits per byte {size}", name, (bits_per_byte(),), primary=True)
        yield Measure(f"{name} token perplexity", name, (perplexity(),))
        return
    for group, where in _groups(rows).items():
        own = [row for row in rows if all(row.get(key) == value for key, value in where)]
        domains = sorted({row["domain"] for row in own})
        places = [(*where, ("domain", domain)) for domain in domains]
        size = f"(n {len(own)})"
        yield Measure(f"perplexity, geometric mean over domains {size}", group,
                      tuple(perplexity(*place) for place in places), True, figure=True)  # fmt: skip
        if len(domains) > 1:
            yield Measure("perplexity, all documents together", group, (perplexity(*where),))
        yield Measure("bits per byte, mean over domains", group,
                      tuple(bits_per_byte(*place) for place in places), primary=True)  # fmt: skip
        if len(domains) > 1:
            yield Measure("bits per byte, all documents together", group, (bits_per_byte(*where),))
        for domain, place in zip(domains, places, strict=True):
            count = sum(row["domain"] == domain for row in own)
            yield Measure(f"{domain} (n {count}), perplexity", group, (perplexity(*place),))


def _groups(rows: list[dict[str, Any]]) -> dict[str, tuple[tuple[str, Any], ...]]:
    """Groups of held-out text, with what the rows of each hold: its set, or kind and domain."""
    found: dict[str, tuple[tuple[str, Any], ...]] = {}
    for row in rows:
        if row.get("set"):
            found[row["set"]] = (("set", row["set"]),)
        else:
            key = row["kind"], row["seen"]
            found[GROUPS[key]] = (("kind", key[0]), ("seen", key[1]))
    order = [*GROUPS.values(), *sorted(found)]
    return {name: found[name] for name in sorted(found, key=order.index)}


def _benchmarks(result: Result, tasks: Sequence[BenchmarkTask]) -> Iterator[Measure]:
    if not tasks:
        return
    recorded = result.record["metrics"]
    size = {t.name: f"(n {recorded[t.name]['items']} of {t.items})" for t in tasks}
    group = "benchmarks"
    for column, name in FIELDS.items():
        own = [task for task in tasks if recorded[task.name].get("gold_logprob") is not None]
        sensitive = column == "norm_logprob"
        for task in own:
            yield Measure(f"{task.label}, {name} {size[task.name]}", name,
                          (benchmark(task, column),), primary=sensitive)  # fmt: skip
        if len(own) > 1:
            metrics = tuple(benchmark(task, column) for task in own)
            yield Measure(f"average, {name}", name, metrics, primary=sensitive)
    for task in tasks:
        yield Measure(f"{task.label}, {task.metric} % {size[task.name]}", group, (benchmark(task),))
    if len(tasks) > 1:
        kinds = {"acc", "acc_norm"}.issuperset(task.metric for task in tasks)
        label = f"average of the {'accuracies' if kinds else 'metrics'}, %"
        yield Measure(label, group, tuple(map(benchmark, tasks)))


def baselines(measure: Measure, result: Result) -> dict[str, float | None]:
    """What chance and the commonest answer score, in percent, mean over tasks; None where a task
    has none, and of what is no score."""
    found: dict[str, float | None] = {}
    for name in ("random", "majority"):
        own = [
            result.record["metrics"][metric.task].get(name) if metric.is_score else None
            for metric in measure.metrics
        ]
        known = [value for value in own if value is not None]
        found[name] = 100 * sum(known) / len(known) if len(known) == len(own) else None
    return found
