"""Results as a page of Markdown: what editing did, what training on it did, and the fine print."""

from __future__ import annotations

from typing import Any


def markdown(values: dict[str, Any]) -> str:
    """The results as a page of Markdown."""
    parts = [f"# {values['experiment']}, seed {values['seed']}", _editing_table(values["editing"])]
    parts += [_arms_table(values["rows"]), _caption(values)]
    return "\n\n".join(parts) + "\n"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown with columns of even width, the first flush left."""
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
    shares = table(
        ["p(token) under the prior", *bins],
        [["share of tokens, %", *(f"{100 * h:.1f}" for h in histogram)]],
    )
    return f"{table(header, rows)}\n\n{shares}"


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
    return table(header, body)


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
        "Each row says how many items of the whole benchmark it rests on.",
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
