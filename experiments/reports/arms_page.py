"""Write the page of an experiment that trains arms, as Markdown."""

from collections.abc import Callable, Iterable
from typing import Any

from experiments.analysis.estimate import Estimate
from experiments.analysis.metrics import FIELDS
from experiments.config import CONTROLS
from experiments.reports import printed
from experiments.reports.arm_figures import arms_figure, loss_figure, ratio_figure
from experiments.reports.caption import caption
from experiments.reports.controls import explained, span
from experiments.reports.format import (
    detectable_text,
    difference_text,
    p_text,
    signed,
    table,
    value_text,
)

FIGURES = (ratio_figure, loss_figure, arms_figure)


def markdown(values: dict[str, Any]) -> str:
    """Format the results as a page of Markdown, without rows of summed log-probabilities."""
    seeds, rows = values["seeds"], _displayed(values["rows"])
    plural = "s" if len(seeds) > 1 else ""
    suffix = f", seed{plural} {', '.join(map(str, seeds))}" if seeds else ""
    parts = [f"# {values['experiment']}{suffix}"]
    if values["editing"]:
        parts += _editing(values["editing"])
    if values["shares"]:
        parts += ["## Near-certain tokens", _shares(values["shares"])]
    if rows:
        parts += ["## Arms", *_arms(rows, values)]
    for point in values["checkpoints"]:
        main = [row for row in _displayed(point["rows"]) if row["primary"] or row["figure"]]
        if main:
            tables = _arms(main, {**values, "loss": None})
            parts += [f"## After {point['tokens']:.3g} tokens", *tables]
    if values["selections"]:
        parts += ["## Selections", _selections(values["selections"])]
    if any("controls" in row for row in rows):
        parts += ["## Controls", _controls(rows)]
    if values["controls"]:
        parts.append(explained(values))
    return "\n\n".join([*parts, caption(values)]) + "\n"


def _displayed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["group"] != FIELDS["gold_logprob"]]


def _arms(rows: list[dict[str, Any]], values: dict[str, Any]) -> list[str]:
    """Tables of the arms, of their differences from the reference, and of trends over the ratio."""
    names, reference = list(values["ratios"]) or list(rows[0]["arms"]), values["reference"]
    has_chance = any(row["random"] is not None or row["majority"] is not None for row in rows)
    header = ["metric (* sees small differences)", *(["random", "majority"] if has_chance else [])]

    def levels(row: dict[str, Any]) -> list[str]:
        chance = [row["random"], row["majority"]] if has_chance else []
        arms = {name: Estimate.from_json(level) for name, level in row["arms"].items()}
        texts = [value_text(arms.get(name), row["digits"]) for name in names]
        return [*("" if share is None else f"{share:.1f}" for share in chance), *texts]

    body, blank = _grouped(rows, levels), [""] * (2 * has_chance)
    loss = values["loss"]
    if loss is not None and set(names) <= set(loss["arms"]):
        cells = [value_text(Estimate.from_json(loss["arms"][name]), 3) for name in names]
        body.append(["training loss, nats (last tenth)", *blank, *cells])
    if values["plan"] == "sft_generations":
        rows_16 = enumerate(printed.rows("table16"))
        averages = {f"generation{n}": row.average or "" for n, row in rows_16}
        cells = [averages.get(name, "") for name in names]
        body.append(["paper: average of five on CoT, %", *blank, *cells])
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
    """Rows of a table with their cells; a group of several rows has a heading."""
    body: list[list[str]] = []
    for name in dict.fromkeys(row["group"] for row in rows):
        group = [row for row in rows if row["group"] == name]
        lines = [[_label(row), *texts] for row in group if any(texts := cells(row))]
        if len(lines) > 1 and name not in group[0]["metric"]:
            body.append([f"**{name}**", *[""] * (len(lines[0]) - 1)])
        body += lines
    return body


def _label(row: dict[str, Any]) -> str:
    clusters = "" if row["clusters"] == row["items"] else f" [{row['clusters']} clusters]"
    cut = row.get("cut", {}).values()
    cut = f" [{span([*cut])} cut]" if any(cut) else ""
    return f"{row['metric']}{clusters}{cut}{' *' if row['primary'] else ''}"


def _differences(rows: list[dict[str, Any]], others: list[str], reference: str) -> str:
    def cells(row: dict[str, Any]) -> list[str]:
        present = {n: Estimate.from_json(e) for n, e in row["differences"].items() if n in others}
        differences = [_difference(present.get(name), row["digits"]) for name in others]
        return [*differences, _detectable(present, row["digits"])]

    header = [f"minus {reference} [95 %], p", *others, "could see"]
    return table(header, _grouped(rows, cells))


def _difference(difference: Estimate | None, digits: int) -> str:
    if difference is None:
        return ""
    p = "" if difference.p is None else f", p {p_text(difference.p)}"
    return f"{difference_text(difference, digits)}{p}"


def _detectable(differences: dict[str, Estimate], digits: int) -> str:
    """Largest of the true differences that the comparisons would detect with 80 % power."""
    known = [e for name, e in differences.items() if name != "base" and e.detectable is not None]
    if not known:
        return ""
    return detectable_text(max(known, key=lambda e: e.detectable or 0.0), digits)


def _contrasts(rows: list[dict[str, Any]], loss: dict[str, Any] | None) -> str:
    def cells(row: dict[str, Any]) -> list[str]:
        trends = [Estimate.from_json(row["contrasts"][name]) for name in ("slope", "curvature")]
        texts = [trends[0].scale.partition(", ")[2]]
        for trend in trends:
            ends = "" if trend.low is None else f"[{trend.low:+.3f}, {trend.high:+.3f}]"
            texts += [signed(trend.value, 3), ends, p_text(trend.p)]
        return texts

    body = _grouped([r for r in rows if "contrasts" in r and r["group"] != FIELDS["margin"]], cells)
    if loss is not None and "contrasts" in loss:
        body.append(["training loss, nats", *cells(loss)])
    columns = ["slope", "95 %", "p", "curvature", "95 %", "p"]
    return table(["over the share of synthetic text", "in", *columns], body)


def _editing(editing: dict[str, dict[str, Any]]) -> list[str]:
    """Tables of edits by preset or arm, and of the histogram of token probabilities."""
    arms: dict[str, list[dict[str, Any]]] = {}
    for edit in sorted(editing.values(), key=lambda edit: edit["arm"] in CONTROLS):
        arms.setdefault(edit["arm"], []).append(edit)
    header = ["edit", "rule", "changed / 10k tokens", "changed", "eligible %", "smoothing %",
              "KL, nats", "tokens"]  # fmt: skip
    rows = []
    for name, edits in arms.items():
        first, kl = edits[0], [edit.get("kl") for edit in edits]
        smoothing = [100 * edit["smoothing"] for edit in edits if "smoothing" in first]
        rows.append(
            [name, first["rule"], _range([edit["changed_per_10k"] for edit in edits], 1),
             _range([edit["changed"] for edit in edits], 0),
             _range([100 * edit["eligible_share"] for edit in edits], 2),
             _range(smoothing, 2) if smoothing else "",
             "inf" if None in kl else _range([float(k or 0) for k in kl], 4), str(first["tokens"])]
        )  # fmt: skip
    parts = ["## Edits", table(header, rows)]
    histogram = next(iter(editing.values())).get("histogram")
    if histogram:
        bins = [f"{i / 10:.1f}–{(i + 1) / 10:.1f}" for i in range(10)]
        shares = ["share of tokens, %", *(f"{100 * h:.1f}" for h in histogram)]
        parts.append(table(["p(token) under the prior", *bins], [shares]))
    return parts


def _range(values: Iterable[float], digits: int) -> str:
    """Minimum and maximum over seeds; one number where they print alike."""
    return span([f"{value:.{digits}f}" for value in values])


def _shares(shares: list[dict[str, Any]]) -> str:
    body = []
    for row in shares:
        share = Estimate.from_json(row["share"])
        change = None if row["change"] is None else Estimate.from_json(row["change"])
        body.append([f"{row['text']}, {row['part']}", str(row["generation"]),
                     f"{row['tokens']:.0f}", f"{row['certain']:.0f}", value_text(share, 2),
                     _difference(change, 2)])  # fmt: skip
    previous = None
    for number, row in enumerate(printed.read("table15")):
        tokens, certain = int(row["total_tokens"]), int(row["tokens_p_gt_0.99"])
        body.append(["paper: Natural-Instructions", str(number), str(tokens), str(certain),
                     f"{100 * certain / tokens:.2f}",
                     "" if previous is None else f"×{certain / previous:.3f}"])  # fmt: skip
        previous = certain
    return table(["text", "generation", "tokens scored", shares[0]["condition"], "share, %",
                  "to the one before [95 %], p"], body)  # fmt: skip


def _selections(selections: dict[str, dict[str, Any]]) -> str:
    rows = [
        [name, f"{metrics['chosen_documents']} of {metrics['documents']}",
         f"{metrics['chosen_mean_characters']:.0f} ({metrics['mean_characters']:.0f})",
         "".join(f"held-out AUC {metrics[key]:.3f}" for key in metrics if key.endswith("auc"))]
        for name, metrics in selections.items()
    ]  # fmt: skip
    return table(["selection", "documents", "characters a document (all)", ""], rows)


def _controls(rows: list[dict[str, Any]]) -> str:
    """Table of two differences per control: control minus source, and edited minus control."""
    names = list(next(row for row in rows if "controls" in row)["controls"])

    def cells(row: dict[str, Any]) -> list[str]:
        pairs = (row["controls"][name] for name in names)
        differences = [pair[key] for pair in pairs for key in ("minus_source", "edited_minus")]
        return ["" if value is None else difference_text(Estimate.from_json(value), row["digits"])
                for value in differences]  # fmt: skip

    titles = [title for name in names for title in (f"{name} − source", f"edited − {name}")]
    return table(["controls [95 %]", *titles], _grouped(rows, cells))
