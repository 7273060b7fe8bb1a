"""Compare printed tables that show the same run, and a table with the claim made about it."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from experiments.reports import printed
from experiments.reports.audit.arithmetic import AGAINST, FOR, NEUTRAL, Finding
from experiments.reports.printed import PrintedRow, half_unit

Selector = tuple[str, dict[str, str]]
"""A table, and keys that identify one of its rows."""

DEFAULT = "ToEdit, p >= 0.99, top-k with k = 8, biomedicine, OLMo-1B"
SAME: Sequence[tuple[str, Selector, Selector]] = (
    (DEFAULT, ("table3_biomedicine", {"base_model": "OLMo-1B", "row": "ToEdit"}),
     ("table5", {"condition": "p >= 0.99"})),
    (DEFAULT, ("table5", {"condition": "p >= 0.99"}), ("table7", {"strategy": "Top-k"})),
    (DEFAULT, ("table7", {"strategy": "Top-k"}), ("table8", {"k": "8"})),
    ("CoT, source text", ("table4_instruction_tuning", {"dataset": "CoT", "row": "Llama-3"}),
     ("table16", {"row": "Gen 0"})),
    ("CoT, edited once", ("table4_instruction_tuning", {"dataset": "CoT", "row": "ToEdit"}),
     ("table16", {"row": "Gen 1"})),
)  # fmt: skip
"""Rows of different tables that are the same setting by the paper's text."""


def find(selector: Selector) -> PrintedRow:
    """The only row of a table with these keys; ValueError where none or several have them."""
    table, keys = selector
    (row,) = (row for row in printed.rows(table) if keys.items() <= row.keys.items())
    return row


def same_setting() -> Iterator[Finding]:
    """Rows printed twice, column by column."""
    for setting, first, second in SAME:
        a, b = find(first), find(second)
        shared = [column for column in a.cells if column in b.cells]
        differ = [c for c in shared if float(a.cells[c]) != float(b.cells[c])]
        name = f"{a.table} and {b.table}"
        if not differ:
            text = f"{setting}: all {len(shared)} shared numbers agree"
            values = ", ".join(f"{c} {a.cells[c]}" for c in shared)
            yield Finding(name, "printed twice", text, values, FOR)
            continue
        text = f"{setting}: {len(differ)} of {len(shared)} shared numbers differ"
        if a.average and b.average:
            gap = abs(float(a.average) - float(b.average))
            text += f", averages {a.average} and {b.average}"
            gain = _gain(a)
            if gain is not None and gap > abs(gain):
                text += f", {gap:.2f} apart where the gain claimed for editing is {gain:.2f}"
        values = ", ".join(f"{c} {a.cells[c]} and {b.cells[c]}" for c in differ)
        yield Finding(name, "printed twice", text, values, AGAINST)


def _gain(row: PrintedRow) -> float | None:
    """The printed average of a row of ToEdit minus that of the row before it."""
    rows = printed.rows(row.table)
    before = rows[rows.index(row) - 1]
    if row.average is None or before.average is None or row is rows[0]:
        return None
    return float(row.average) - float(before.average)


def versions() -> Iterator[Finding]:
    """Rows and numbers of version 1 that version 3 drops or changes."""
    for table in printed.tables():
        rows = printed.rows(table)
        if not table.endswith("_v1") or not rows[0].cells:
            continue
        later = {row.name: row for row in printed.rows(table.removesuffix("_v1"))}
        for row in rows:
            if row.name in later:
                continue
            best = row.average is not None and all(
                float(row.average) >= float(other.average or "nan") for other in rows
            )
            text = f"version 1 has a row {row.name} that version 3 drops"
            text += f", the best of all by its average {row.average}" if best else ""
            values = ", ".join(f"{other.name} {other.average}" for other in rows)
            yield Finding(table, "versions", text, values, AGAINST if best else NEUTRAL)
        changed = [
            f"{row.name}, {column}: {text} and {later[row.name].cells[column]}"
            for row in rows
            if row.name in later
            for column, text in row.cells.items()
            if column in later[row.name].cells and not _equal(text, later[row.name].cells[column])
        ]
        text = f"{len(changed)} numbers differ between versions 1 and 3"
        yield Finding(table, "versions", text, "; ".join(changed) or "rows in both versions agree")


def _equal(exact: str, rounded: str) -> bool:
    """Whether a number of version 1 equals that of version 3, which may be in millions (``M``)."""
    if not rounded.endswith("M"):
        return float(exact) == float(rounded)
    return abs(float(exact) / 1e6 - float(rounded.removesuffix("M"))) <= 0.5


def derived_counts() -> Iterator[Finding]:
    """Version 1's token counts of table 6, which are its rounded percentages times one number."""
    rows = printed.read("table6_v1")
    totals = [100 * int(row["n_tokens"]) / float(row["percent"]) for row in rows]
    median = sorted(totals)[len(totals) // 2]
    near = sum(abs(total / median - 1) < 1e-6 for total in totals)
    # Independent counts would scatter as far as rounding moves their percentages.
    scatter = max(half_unit(row["percent"]) / float(row["percent"]) for row in rows)
    yield Finding(
        "table6_v1",
        "derived",
        f"{near} of {len(rows)} token counts are their rounded percentage times {median:,.0f}, so "
        "they are no measurements of their own",
        f"count over percentage agrees to 1e-6; rounding alone would scatter it by {scatter:.0%}",
    )


BY_RATIO = ("table1_block1", "table1_block2", "table14")
RATIOS = ("0%", "25%", "50%", "75%", "100%")


def ratios() -> Iterator[Finding]:
    """Whether perplexity rises monotonically with the share of synthetic text."""
    for table in BY_RATIO:
        every = printed.rows(table)
        rows = [row for row in every if row.keys.get("synthetic_data_ratio", "0%") in RATIOS]
        falls, columns = [], list(rows[0].cells)
        for column in columns:
            values = [float(row.cells[column]) for row in rows]
            if any(b < a for a, b in pairwise(values)):
                falls.append(f"{column} " + ", ".join(row.cells[column] for row in rows))
        ends = sum(float(rows[-1].cells[c]) > float(rows[0].cells[c]) for c in columns)
        text = (
            f"perplexity rises from human to synthetic text in {ends} of {len(columns)} columns, "
            f"and with every step in {len(columns) - len(falls)}"
        )
        exceptions = f"not with every step: {'; '.join(falls) or 'none'}"
        speaks = FOR if ends == len(columns) else AGAINST
        yield Finding(table, "monotone", text, exceptions, speaks)
    yield _epochs()


def _epochs() -> Finding:
    """Whether perplexity rises with the ratio at each epoch, from tables 13 and 17 together."""
    curves: dict[tuple[str, str], list[float]] = defaultdict(list)
    human, synthetic = (
        [row for row in printed.rows("table17") if row.keys["data_type"].startswith(kind)]
        for kind in ("Human", "Synthetic")
    )
    for row in [*human, *printed.rows("table13"), *synthetic]:
        for column, text in row.cells.items():
            curves[column, row.keys["epochs"]].append(float(text))
    rising = sum(all(a < b for a, b in pairwise(values)) for values in curves.values())
    return Finding(
        "table13 and table17",
        "monotone",
        f"perplexity rises with every step of the ratio in {rising} of {len(curves)} pairs of a "
        "set and an epoch",
        "0 and 100 % of table 17, 25, 50 and 75 % of table 13",
        FOR if rising == len(curves) else NEUTRAL,
    )


def selections() -> Iterator[Finding]:
    """Selections of synthetic text against all of it, in table 14."""
    rows = {row.keys["synthetic_data_ratio"]: row for row in printed.rows("table14")}
    plain = rows["100%"]
    for name, row in rows.items():
        if name in RATIOS:
            continue
        changes = {c: float(t) / float(plain.cells[c]) - 1 for c, t in row.cells.items()}
        if all(change < 0 for change in changes.values()):
            low, high = (100 * abs(f(changes.values())) for f in (max, min))
            text = (
                f"{name} lowers all {len(changes)} perplexities by {low:.0f} to {high:.0f} % "
                "against all synthetic text, which qualifies the finding that selection does not "
                "help"
            )
            values = ", ".join(f"{c} {change:+.0%}" for c, change in changes.items())
            yield Finding("table14", "selection", text, values, AGAINST)


def generations() -> Iterator[Finding]:
    """Shares of near-certain tokens in table 15, and their sum if extrapolated geometrically."""
    rows = printed.read("table15")
    shares = [int(row["tokens_p_gt_0.99"]) / int(row["total_tokens"]) for row in rows]
    wrong = []
    for row, share in zip(rows, shares, strict=True):
        percent = row["percentage"].rstrip("%")
        if abs(100 * share - float(percent)) > half_unit(percent) + 1e-9:
            wrong.append(f"{row['generation']} {row['percentage']} is {100 * share:.3f} %")
    text = f"{len(rows) - len(wrong)} of {len(rows)} percentages fit their counts"
    values = "; ".join(wrong) or ", ".join(f"{share:.4f}" for share in shares)
    yield Finding("table15", "share", text, values, NEUTRAL if wrong else FOR)
    factors = [b / a for a, b in pairwise(shares)]
    factor = math.prod(factors) ** (1 / len(factors))
    total = shares[0] / (1 - factor)
    if total > 1:
        text = (
            f"the shares fall by a factor of {factor:.3f} a generation; if they go on so they sum "
            f"to {total:.1f}, more than all tokens, and the edits cannot stay disjoint as the "
            "first theorem needs"
        )
        quotient = f"{shares[0]:.4f} / (1 - {factor:.4f}) = {total:.2f}"
        yield Finding("table15", "share", text, quotient, AGAINST)


def run_lengths() -> Iterator[Finding]:
    """Compare steps of runs with their warmup, and tokens of the tables with the text."""
    for run in printed.read("runs"):
        tokens, batch = float(run["tokens"]), int(run["batch_tokens"])
        steps = tokens / batch
        if run["warmup_steps"] and steps < 1.1 * int(run["warmup_steps"]):
            text = (
                f"{run['run']}: {tokens / 1e9:g}B tokens are {steps:,.0f} steps, of which "
                f"{int(run['warmup_steps']):,} are warmup"
            )
            quotient = f"{tokens:.3g} / {batch:,} = {steps:.1f}; {run['stated']}"
            yield Finding("table11 and table14", "schedule", text, quotient)
    rows = [*printed.read("table13"), *printed.read("table17")]
    largest = max(float(row["tokens_size"].rstrip("B")) for row in rows)
    stated = next(r["stated"] for r in printed.read("runs") if r["run"] == "GPT-2")
    text = f"the tables end at {largest:g}B tokens"
    yield Finding("table13 and table17", "tokens", text, f"largest tokens_size; {stated}")
