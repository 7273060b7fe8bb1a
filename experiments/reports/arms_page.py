"""The page of an experiment that trains arms, as Markdown."""

from collections.abc import Callable, Iterable
from typing import Any

from experiments.analysis.estimate import Estimate
from experiments.analysis.metrics import FIELDS
from experiments.config import CONTROLS
from experiments.reports import printed
from experiments.reports.caption import caption
from experiments.reports.controls import explained
from experiments.reports.format import (
    detectable_text,
    difference_text,
    p_text,
    signed,
    table,
    value_text,
)
from experiments.reports.plots import arms_figure, loss_figure, ratio_figure

FIGURES = (ratio_figure, loss_figure, arms_figure)


def markdown(values: dict[str, Any]) -> str:
    """The results as a page of Markdown; summed log-probabilities stand in the values alone."""
    seeds, rows = values["seeds"], _shown(values["rows"])
    plural = "s" if len(seeds) > 1 else ""
    named = f", seed{plural} {', '.join(map(str, seeds))}" if seeds else ""
    parts = [f"# {values['experiment']}{named}"]
    if values["editing"]:
        parts += _editing(values["editing"])
    if values["shares"]:
        parts += ["## Near-certain tokens", _shares(values["shares"])]
    if rows:
        parts += ["## Arms", *_arms(rows, values)]
    for point in values["checkpoints"]:
        own = [row for row in _shown(point["rows"]) if row["primary"] or row["figure"]]
        if own:
            parts += [
                f"## After {point['tokens']:.3g} tokens",
                *_arms(own, {**values, "loss": None}),
            ]
    if values["selections"]:
        parts += ["## Selections", _selections(values["selections"])]
    if any("controls" in row for row in rows):
        parts += ["## Controls", _controls(rows)]
    if values["controls"]:
        parts.append(explained(values))
    return "\n\n".join([*parts, caption(values)]) + "\n"


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["group"] != FIELDS["gold_logprob"]]


def _arms(rows: list[dict[str, Any]], values: dict[str, Any]) -> list[str]:
    """What the arms come to, how they differ from the reference, and trends over the ratio."""
    names, reference = list(values["ratios"]) or list(rows[0]["arms"]), values["reference"]
    has_chance = any(row["random"] is not None or row["majority"] is not None for row in rows)
    header = ["metric (* sees small differences)", *(["random", "majority"] if has_chance else [])]

    def levels(row: dict[str, Any]) -> list[str]:
        chance = [row["random"], row["majority"]] if has_chance else []
        own = {name: Estimate.from_json(found) for name, found in row["arms"].items()}
        shown = [value_text(own.get(name), row["digits"]) for name in names]
        return [*("" if share is None else f"{share:.1f}" for share in chance), *shown]

    body, blank = _grouped(rows, levels), [""] * (2 * has_chance)
    loss = values["loss"]
    if loss is not None and set(names) <= set(loss["arms"]):
        cells = [value_text(Estimate.from_json(loss["arms"][name]), 3) for name in names]
        body.append(["training loss, nats (last tenth)", *blank, *cells])
    body += _printed(values, names, blank)
    parts = [table([*header, *names], body)]
    others = [name for name in names if name != reference]
    if reference in names and others:
        parts.append(_differences(rows, others, reference))
    if any("contrasts" in row for row in rows):
        parts.append(_contrasts(rows, loss))
    return parts


def _grouped(
    rows: list[dict[str, Any]], cells: Callable[[dict[str, Any]], list[str]]
) -> list[list[str]]:
    """Rows with cells, each group of several under its name."""
    found: list[list[str]] = []
    for group in dict.fromkeys(row["group"] for row in rows):
        own = [(row, cells(row)) for row in rows if row["group"] == group]
        body = [[_label(row), *given] for row, given in own if any(given)]
        if len(body) > 1 and group not in own[0][0]["metric"]:
            found.append([f"**{group}**", *[""] * (len(body[0]) - 1)])
        found += body
    return found


def _label(row: dict[str, Any]) -> str:
    clusters = "" if row["clusters"] == row["items"] else f" [{row['clusters']} clusters]"
    return f"{row['metric']}{clusters}{' *' if row['primary'] else ''}"


def _printed(values: dict[str, Any], names: list[str], blank: list[str]) -> list[list[str]]:
    """Table 16's averages beside models of repeated edits."""
    if values["plan"] != "sft_generations":
        return []
    stated = {f"generation{n}": row.average or "" for n, row in enumerate(printed.rows("table16"))}
    return [["paper: average of five on CoT, %", *blank, *(stated.get(n, "") for n in names)]]


def _differences(rows: list[dict[str, Any]], others: list[str], reference: str) -> str:
    def cells(row: dict[str, Any]) -> list[str]:
        found = {n: Estimate.from_json(e) for n, e in row["differences"].items() if n in others}
        differences = [_difference(found.get(name), row["digits"]) for name in others]
        return [*differences, _detectable(found, row["digits"])]

    header = [f"minus {reference} [95 %], p", *others, "could see"]
    return table(header, _grouped(rows, cells))


def _difference(found: Estimate | None, digits: int) -> str:
    if found is None:
        return ""
    p = "" if found.p is None else f", p {p_text(found.p)}"
    return f"{difference_text(found, digits)}{p}"


def _detectable(found: dict[str, Estimate], digits: int) -> str:
    """The largest of the smallest true differences that would be found with 80 % power."""
    own = [e for name, e in found.items() if name != "base" and e.detectable is not None]
    if not own:
        return ""
    return detectable_text(max(own, key=lambda e: e.detectable or 0.0), digits)


def _contrasts(rows: list[dict[str, Any]], loss: dict[str, Any] | None) -> str:
    def cells(row: dict[str, Any]) -> list[str]:
        trends = [Estimate.from_json(row["contrasts"][name]) for name in ("slope", "curvature")]
        found = [trends[0].scale.partition(", ")[2]]
        for own in trends:
            ends = "" if own.low is None else f"[{own.low:+.3f}, {own.high:+.3f}]"
            found += [signed(own.value, 3), ends, p_text(own.p)]
        return found

    body = _grouped([r for r in rows if "contrasts" in r and r["group"] != FIELDS["margin"]], cells)
    if loss is not None and "contrasts" in loss:
        body.append(["training loss, nats", *cells(loss)])
    columns = ["slope", "95 %", "p", "curvature", "95 %", "p"]
    return table(["over the share of synthetic text", "in", *columns], body)


def _editing(editing: dict[str, dict[str, Any]]) -> list[str]:
    """Edits by preset or arm, and the histogram of token probabilities."""
    edits: dict[str, list[dict[str, Any]]] = {}
    for own in sorted(editing.values(), key=lambda own: own["arm"] in CONTROLS):
        edits.setdefault(own["arm"], []).append(own)
    header = ["edit", "rule", "changed / 10k tokens", "changed", "eligible %", "smoothing %",
              "KL, nats", "tokens"]  # fmt: skip
    rows = []
    for name, found in edits.items():
        changed = _range([e["changed_per_10k"] for e in found], 1)
        kl = [e.get("kl") for e in found]
        rows.append(
            [name, found[0]["rule"], changed, _range([e["changed"] for e in found], 0),
             _range([100 * e["eligible_share"] for e in found], 2),
             _range([100 * e["smoothing"] for e in found], 2) if "smoothing" in found[0] else "",
             "inf" if None in kl else _range([float(k or 0) for k in kl], 4),
             str(found[0]["tokens"])]
        )  # fmt: skip
    parts = ["## Edits", table(header, rows)]
    histogram = next(iter(editing.values())).get("histogram")
    if histogram:
        bins = [f"{i / 10:.1f}–{(i + 1) / 10:.1f}" for i in range(10)]
        shares = ["share of tokens, %", *(f"{100 * h:.1f}" for h in histogram)]
        parts.append(table(["p(token) under the prior", *bins], [shares]))
    return parts


def _range(values: Iterable[float], digits: int) -> str:
    """One number where all print alike, else the least and the largest, over seeds."""
    least, most = (f"{pick(values):.{digits}f}" for pick in (min, max))
    return least if least == most else f"{least} to {most}"


def _shares(shares: list[dict[str, Any]]) -> str:
    body = []
    for row in shares:
        share = Estimate.from_json(row["share"])
        change = None if row["change"] is None else Estimate.from_json(row["change"])
        body.append([f"{row['text']}, {row['part']}", str(row["generation"]),
                     f"{row['tokens']:.0f}", f"{row['certain']:.0f}", value_text(share, 2),
                     _difference(change, 2)])  # fmt: skip
    last = None
    for number, own in enumerate(printed.read("table15")):
        tokens, near = int(own["total_tokens"]), int(own["tokens_p_gt_0.99"])
        change_ = "" if last is None else f"×{near / last:.3f}"
        body.append(["paper: Natural-Instructions", str(number), str(tokens), str(near),
                     f"{100 * near / tokens:.2f}", change_])  # fmt: skip
        last = near
    return table(["text", "generation", "tokens scored", shares[0]["condition"], "share, %",
                  "to the one before [95 %], p"], body)  # fmt: skip


def _selections(selections: dict[str, dict[str, Any]]) -> str:
    rows = [
        [name, f"{found['chosen_documents']} of {found['documents']}",
         f"{found['chosen_mean_characters']:.0f} ({found['mean_characters']:.0f})",
         "".join(f"held-out AUC {found[key]:.3f}" for key in found if key.endswith("auc"))]
        for name, found in selections.items()
    ]  # fmt: skip
    return table(["selection", "documents", "characters a document (all)", ""], rows)


def _controls(rows: list[dict[str, Any]]) -> str:
    """A pair of differences a control: it minus the source, and the edited arm minus it."""
    controls = list(next(row for row in rows if "controls" in row)["controls"])
    columns = []
    for control in controls:
        columns += [
            (control, "minus_source", f"{control} − source"),
            (control, "edited_minus", f"edited − {control}"),
        ]

    def cells(row: dict[str, Any]) -> list[str]:
        found = [row["controls"][control][which] for control, which, _ in columns]
        return ["" if own is None else difference_text(Estimate.from_json(own), row["digits"])
                for own in found]  # fmt: skip

    header = ["controls [95 %]", *(title for _, _, title in columns)]
    return table(header, _grouped(rows, cells))
