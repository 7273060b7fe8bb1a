"""Rows of a report page that compares arms: measures of held-out text and of benchmarks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evals.suites import BenchmarkTask
from experiments.analysis.compare import Arm, aggregate, compare
from experiments.analysis.estimate import Estimate
from experiments.analysis.evidence import CUT, Result
from experiments.analysis.levels import geometric_level, level
from experiments.analysis.metrics import (
    FIELDS,
    HELD_OUT_TASK,
    Metric,
    benchmark,
    bits_per_byte,
    in_percent,
    item_rows,
    perplexity,
)

Arms = dict[str, dict[int | None, Result]]
"""Evaluations by arm and seed."""

Observed = list[tuple[Arm, Metric]]
"""Observations of an arm by seed, of each metric of a measure."""

GROUPS = {
    ("human", True): "human, domains of the mixtures",
    ("human", False): "human, held-out domains",
    ("synthetic", True): "synthetic, formats of the mixtures",
    ("synthetic", False): "synthetic, held-out formats",
}
"""Names of groups of held-out text, by kind and by whether the training text has its domain."""


@dataclass(frozen=True)
class Measure:
    """A row of a page.

    Attributes:
        metrics: one metric, or several that are averaged.
        geometric: whether the average is a geometric mean, as of perplexities.
        primary: whether it is sensitive to small differences.
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
        """Decimals of its values."""
        return self.metrics[0].digits

    def observed(self, results: dict[int | None, Result]) -> Observed | None:
        """Observations of an arm; None if any metric was not measured."""
        parts: Observed = []
        for metric in self.metrics:
            arm = metric.arm(results)
            if arm is None:
                return None
            parts.append((arm, metric))
        return parts

    def level(self, parts: Observed) -> Estimate:
        """Estimate the value of an arm."""
        return geometric_level(parts) if self.geometric else level(parts)

    def difference(self, first: Observed, second: Observed) -> Estimate:
        """Estimate the first arm minus the second."""
        pairs = [(a, b, metric) for (a, metric), (b, _) in zip(first, second, strict=True)]
        return compare(*pairs[0]) if len(pairs) == 1 else aggregate(pairs)


def measures(result: Result, tasks: Sequence[BenchmarkTask]) -> list[Measure]:
    """List the measures that an evaluation contains."""
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
    for group, fields in _groups(rows).items():
        selected = [row for row in rows if all(row.get(key) == value for key, value in fields)]
        counts = Counter(sorted(row["domain"] for row in selected))
        domains = [(*fields, ("domain", domain)) for domain in counts]
        metrics = tuple(perplexity(*domain) for domain in domains)
        yield Measure(f"perplexity, geometric mean over domains (n {len(selected)})", group,
                      metrics, geometric=True, figure=True)  # fmt: skip
        if len(domains) > 1:
            yield Measure("perplexity, all documents together", group, (perplexity(*fields),))
        bits = tuple(bits_per_byte(*domain) for domain in domains)
        yield Measure("bits per byte, mean over domains", group, bits, primary=True)
        if len(domains) > 1:
            yield Measure("bits per byte, all documents together", group, (bits_per_byte(*fields),))
        for (domain, count), metric in zip(counts.items(), metrics, strict=True):
            yield Measure(f"{domain} (n {count}), perplexity", group, (metric,))


def _groups(rows: list[dict[str, Any]]) -> dict[str, tuple[tuple[str, Any], ...]]:
    """Groups of held-out text, with the fields that select the rows of each."""
    groups: dict[str, tuple[tuple[str, Any], ...]] = {}
    for row in rows:
        if row.get("set"):
            groups[row["set"]] = (("set", row["set"]),)
        else:
            name = GROUPS[row["kind"], row["seen"]]
            groups[name] = (("kind", row["kind"]), ("seen", row["seen"]))
    order = [*GROUPS.values(), *sorted(groups)]
    return {name: groups[name] for name in sorted(groups, key=order.index)}


def _benchmarks(result: Result, tasks: Sequence[BenchmarkTask]) -> Iterator[Measure]:
    if not tasks:
        return
    recorded = result.record["metrics"]
    size = {t.name: f"(n {recorded[t.name]['items']} of {t.items})" for t in tasks}
    group = "benchmarks"
    choices = [task for task in tasks if recorded[task.name].get("gold_logprob") is not None]
    for column, name in FIELDS.items():
        sensitive = column == "norm_logprob"
        metrics = tuple(benchmark(task, column) for task in choices)
        for task, metric in zip(choices, metrics, strict=True):
            label = f"{task.label}, {name} {size[task.name]}"
            yield Measure(label, name, (metric,), primary=sensitive)
        if len(choices) > 1:
            yield Measure(f"average, {name}", name, metrics, primary=sensitive)
    for task in tasks:
        unit = " %" if in_percent(task) else ""
        label = f"{task.label}, {task.metric}{unit} {size[task.name]}"
        yield Measure(label, group, (benchmark(task),))
    shares = [task for task in tasks if in_percent(task)]
    if len(shares) > 1:
        kinds = {"acc", "acc_norm"}.issuperset(task.metric for task in shares)
        label = f"average of the {'accuracies' if kinds else 'metrics'}, %"
        yield Measure(label, group, tuple(map(benchmark, shares)))


def baselines(measure: Measure, result: Result) -> dict[str, float | None]:
    """Scores of random and of majority answers, in percent, mean over tasks.

    A score is None if a task has none or the measure is no score.
    """
    recorded = result.record["metrics"]
    means: dict[str, float | None] = {}
    for name in ("random", "majority"):
        scores = [recorded[m.task].get(name) for m in measure.metrics if m.is_score]
        complete = len(scores) == len(measure.metrics) and None not in scores
        means[name] = 100 * sum(scores) / len(scores) if complete else None
    return means


def cut_items(measure: Measure, arms: Arms) -> dict[str, int]:
    """By arm, the number of items that were longer than the model reads.

    Arms in which it was not counted are absent, and so are all if the measure is no score of one
    benchmark.
    """
    if len(measure.metrics) > 1 or not measure.metrics[0].is_score:
        return {}
    task = measure.metrics[0].task
    recorded = {
        name: [result.record["metrics"].get(task, {}).get(CUT) for result in arm.values()]
        for name, arm in arms.items()
    }
    return {name: max(counts) for name, counts in recorded.items() if None not in counts}
