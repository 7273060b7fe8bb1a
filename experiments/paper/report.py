"""Results as a page of Markdown: what editing did, what training on it did, and the fine print."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

from experiments.paper.caption import caption
from experiments.paper.controls import explained
from experiments.schema import CONTROLS

ROUNDING = 1e-12
"""A difference no larger than this is 0 but for rounding, as a mean over seeds may be."""


def markdown(values: dict[str, Any]) -> str:
    """The results as a page of Markdown."""
    seeds, rows = values["seeds"], values["rows"]
    plural = "s" if len(seeds) > 1 else ""
    parts = [f"# {values['experiment']}, seed{plural} {', '.join(map(str, seeds))}"]
    parts += [_editing_table(values["editing"]), _arms_table(rows, len(seeds))]
    if "controls" in rows[0]:
        parts.append(_controls_table(rows, len(seeds)))
    if values["controls"]:
        parts.append(explained(values))
    return "\n\n".join([*parts, caption(values)]) + "\n"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown with columns of even width, the first flush left."""
    widths = [max(2, *(len(row[i]) for row in [header, *rows])) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        padded = [
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * w if i == 0 else "-" * (w - 1) + ":") for i, w in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def cell_text(text: str) -> str:
    """Text that may stand in a cell of :func:`table`: a line, its bars escaped."""
    return " ".join(text.split()).replace("|", "\\|")


def _editing_table(editing: dict[str, dict[str, Any]]) -> str:
    edits: dict[str, list[dict[str, Any]]] = {}
    for name in sorted(editing, key=lambda name: name.partition("-seed")[0] in CONTROLS):
        edits.setdefault(name.partition("-seed")[0], []).append(editing[name])
    many = any(len(found) > 1 for found in edits.values())
    header = [
        "editing, by preset",
        "changed / 10k tokens" + (" (mean ± s.d. over seeds)" if many else ""),
        "eligible %",
        "smoothing %",
        "KL, nats",
        "tokens",
    ]
    rows = []
    for name, found in edits.items():
        changed = [e["changed_per_10k"] for e in found]
        spread = f" ± {stdev(changed):.1f}" if len(found) > 1 else ""
        kl = [e["kl"] for e in found]
        rows.append(
            [name, f"{fmean(changed):.1f}{spread}",
             f"{100 * fmean(e['eligible_share'] for e in found):.2f}",
             f"{100 * fmean(e['smoothing'] for e in found):.2f}",
             "inf" if None in kl else f"{fmean(kl):.4f}", str(found[0]["tokens"])]
        )  # fmt: skip
    bins = [f"{i / 10:.1f}–{(i + 1) / 10:.1f}" for i in range(10)]
    histogram = next(iter(editing.values()))["histogram"]
    shares = table(
        ["p(token) under the prior", *bins],
        [["share of tokens, %", *(f"{100 * h:.1f}" for h in histogram)]],
    )
    return f"{table(header, rows)}\n\n{shares}"


def _arms_table(rows: list[dict[str, Any]], seeds: int) -> str:
    arms = list(rows[0]["arms"])
    many = seeds > 1
    header = [
        "metric (* primary)" + (f", mean ± s.d. over {seeds} seeds" if many else ""),
        "random",
        "majority",
        *arms,
        "edited − source",
        "95 % over seeds" if many else "95 % interval",
        "detectable",
    ]
    body = []
    for row in rows:
        digits = _digits(row)
        cells = [_cell(row["arms"][arm], digits, many) for arm in arms]
        baselines = [
            "" if row[key] is None else f"{row[key]:.1f}" for key in ("random", "majority")
        ]
        d = row["difference"]
        last = ["", "", ""]
        if d is not None:
            last = [_signed(d["value"], digits), _interval(d, digits), ""]
            if d["detectable"] is not None:
                last[2] = _signed(d["detectable"], digits).lstrip("+")
        body.append([row["metric"] + (" *" if row["primary"] else ""), *baselines, *cells, *last])
    return table(header, body)


def _controls_table(rows: list[dict[str, Any]], seeds: int) -> str:
    """A pair of differences a control: it minus the source, and the edited arm minus it."""
    columns = []
    for control in rows[0]["controls"]:
        columns += [
            (control, "minus_source", f"{control} − source"),
            (control, "edited_minus", f"edited − {control}"),
        ]
    over = "seeds" if seeds > 1 else "items"
    header = [f"controls, with 95 % intervals over {over}", *(title for _, _, title in columns)]
    body = []
    for row in rows:
        found = [row["controls"][control][which] for control, which, _ in columns]
        if any(found):
            digits = _digits(row)
            cells = [
                "" if d is None else f"{_signed(d['value'], digits)} {_interval(d, digits)}".strip()
                for d in found
            ]
            body.append([row["metric"] + (" *" if row["primary"] else ""), *cells])
    return table(header, body)


def _digits(row: dict[str, Any]) -> int:
    return 4 if "bits" in row["metric"] else 3 if "log p" in row["metric"] else 2


def _interval(difference: dict[str, Any], digits: int) -> str:
    """Nothing where the seeds gave none."""
    if difference["low"] is None:
        return ""
    return f"[{_signed(difference['low'], digits)}, {_signed(difference['high'], digits)}]"


def _signed(value: float, digits: int) -> str:
    """With its sign; in scientific notation where the digits would show only zeros."""
    small = ROUNDING < abs(value) < 0.5 * 10**-digits
    if small:
        return f"{value:+.1e}"
    return f"{value if abs(value) > ROUNDING else 0.0:+.{digits}f}"


def _cell(cell: dict[str, Any], digits: int, many: bool) -> str:
    """A value and its error; of several seeds only their spread, never mixed with that of items."""
    error = cell.get("sd") if many else cell["stderr"]
    return f"{cell['value']:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")
