"""What pre-training at several ratios of synthetic text found, by held-out domain."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Any

from evals.heldout import pooled
from experiments.fingerprint import Stage
from experiments.paper.association import association, interval
from experiments.paper.figures import loss_figure, ratio_figure
from experiments.paper.report import table
from experiments.plans.pretrain import seeds
from experiments.schema import Config
from experiments.stages.evaluate import HELD_OUT_TASK, read_predictions, tasks
from experiments.stages.mixture import arm_name
from experiments.store import Store
from experiments.store.curves import MetricsLog

Records = dict[str, dict[str, Any]]
Row = dict[str, Any]
Rows = list[Row]
Cell = dict[str, list[list[float]]]
"""Values ``[seeds][ratios]`` by metric."""

FIGURES = (ratio_figure, loss_figure)

POINTS = 200
"""Of a curve, which is more than a figure shows."""

METRICS = ("perplexity", "bits_per_byte")
GROUPS = {
    ("human", True): "human, domains of the mixtures",
    ("human", False): "human, held-out domains",
    ("synthetic", True): "synthetic, formats of the mixtures",
    ("synthetic", False): "synthetic, held-out formats",
}
"""Held-out text by kind and by whether training text holds its domain."""


def group_of(row: Row) -> str:
    """The group in whose average a held-out document counts: its set, or kind and domain."""
    return row.get("set") or GROUPS[row["kind"], row["seen"]]


def results(config: Config, stages: list[Stage], records: Records, store: Store) -> dict[str, Any]:
    """Everything the report shows, as plain values.

    Returns:
        ``domains`` and ``groups`` (macro averages), each with perplexity and bits per byte by ratio
        and seed, its correlation with the ratio and the test of it; ``on_the_way``, the groups at
        ``train.keep_tokens``; ``loss`` and its ``curves`` of the first seed; and what is needed to
        read them.
    """
    folders = {stage.name: store.folder(stage) for stage in stages if stage.kind == "evaluate"}
    ratios, runs = config.mixture.ratios, seeds(config)

    def measured(after: str = "") -> dict[tuple[int, int], Path]:
        return {
            (s, r): folders[f"{arm_name(ratio)}-seed{seed}{after}"]
            for s, seed in enumerate(runs)
            for r, ratio in enumerate(ratios)
        }

    domains_found, groups = _held_out(ratios, measured())
    benchmarks = [
        {
            "task": task.label,
            "random": 1 / task.options,
            **_summary(ratios, _accuracies(measured(), task.name)),
            "items": len(read_predictions(measured()[0, 0], task.name)),
        }
        for task in tasks(config.eval)
    ]
    losses = [
        [records[f"train/{arm_name(ratio)}-seed{seed}"]["metrics"]["loss_tail_mean"]
         for ratio in ratios] for seed in runs
    ]  # fmt: skip
    training = next(r["metrics"] for key, r in records.items() if key.startswith("train/"))
    return {
        "experiment": config.name,
        "note": config.note,
        "ratios": ratios,
        "seeds": runs,
        "corpus": {k: v["metrics"] for k, v in records.items() if k.startswith("corpus/")},
        "tokenizer": next(v["metrics"] for k, v in records.items() if k.startswith("tokenizer/")),
        "mixtures": {
            key.partition("/")[2]: record["metrics"]
            for key, record in records.items()
            if key.startswith("mixture/")
        },
        "steps": training["steps"],
        "tokens": training["tokens"],
        "domains": domains_found,
        "groups": groups,
        "on_the_way": [
            {"tokens": tokens, "groups": _held_out(ratios, measured(f"-after{tokens}"))[1]}
            for tokens in config.train.keep_tokens
        ],
        "benchmarks": benchmarks,
        "loss": _summary(ratios, losses),
        "curves": {
            arm_name(ratio): _curve(stages, f"{arm_name(ratio)}-seed{runs[0]}", store)
            for ratio in ratios
        },
        "stages": {store.label(s): records[f"{s.kind}/{s.name}"]["seconds"] for s in stages},
    }


def _curve(stages: list[Stage], name: str, store: Store) -> list[list[float]]:
    """Step and training loss of a model, at most :data:`POINTS` of them."""
    (own,) = (stage for stage in stages if (stage.kind, stage.name) == ("train", name))
    rows = [row for row in MetricsLog(store.folder(own)).read() if "loss" in row]
    thinned = rows[:: max(1, len(rows) // POINTS)]
    return [[row["step"], row["loss"]] for row in thinned]


def _held_out(
    ratios: list[float], folders: dict[tuple[int, int], Path]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What was measured on held-out text, by domain and by group of domains."""
    rows = {
        place: [row | {"group": group_of(row)} for row in read_predictions(folder, HELD_OUT_TASK)]
        for place, folder in folders.items()
    }
    places = {(row["group"], row["domain"]) for found in rows.values() for row in found}
    order = [*GROUPS.values(), *sorted({group for group, _ in places})]
    domains, groups = [], []
    for group in dict.fromkeys(order):
        members = []
        for domain in sorted(domain for own, domain in places if own == group):
            cell, size = _pooled(rows, {"group": group, "domain": domain})
            members.append(cell)
            domains.append({"domain": domain, "group": group, **size, **_measured(ratios, cell)})
        if members:
            micro, size = _pooled(rows, {"group": group})
            groups.append(
                {
                    "group": group,
                    "domains": len(members),
                    **size,
                    **_measured(ratios, _macro(members)),
                    "micro": _measured(ratios, micro),
                }
            )
    return domains, groups


def _grid(values: dict[tuple[int, int], float]) -> list[list[float]]:
    """``[seeds][ratios]`` from values by place."""
    seeds_, ratios = (1 + max(place[axis] for place in values) for axis in (0, 1))
    return [[values[s, r] for r in range(ratios)] for s in range(seeds_)]


def _pooled(rows: dict[tuple[int, int], Rows], wanted: Row) -> tuple[Cell, dict[str, int]]:
    """Perplexity and bits per byte over all documents of some kind, and how much text that is."""
    perplexities, bits, size = {}, {}, {}
    for place, found in rows.items():
        own = [row for row in found if wanted.items() <= row.items()]
        size = pooled(own)
        perplexities[place], bits[place] = size.pop("perplexity"), size.pop("bits_per_byte")
    return {"perplexity": _grid(perplexities), "bits_per_byte": _grid(bits)}, size


def _accuracies(measured: dict[tuple[int, int], Path], task: str) -> list[list[float]]:
    """Mean of the task's metric over its items, ``[seeds][ratios]``."""
    found = {place: read_predictions(folder, task) for place, folder in measured.items()}
    return _grid({p: sum(row["value"] for row in rows) / len(rows) for p, rows in found.items()})


def _macro(members: list[Cell]) -> Cell:
    """Unweighted means over domains; geometric for perplexity, since it is an exponential."""
    found: Cell = {}
    for metric, mean in (("perplexity", geometric_mean), ("bits_per_byte", fmean)):
        rows = zip(*(member[metric] for member in members), strict=True)
        found[metric] = [[mean(values) for values in zip(*row, strict=True)] for row in rows]
    return found


def _measured(ratios: list[float], cell: Cell) -> dict[str, Any]:
    return {metric: _summary(ratios, values) for metric, values in cell.items()}


def _summary(ratios: list[float], values: list[list[float]]) -> dict[str, Any]:
    """Values ``[seeds][ratios]`` with means, intervals and the association with the ratio."""
    columns = [list(column) for column in zip(*values, strict=True)]
    found: dict[str, Any] = {
        "by_seed": values,
        "mean": [sum(column) / len(column) for column in columns],
        "interval": [_number(interval(column)) for column in columns],
    }
    if len(ratios) > 2:
        test = association(ratios, values)
        found |= {"r": _number(test.r), "p": _number(test.p), "p_joint": _number(test.p_joint),
                  "exact": test.exact}  # fmt: skip
    return found


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def markdown(values: dict[str, Any]) -> str:
    """The results as a page of Markdown."""
    shares = [f"{100 * ratio:g} %" for ratio in values["ratios"]]
    tested = len(values["ratios"]) > 2
    last = ["r", "p", "p joint"] if tested else []

    def row(label: str, found: dict[str, Any], digits: int) -> list[str]:
        cells = [
            f"{mean:.{digits}f}" + (f" ± {half:.{digits}f}" if half is not None else "")
            for mean, half in zip(found["mean"], found["interval"], strict=True)
        ]
        if tested:
            cells += [
                "" if found[key] is None else f"{found[key]:{form}}"
                for key, form in (("r", "+.2f"), ("p", ".2g"), ("p_joint", ".2g"))
            ]
        return [label, *cells]

    by_group = []
    for group in values["groups"]:
        by_group.append(row(f"**{group['group']}** (macro)", group["perplexity"], 1))
        if group["domains"] > 1:
            by_group.append(row(f"{group['group']} (micro)", group["micro"]["perplexity"], 1))
        by_group += [
            row(f"{d['domain']} (n {d['documents']})", d["perplexity"], 1)
            for d in values["domains"]
            if d["group"] == group["group"]
        ]
    bits = [row(g["group"], g["bits_per_byte"], 3) for g in values["groups"]]
    bits.append(row("training loss, nats (last tenth)", values["loss"], 3))
    accuracies = [row(f"{b['task']} (n {b['items']}, random {100 * b['random']:.0f} %)",
                      _percent(b), 1) for b in values["benchmarks"]]  # fmt: skip
    passed = [
        row(f"{group['group']}, {part['tokens']:.3g}", group["perplexity"], 1)
        for part in values["on_the_way"]
        for group in part["groups"]
    ]
    seeds_named = ", ".join(map(str, values["seeds"]))
    parts = [
        f"# {values['experiment']}, seeds {seeds_named}",
        table(
            ["held-out token perplexity, by share of synthetic tokens", *shares, *last], by_group
        ),
        table(["bits per byte, macro average", *shares, *last], bits),
        table(["accuracy, %", *shares, *last], accuracies) if accuracies else "",
        table(["held-out token perplexity (macro), after tokens", *shares, *last], passed)
        if passed
        else "",
        _caption(values, tested),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _percent(found: dict[str, Any]) -> dict[str, Any]:
    return found | {
        key: [None if value is None else 100 * value for value in found[key]]
        for key in ("mean", "interval")
    }


def _caption(values: dict[str, Any], tested: bool) -> str:
    sentences = [values["note"]] if values["note"] else []
    mixed = next(iter(values["mixtures"].values()))["tokens"]
    sentences.append(
        f"Every run saw {values['tokens']} tokens in {values['steps']} steps: a mixture of "
        f"{mixed} tokens, {values['tokens'] / mixed:.3g} times. The ratio is the share of "
        "synthetic tokens, human domains share the rest equally; the runs at 0 and 100 % saw "
        "one kind only, whatever the rows are called."
    )
    words = values["tokenizer"]
    if kinds := words.get("characters_per_token"):
        sentences.append(
            f"The tokenizer ({words['vocabulary']} tokens) was trained on equal parts of both "
            f"kinds: {kinds['human']:.2f} characters a token of human and {kinds['synthetic']:.2f} "
            "of synthetic text, so compare kinds in bits per byte."
        )
    if corpus := values["corpus"].get("corpus/domains"):
        sentences.append(
            f"{corpus['dropped_synthetic_of_heldout_domains']} of {corpus['synthetic_documents']} "
            "synthetic documents were left out because their seed stands in a held-out domain."
        )
    if len(values["seeds"]) > 1:
        sentences.append(
            "± is half the 95 % interval of the mean over seeds (Student). A seed chooses "
            "documents, initial weights and the order of blocks."
        )
    else:
        sentences.append("One seed: what a second one would change is not known.")
    if tested:
        exact = values["loss"]["exact"]
        sentences.append(
            "r is the correlation with the ratio, mean over seeds; p its two-sided "
            f"{'exact ' if exact else ''}permutation value with seeds as strata, p joint the exact "
            "one with a single exchange of the ratios for all seeds, which does not take seeds for "
            "independent though they draw on the same text. Neither is corrected for the number of "
            "rows."
        )
    return " ".join(sentences)
