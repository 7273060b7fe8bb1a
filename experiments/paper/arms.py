"""What arms trained from scratch come to on held-out text and benchmarks, against one of them."""

from __future__ import annotations

from dataclasses import asdict
from statistics import fmean, geometric_mean
from typing import Any

from evals.heldout import pooled
from evals.suites import BenchmarkTask
from experiments.fingerprint import Stage
from experiments.paper.association import interval
from experiments.paper.comparison import bits_per_byte, mean_difference, paired_difference
from experiments.paper.figures import arms_figure
from experiments.paper.pretraining import GROUPS, group_of
from experiments.paper.report import table
from experiments.plans.pretrain import seeds
from experiments.schema import Config
from experiments.stages.evaluate import HELD_OUT_TASK, read_predictions, tasks
from experiments.store import Store

Records = dict[str, dict[str, Any]]
Evaluated = dict[str, dict[int, Stage]]
"""Evaluations by arm and seed."""

FIGURES = (arms_figure,)

REFERENCES = {
    "selection": "synthetic100",
    "collapse": "synthetic0",
    "pretrain_toedit": "source",
}
"""The arm that the others are compared with, by plan."""


def results(config: Config, stages: list[Stage], records: Records, store: Store) -> dict[str, Any]:
    """Everything the report shows, as plain values.

    Returns:
        ``groups`` of held-out text, each with a row an arm: macro perplexity by seed, pooled bits
        per byte by seed, and their difference from the reference, with the interval over seeds and,
        for the first seed, over documents; ``benchmarks`` with accuracies by seed and, for the
        first seed, their paired differences from the reference; ``on_the_way``, both after
        ``train.keep_tokens``; ``loss``, and the records of mixtures, selections and edits.
    """
    arms = _evaluated(stages)
    reference = REFERENCES[config.plan]
    training = next(r["metrics"] for key, r in records.items() if key.startswith("train/"))

    def measured(found: Evaluated) -> dict[str, Any]:
        return {
            "groups": _groups(found, reference, seeds(config), store),
            "benchmarks": _benchmarks(config, found, reference, records, store),
        }

    def recorded(kind: str) -> Records:
        return {
            key.partition("/")[2]: record["metrics"]
            for key, record in records.items()
            if key.startswith(f"{kind}/")
        }

    return {
        "experiment": config.name,
        "note": config.note,
        "seeds": seeds(config),
        "reference": reference,
        "steps": training["steps"],
        "tokens": training["tokens"],
        **measured(arms),
        "on_the_way": [
            {"tokens": tokens, **measured(_evaluated(stages, tokens))}
            for tokens in config.train.keep_tokens
        ],
        "loss": {
            arm: [records[f"train/{arm}-seed{s}"]["metrics"]["loss_tail_mean"] for s in by_seed]
            for arm, by_seed in arms.items()
        },
        "mixtures": recorded("mixture"),
        "selections": {k: v for k, v in recorded("select").items() if "-seed" in k},
        "edits": recorded("edit"),
        "stages": {store.label(s): records[f"{s.kind}/{s.name}"]["seconds"] for s in stages},
    }


def _evaluated(stages: list[Stage], after: int | None = None) -> Evaluated:
    """Evaluations after so many tokens; None for those at the end."""
    arms: Evaluated = {}
    for stage in stages:
        if stage.kind == "evaluate" and stage.config.after == after:
            arm, _, seed = stage.name.removesuffix(f"-after{after}").rpartition("-seed")
            arms.setdefault(arm, {})[int(seed)] = stage
    return arms


def _groups(arms: Evaluated, reference: str, runs: list[int], store: Store) -> list[dict[str, Any]]:
    """Held-out text by group, a row an arm."""
    rows = {
        (arm, seed): read_predictions(store.folder(stage), HELD_OUT_TASK)
        for arm, by_seed in arms.items()
        for seed, stage in by_seed.items()
    }
    groups = []
    named = sorted({group_of(row) for found in rows.values() for row in found})
    for name in sorted(named, key=[*GROUPS.values(), *named].index):
        own = {place: [r for r in found if group_of(r) == name] for place, found in rows.items()}
        found = []
        for arm in arms:
            perplexities = [_macro(own[arm, seed]) for seed in runs]
            bits = [pooled(own[arm, seed])["bits_per_byte"] for seed in runs]
            against = [pooled(own[reference, seed])["bits_per_byte"] for seed in runs]
            changes = [b - a for b, a in zip(bits, against, strict=True)]
            paired = paired_difference(own[arm, runs[0]], own[reference, runs[0]], bits_per_byte)
            found.append(
                {
                    "arm": arm,
                    "perplexity": perplexities,
                    "bits_per_byte": bits,
                    "difference": changes,
                    "over_seeds": None if len(runs) < 2 else interval(changes),
                    "over_documents": [paired.low, paired.high],
                }
            )
        groups.append({"group": name, "documents": len(own[reference, runs[0]]), "rows": found})
    return groups


def _macro(rows: list[dict[str, Any]]) -> float:
    """Perplexity, geometric mean over domains."""
    domains = sorted({row["domain"] for row in rows})
    return geometric_mean(
        [pooled([row for row in rows if row["domain"] == d])["perplexity"] for d in domains]
    )


def _benchmarks(
    config: Config, arms: Evaluated, reference: str, records: Records, store: Store
) -> list[dict[str, Any]]:
    """A row a benchmark, and one for their average where there are several."""
    chosen, first = tasks(config.eval), seeds(config)[0]
    items = {
        arm: {t.name: read_predictions(store.folder(by_seed[first]), t.name) for t in chosen}
        for arm, by_seed in arms.items()
    }

    def row(label: str, *members: BenchmarkTask) -> dict[str, Any]:
        def mean(stage: Stage) -> float:
            metrics = records[f"evaluate/{stage.name}"]["metrics"]
            return fmean(metrics[t.name][t.metric] for t in members)

        def difference(arm: str) -> dict[str, float]:
            own, other = ([items[a][t.name] for t in members] for a in (arm, reference))
            return asdict(mean_difference(own, other, [t.metric for t in members]))

        chance = [1 / t.options for t in members if t.options]
        return {
            "task": label,
            "items": sum(len(items[reference][t.name]) for t in members),
            "random": fmean(chance) if len(chance) == len(members) else None,
            "accuracy": {arm: [*map(mean, by_seed.values())] for arm, by_seed in arms.items()},
            "difference": {arm: difference(arm) for arm in arms if arm != reference},
        }

    rows = [row(task.label, task) for task in chosen]
    return [*rows, row("average", *chosen)] if len(chosen) > 1 else rows


def markdown(values: dict[str, Any]) -> str:
    """The results as a page of Markdown."""
    many = len(values["seeds"]) > 1
    parts = [f"# {values['experiment']}, seeds {', '.join(map(str, values['seeds']))}"]
    parts += _measured_tables(values, values, "")
    for point in values["on_the_way"]:
        parts += _measured_tables(values, point, f", after {point['tokens']:.3g} tokens")
    chosen = [
        [name, f"{found['chosen_documents']} of {found['documents']}",
         f"{found['chosen_mean_characters']:.0f} ({found['mean_characters']:.0f})",
         "".join(f"held-out AUC {found[key]:.3f}" for key in found if key.endswith("auc"))]
        for name, found in values["selections"].items()
    ]  # fmt: skip
    if chosen:
        header = ["selection", "documents", "characters a document (all)", ""]
        parts += ["## Selections", table(header, chosen)]
    edited = [
        [name, f"{found['changed_per_10k']:.1f}", f"{100 * found['eligible_share']:.2f}"]
        for name, found in values["edits"].items()
    ]
    if edited:
        header = ["edit", "tokens changed of 10,000", "eligible, %"]
        parts += ["## Edits", table(header, edited)]
    parts.append(_caption(values, many))
    return "\n\n".join(parts) + "\n"


def _measured_tables(values: dict[str, Any], point: dict[str, Any], when: str) -> list[str]:
    """Titles and tables of what was measured at the end, or on the way."""
    many, reference = len(values["seeds"]) > 1, values["reference"]
    error = "95 % over seeds" if many else "95 % over documents"
    header = ["arm", "perplexity (macro)", "bits per byte (micro)", f"minus {reference}", error]
    parts = []
    for group in point["groups"]:
        rows = []
        for row in group["rows"]:
            change = fmean(row["difference"])
            low, high = row["over_documents"]
            if many:
                low, high = change - row["over_seeds"], change + row["over_seeds"]
            cells = [row["arm"], f"{fmean(row['perplexity']):.1f}",
                     f"{fmean(row['bits_per_byte']):.3f}"]  # fmt: skip
            if row["arm"] == reference:
                rows.append([*cells, "", ""])
            else:
                rows.append([*cells, f"{change:+.4f}", f"{low:+.4f} to {high:+.4f}"])
        title = f"## {group['group']} (n {group['documents']}){when}"
        parts += [title, table(header, rows)]
    arms = list(values["loss"])
    rest, compared = [], []
    if not when:
        losses = (f"{fmean(values['loss'][arm]):.3f}" for arm in arms)
        rest.append(["training loss, nats (last tenth)", *losses])
    for found in point["benchmarks"]:
        chance = "" if found["random"] is None else f" (random {100 * found['random']:.0f})"
        means = (f"{100 * fmean(found['accuracy'][arm]):.1f}" for arm in arms)
        rest.append([f"{found['task']}, %{chance}", *means])
        compared.append([f"{found['task']} (n {found['items']})",
                         *map(_points, found["difference"].values())])  # fmt: skip
    if rest:
        title = f"## Benchmarks{when}" if when else "## Training loss and benchmarks"
        parts += [title, table(["", *arms], rest)]
    if compared:
        others = (arm for arm in arms if arm != reference)
        parts.append(table([f"minus {reference}, points (95 % over items)", *others], compared))
    return parts


def _points(found: dict[str, float]) -> str:
    value, low, high = (100 * found[key] for key in ("value", "low", "high"))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def _caption(values: dict[str, Any], many: bool) -> str:
    spread = (
        "Intervals over seeds are Student's, each seed paired with the reference of the same seed."
        if many
        else "One seed: the interval is a paired bootstrap over documents, and says nothing of "
        "what another seed would change."
    )
    if values["benchmarks"]:
        spread += (
            f" Benchmarks are compared by a paired bootstrap over items, seed {values['seeds'][0]}."
        )
    seen = f"Every run saw {values['tokens']} tokens in {values['steps']} steps."
    return f"{values['note']} {seen} {spread} None is corrected for the number of rows.".strip()
