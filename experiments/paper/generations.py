"""Editing repeated: near-certain tokens by generation, and models that learned each (tables 15 and
16 of the paper)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.fingerprint import Stage
from experiments.paper import printed
from experiments.paper.caption import caption
from experiments.paper.report import table
from experiments.paper.results import by_arm
from experiments.paper.rows import rows
from experiments.paper.statistics.intervals import bootstrap
from experiments.plans.pretrain import seeds
from experiments.plans.sft_generations import LINES, TRAINED, text_name
from experiments.schema import Config
from experiments.stages import certain
from experiments.stages.evaluate import HELD_OUT_TASK, read_predictions, tasks
from experiments.store import Store

Records = dict[str, dict[str, Any]]
REFERENCE = f"{TRAINED}0"
"""The arm that all others are compared with: the one that learned the source."""

PARTS = {"all tokens": [0, 1], "responses": [2, 3]}
"""Columns of :data:`certain.COUNTS` by what is counted: tokens, and those almost certain."""


def results(config: Config, stages: list[Stage], records: Records, store: Store) -> dict[str, Any]:
    """Everything the report shows, as plain values.

    Returns:
        ``shares`` (near-certain tokens by text, part and generation: over all seeds, with intervals
        over documents), ``editing`` (by edit), ``rows`` (:func:`experiments.paper.rows.rows` with
        the ``differences`` of every arm from generation 0; ``difference`` is the last one's), and
        what is needed to read them.
    """
    folders = {f"{stage.kind}/{stage.name}": store.folder(stage) for stage in stages}

    def recorded(kind: str) -> Records:
        named = [stage.name for stage in stages if stage.kind == kind]
        return {name: records[f"{kind}/{name}"]["metrics"] for name in named}

    corpora, sign = recorded("corpus"), ">" if config.edit.strict else ">="
    removed = config.corpus.remove_overlap
    return {
        "experiment": config.name,
        "seeds": seeds(config),
        "note": config.note,
        "condition": f"p {sign} {config.edit.threshold:g}",
        "rule": config.edit.describe(),
        "corpus": {**next(iter(corpora.values())), "removed": removed},
        "extra": {**corpora["extra"], "removed": config.mix.corpus.remove_overlap}
        if "extra" in corpora
        else None,
        "shares": _shares(config, folders),
        "editing": recorded("edit"),
        "training": {
            name: {key: value for key, value in found.items() if key != "config"}
            for name, found in recorded("train").items()
        },
        "rows": _rows(config, stages, records, store),
        "stages": {store.label(s): records[f"{s.kind}/{s.name}"]["seconds"] for s in stages},
    }


def _shares(config: Config, folders: dict[str, Path]) -> list[dict[str, Any]]:
    """A row a text, part and generation; one text where both are the same."""
    found = []
    sources = zip(LINES, (config.corpus, config.generations.measured), strict=True)
    for line, source in [(own, s) for own, s in sources if f"certain/{own}0" in folders]:
        counts = _counts(config, line, folders)
        label = f"{source.hub or source.source}{' (trained on)' if line == TRAINED else ''}"
        for part, columns in PARTS.items() if source.conversations else [("all tokens", [0, 1])]:
            for number, own in enumerate(counts):
                pair = [own, counts[number - 1]] if number else [own]
                samples = [sample[:, columns] for sample in pair]
                share, *change = bootstrap(_share_and_change, samples, paired=True)
                total, near = own[:, columns].sum(axis=0).tolist()
                found.append(
                    {"line": line, "text": label, "part": part, "generation": number,
                     "tokens": total, "certain": near, "share": share,
                     "change": change[0] if change else None}
                )  # fmt: skip
    return found


def _counts(config: Config, line: str, folders: dict[str, Path]) -> list[np.ndarray]:
    """Counts of each document by generation, mean over seeds, float ``[documents, 4]``.

    Raises:
        ValueError: two generations hold different documents.
    """
    found, documents = [], certain.read(folders[f"certain/{text_name(config, line, 0)}"])[0]
    for number in range(config.generations.number + 1):
        names = [text_name(config, line, number, seed) for seed in seeds(config)]
        read = [certain.read(folders[f"certain/{name}"]) for name in names]
        if any(ids != documents for ids, _ in read):
            raise ValueError(f"{line}{number} and {line}0 hold different documents")
        found.append(np.mean([counts for _, counts in read], axis=0))
    return found


def _share_and_change(now: np.ndarray, *last: np.ndarray) -> list[np.ndarray]:
    """Share of near-certain tokens ``[draws]`` and its change since the generation before, from
    counts ``[draws, documents, 2]``."""
    with np.errstate(invalid="ignore"):  # no token at all: NaN
        share, *before = [sums[:, 1] / sums[:, 0] for sums in (c.sum(axis=1) for c in (now, *last))]
    return [share, *(share - other for other in before)]


def _rows(
    config: Config, stages: list[Stage], records: Records, store: Store
) -> list[dict[str, Any]]:
    """A row a metric, with a cell an arm and the difference of each from generation 0."""
    runs, chosen = seeds(config), tasks(config.eval)
    evaluated = by_arm(stages, "evaluate", runs)
    named = [*(task.name for task in chosen), HELD_OUT_TASK]
    metrics, predictions = {}, {}
    for arm, own in evaluated.items():
        measured = [records[f"evaluate/{stage.name}"]["metrics"] for stage in own]
        metrics[arm] = measured * (len(runs) // len(own))  # base has no seed
        folder = store.folder(own[0])
        predictions[arm] = {name: read_predictions(folder, name) for name in named}
    held_out = "held-out" if config.model.template is None else "held-out responses,"
    others = [arm for arm in evaluated if arm != REFERENCE]
    compared = {}
    for arm in others:
        pair = {"source": REFERENCE, "edited": arm}  # compared is edited with source
        compared[arm] = rows(
            chosen,
            {role: metrics[name] for role, name in pair.items()},
            {role: predictions[name] for role, name in pair.items()},
            held_out,
        )
    merged = []
    for number, row in enumerate(compared[others[-1]]):
        same = {arm: found[number] for arm, found in compared.items()}
        cells = {arm: one["arms"]["edited"] for arm, one in same.items()}
        cells[REFERENCE] = row["arms"]["source"]
        differences = {arm: one["difference"] for arm, one in same.items()}
        merged.append({**row, "arms": {arm: cells[arm] for arm in evaluated},
                       "differences": differences})  # fmt: skip
    return merged


def markdown(values: dict[str, Any]) -> str:
    """The results as a page of Markdown."""
    runs = values["seeds"]
    plural = "s" if len(runs) > 1 else ""
    parts = [f"# {values['experiment']}, seed{plural} {', '.join(map(str, runs))}"]
    parts += [f"## Tokens with {values['condition']} under the prior", _shares_table(values)]
    edits = [
        [name, str(found["tokens"]), f"{100 * found['eligible_share']:.2f}", str(found["changed"]),
         f"{found['changed_per_10k']:.1f}"]
        for name, found in values["editing"].items()
    ]  # fmt: skip
    header = ["edit, of the generation before", "tokens", "eligible %", "changed", "/ 10k tokens"]
    parts += [f"## Edits: {values['rule']}", table(header, edits)]
    parts += ["## Models by the generation they learned", *_models_tables(values)]
    pooled = "Shares are over all seeds. " if plural else ""
    end = f"{pooled}Intervals of shares resample documents, which keep their edits."
    return "\n\n".join([*parts, f"{caption(values)} {end}"]) + "\n"


def _shares_table(values: dict[str, Any]) -> str:
    body = []
    for row in values["shares"]:
        share, change = row["share"], row["change"]
        body.append([f"{row['text']}, {row['part']}", str(row["generation"]),
                     f"{row['tokens']:.0f}", f"{row['certain']:.0f}", _points(share),
                     "" if change is None else _points(change, "+")])  # fmt: skip
    last = None
    for number, row in enumerate(printed.read("table15")):
        tokens, near = int(row["total_tokens"]), int(row["tokens_p_gt_0.99"])
        share = near / tokens
        change = "" if last is None else f"{100 * (share - last):+.2f}"
        body.append(["paper: Natural-Instructions", str(number), str(tokens), str(near),
                     f"{100 * share:.2f}", change])  # fmt: skip
        last = share
    return table(["text", "generation", "tokens scored", values["condition"], "share, % [95 %]",
                  "since the one before, points [95 %]"], body)  # fmt: skip


def _points(found: dict[str, Any], sign: str = "") -> str:
    """A share in percent with its interval, where there is one."""
    if found["value"] is None:
        return ""
    value = f"{100 * found['value']:{sign}.2f}"
    if found["low"] is None:
        return value
    return f"{value} [{100 * found['low']:{sign}.2f}, {100 * found['high']:{sign}.2f}]"


def _models_tables(values: dict[str, Any]) -> list[str]:
    """Metrics by arm, and their differences from generation 0."""
    arms, many = list(values["rows"][0]["arms"]), len(values["seeds"]) > 1
    body, compared = [], []
    for row in values["rows"]:
        digits = 4 if "bits" in row["metric"] else 3 if "log p" in row["metric"] else 2
        label = row["metric"] + (" *" if row["primary"] else "")
        chance = ["" if row[key] is None else f"{row[key]:.1f}" for key in ("random", "majority")]
        cells = [_cell(cell, digits) for cell in row["arms"].values()]
        body.append([label, *chance, *cells])
        if row["difference"] is not None:
            compared.append([label, *map(_difference, row["differences"].values())])
    if values["rows"][-1]["metric"].startswith("average"):
        stated = {
            f"{TRAINED}{number}": row.average or ""
            for number, row in enumerate(printed.rows("table16"))
        }
        body.append(["paper: average of five on CoT, %", "", "",
                     *(stated.get(arm, "") for arm in arms)])  # fmt: skip
    others, unit = [arm for arm in arms if arm != REFERENCE], "seeds" if many else "items"
    spread = f", mean ± s.d. over {len(values['seeds'])} seeds" if many else ""
    return [
        table([f"metric (* primary){spread}", "random", "majority", *arms], body),
        table([f"minus {REFERENCE} [95 % over {unit}; detectable]", *others], compared),
    ]


def _cell(cell: dict[str, Any], digits: int) -> str:
    """A value and its error; of several seeds their spread, which base has none of."""
    error = cell["sd"] if "sd" in cell else cell["stderr"]
    return f"{cell['value']:.{digits}f}" + (f" ± {error:.{digits}f}" if error else "")


def _difference(found: dict[str, Any]) -> str:
    if found["low"] is None:  # every seed differs by the same
        return f"{found['value']:+.2g}"
    low, high, least = found["low"], found["high"], found["detectable"]
    return f"{found['value']:+.2g} [{low:+.2g}, {high:+.2g}; {least:.2g}]"
