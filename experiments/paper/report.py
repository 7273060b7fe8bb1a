"""The report of an experiment that trains on edits: what editing did, and what training did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evals.suites import BenchmarkTask
from experiments.fingerprint import Stage
from experiments.paper.comparison import (
    Difference,
    bits_per_byte,
    column_mean,
    mean_difference,
    paired_difference,
)
from experiments.schema import Config
from experiments.stages.evaluate import HELD_OUT_TASK, read_predictions, tasks
from experiments.store import Store
from toedit.corpora.shards import atomic_path, write_json

Records = dict[str, dict[str, Any]]


def results(config: Config, stages: list[Stage], records: Records, store: Store) -> dict[str, Any]:
    """Everything the report shows, as plain values.

    Args:
        config: the experiment.
        stages: its stages.
        records: their records by ``kind/name``.
        store: where the predictions are.

    Returns:
        ``editing`` (statistics by preset), ``rows`` (a metric each, with a cell an arm and the
        difference edited minus source), and what is needed to read them.
    """
    evaluated = {stage.name: stage for stage in stages if stage.kind == "evaluate"}
    predictions = {
        arm: {
            task: read_predictions(store.folder(stage), task)
            for task in [*(t.name for t in tasks(config.eval)), HELD_OUT_TASK]
        }
        for arm, stage in evaluated.items()
    }
    metrics = {arm: records[f"evaluate/{arm}"]["metrics"] for arm in evaluated}
    return {
        "experiment": config.name,
        "seed": config.seed,
        "note": config.note,
        "corpus": records[next(key for key in records if key.startswith("corpus/"))]["metrics"],
        "editing": {
            stage.name: {
                "rule": stage.config.rule.describe(),
                **records[f"edit/{stage.name}"]["metrics"],
            }
            for stage in stages
            if stage.kind == "edit"
        },
        "training": {
            stage.name: {
                k: v for k, v in records[f"train/{stage.name}"]["metrics"].items() if k != "config"
            }
            for stage in stages
            if stage.kind == "train"
        },
        "rows": _rows(config, metrics, predictions),
        "stages": {
            stage.label: records[f"{stage.kind}/{stage.name}"]["seconds"] for stage in stages
        },
    }


def _rows(
    config: Config, metrics: Records, predictions: dict[str, dict[str, list]]
) -> list[dict[str, Any]]:
    compare = {"source", "edited"} <= set(predictions)
    held = {arm: values[HELD_OUT_TASK] for arm, values in metrics.items()}
    size = next(iter(held.values()))
    label = f"held-out bits per byte ({size['documents']} documents, {size['tokens']} tokens)"
    bits = {arm: (v["bits_per_byte"], v["bits_per_byte_stderr"]) for arm, v in held.items()}
    rows = [_row(label, bits, True)]
    if compare:
        edited, source = (predictions[arm][HELD_OUT_TASK] for arm in ("edited", "source"))
        rows[0]["difference"] = asdict(paired_difference(edited, source, bits_per_byte))
    rows.append(
        _row("held-out token perplexity", {arm: (v["perplexity"], None) for arm, v in held.items()})
    )
    benchmarks = tasks(config.eval)
    multiple_choice = [
        t
        for t in benchmarks
        if all("gold_logprob" in values[t.name] for values in metrics.values())
    ]
    for task in multiple_choice:
        rows.append(_benchmark_row(f"log p(gold), {task.label}", task, "gold_logprob", metrics))
        if compare:
            rows[-1]["difference"] = asdict(_difference(predictions, task.name, "gold_logprob"))
    for task in benchmarks:
        row = _benchmark_row(f"{task.label}, {task.metric} %", task, task.metric, metrics, 100)
        first = next(iter(metrics.values()))[task.name]
        row |= {
            "majority": _percent(first.get("majority")),
            "random": _percent(first.get("random")),
        }
        if compare:
            row["difference"] = _scaled(_difference(predictions, task.name, "value"), 100)
        rows.append(row)
    if len(benchmarks) > 1:
        average = {
            arm: _average(
                [
                    (values[t.name][t.metric], values[t.name][f"{t.metric}_stderr"])
                    for t in benchmarks
                ]
            )
            for arm, values in metrics.items()
        }
        row = _row("average of the accuracies, %", average)
        first = next(iter(metrics.values()))
        for key in ("majority", "random"):
            shares = [first[t.name].get(key) for t in benchmarks]
            row[key] = None if None in shares else 100 * sum(shares) / len(shares)
        if compare:
            firsts, seconds = (
                [predictions[arm][t.name] for t in benchmarks] for arm in ("edited", "source")
            )
            row["difference"] = _scaled(mean_difference(firsts, seconds, "value"), 100)
        rows.append(row)
    return rows


def _average(cells: list[tuple[float, float]]) -> tuple[float, float]:
    """Mean of accuracies in percent, and its standard error; tasks are independent."""
    mean = sum(value for value, _ in cells) / len(cells)
    error = math.sqrt(sum(error**2 for _, error in cells)) / len(cells)
    return 100 * mean, 100 * error


def _row(
    label: str, cells: Mapping[str, tuple[float, float | None]], primary: bool = False
) -> dict[str, Any]:
    return {
        "metric": label,
        "primary": primary,
        "arms": {arm: {"value": value, "stderr": error} for arm, (value, error) in cells.items()},
        "majority": None,
        "random": None,
        "difference": None,
    }


def _benchmark_row(
    label: str, task: BenchmarkTask, metric: str, metrics: Records, scale: float = 1
) -> dict[str, Any]:
    cells = {
        arm: (scale * values[task.name][metric], scale * values[task.name][f"{metric}_stderr"])
        for arm, values in metrics.items()
    }
    items = next(iter(metrics.values()))[task.name]["items"]
    return _row(f"{label} (n {items} of {task.items})", cells, metric == "gold_logprob")


def _difference(predictions: dict[str, dict[str, list]], task: str, column: str) -> Difference:
    return paired_difference(
        predictions["edited"][task], predictions["source"][task], column_mean(column)
    )


def _scaled(difference: Difference, factor: float) -> dict[str, float]:
    return {key: factor * value for key, value in asdict(difference).items()}


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def markdown(values: dict[str, Any]) -> str:
    """The results as a page of Markdown."""
    parts = [f"# {values['experiment']}, seed {values['seed']}", _editing_table(values["editing"])]
    parts += [_arms_table(values["rows"]), _caption(values)]
    return "\n\n".join(parts) + "\n"


def _table(header: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        padded = [
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * w if i == 0 else "-" * (w - 1) + ":") for i, w in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def _editing_table(editing: dict[str, dict[str, Any]]) -> str:
    header = [
        "editing, by preset",
        "changed / 10k tokens",
        "eligible %",
        "smoothing %",
        "KL, nats",
        "tokens",
    ]
    rows = [
        [name, f"{e['changed_per_10k']:.1f}", f"{100 * e['eligible_share']:.2f}",
         f"{100 * e['smoothing']:.2f}",
         "inf" if e["kl"] is None else f"{e['kl']:.4f}", str(e["tokens"])]
        for name, e in editing.items()
    ]  # fmt: skip
    bins = [f"{i / 10:.1f}–{(i + 1) / 10:.1f}" for i in range(10)]
    histogram = next(iter(editing.values()))["histogram"]
    shares = _table(
        ["p(token) under the prior", *bins],
        [["share of tokens, %", *(f"{100 * h:.1f}" for h in histogram)]],
    )
    return f"{_table(header, rows)}\n\n{shares}"


def _arms_table(rows: list[dict[str, Any]]) -> str:
    arms = list(rows[0]["arms"])
    header = [
        "metric (* primary)",
        "random",
        "majority",
        *arms,
        "edited − source",
        "95 % interval",
        "detectable",
    ]
    body = []
    for row in rows:
        digits = 4 if "bits" in row["metric"] else 3 if "log p" in row["metric"] else 2
        cells = [_cell(row["arms"][arm], digits) for arm in arms]
        baselines = [
            "" if row[key] is None else f"{row[key]:.1f}" for key in ("random", "majority")
        ]
        d = row["difference"]
        last = ["", "", ""]
        if d is not None:
            last = [
                _signed(d["value"], digits),
                f"[{_signed(d['low'], digits)}, {_signed(d['high'], digits)}]",
                _signed(d["detectable"], digits).lstrip("+"),
            ]
        body.append([row["metric"] + (" *" if row["primary"] else ""), *baselines, *cells, *last])
    return _table(header, body)


def _signed(value: float, digits: int) -> str:
    """With its sign; in scientific notation where the digits would show only zeros."""
    small = value != 0 and abs(value) < 0.5 * 10**-digits
    return f"{value:+.1e}" if small else f"{value:+.{digits}f}"


def _cell(cell: dict[str, float | None], digits: int) -> str:
    error = "" if cell["stderr"] is None else f" ± {cell['stderr']:.{digits}f}"
    return f"{cell['value']:.{digits}f}{error}"


def _caption(values: dict[str, Any]) -> str:
    corpus, training = values["corpus"], values["training"]
    sentences = [values["note"]] if values["note"] else []
    failed = max((editing["failed"] for editing in values["editing"].values()), default=0)
    if failed:
        sentences.append(f"{failed} documents could not be scored and stand unedited in every arm.")
    if training:
        one = next(iter(training.values()))
        sentences.append(
            f"Each arm was trained for {one['steps']} steps on {one['tokens']} tokens."
        )
    sentences += [
        f"Corpus: {corpus['train_documents']} training documents ({corpus['train_characters']} "
        f"characters) of {corpus['train_available']}; {_decontamination(corpus)}.",
        "± is one standard error. The interval is a paired bootstrap over items; detectable is the "
        "smallest true difference that these items would find with 80 % power. Both speak of the "
        "choice of items, not of seeds: there is one training run an arm.",
    ]
    return " ".join(sentences)


def _decontamination(corpus: dict[str, Any]) -> str:
    if not corpus["benchmark_items"]:
        return "overlap with benchmark items was not checked"
    return (
        f"dropped for overlap with {corpus['benchmark_items']} benchmark items: "
        f"{corpus['dropped_by_item_id']} by id, {corpus['dropped_by_13gram']} by a shared 13-gram"
    )


def write_report(values: dict[str, Any], folder: Path) -> str:
    """Writes ``results.md`` and ``results.json`` into a folder; returns the Markdown."""
    text = markdown(values)
    write_json(folder / "results.json", values)
    with atomic_path(folder / "results.md") as temporary:
        temporary.write_text(text)
    return text
