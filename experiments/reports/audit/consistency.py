"""What several printed tables say of the same run, and what a table says of its own claim."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from experiments.reports import printed
from experiments.reports.audit.arithmetic import AGAINST, FOR, NEUTRAL, Finding
from experiments.reports.printed import PrintedRow, half_unit

Selector = tuple[str, dict[str, str]]
"""A table, and what the keys of one of its rows hold."""

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
    """The row of a table whose keys hold what is asked.

    Raises:
        ValueError: none does, or several do.
    """
    table, wanted = selector
    (row,) = (row for row in printed.rows(table) if wanted.items() <= row.keys.items())
    return row


def same_setting() -> Iterator[Finding]:
    """Rows printed twice, column by column."""
    for setting, first, second in SAME:
        a, b = find(first), find(second)
        shared = [column for column in a.cells if column in b.cells]
        differ = [c for c in shared if float(a.cells[c]) != float(b.cells[c])]
        name = f"{a.table} and {b.table}"
        if not differ:
            yield Finding(
                name, "printed twice", f"{setting}: all {len(shared)} shared numbers agree",
                ", ".join(f"{c} {a.cells[c]}" for c in shared), FOR,
            )  # fmt: skip
            continue
        text = f"{setting}: {len(differ)} of {len(shared)} shared numbers differ"
        if a.average and b.average:
            gap = abs(float(a.average) - float(b.average))
            text += f", averages {a.average} and {b.average}"
            gain = _gain(a)
            if gain is not None and gap > abs(gain):
                text += f", {gap:.2f} apart where the gain claimed for editing is {gain:.2f}"
        yield Finding(
            name, "printed twice", text,
            ", ".join(f"{c} {a.cells[c]} and {b.cells[c]}" for c in differ), AGAINST,
        )  # fmt: skip


def _gain(row: PrintedRow) -> float | None:
    """The printed average of a row of ToEdit minus that of the row before it."""
    own = printed.rows(row.table)
    before = own[own.index(row) - 1]
    if row.average is None or before.average is None or own.index(row) == 0:
        return None
    return float(row.average) - float(before.average)


def versions() -> Iterator[Finding]:
    """What version 1 prints and version 3 does not."""
    for table in printed.tables():
        if not table.endswith("_v1") or not printed.rows(table)[0].cells:
            continue
        later = {row.name: row for row in printed.rows(table.removesuffix("_v1"))}
        now = printed.rows(table)
        for row in now:
            if row.name in later:
                continue
            best = row.average is not None and all(
                float(row.average) >= float(other.average or "nan") for other in now
            )
            yield Finding(
                table,
                "versions",
                f"version 1 has a row {row.name} that version 3 drops"
                + (f", the best of all by its average {row.average}" if best else ""),
                ", ".join(f"{other.name} {other.average}" for other in now),
                AGAINST if best else NEUTRAL,
            )
        changed = [
            f"{row.name}, {column}: {text} and {later[row.name].cells[column]}"
            for row in now
            if row.name in later
            for column, text in row.cells.items()
            if column in later[row.name].cells and not _equal(text, later[row.name].cells[column])
        ]
        yield Finding(
            table, "versions", f"{len(changed)} numbers differ between versions 1 and 3",
            "; ".join(changed) or "rows in both versions agree",
        )  # fmt: skip


def _equal(exact: str, shown: str) -> bool:
    """Whether a number of version 1 is printed as in version 3, where millions are an M."""
    if not shown.endswith("M"):
        return float(exact) == float(shown)
    return abs(float(exact) / 1e6 - float(shown.removesuffix("M"))) <= 0.5


def derived_counts() -> Iterator[Finding]:
    """Version 1's token counts of table 6, which are its rounded percentages times one number."""
    rows = printed.read("table6_v1")
    totals = [100 * int(row["n_tokens"]) / float(row["percent"]) for row in rows]
    middle = sorted(totals)[len(totals) // 2]
    near = sum(abs(total / middle - 1) < 1e-6 for total in totals)
    # Independent counts would scatter as far as rounding moves their percentages.
    scatter = max(half_unit(row["percent"]) / float(row["percent"]) for row in rows)
    yield Finding(
        "table6_v1",
        "derived",
        f"{near} of {len(rows)} token counts are their rounded percentage times {middle:,.0f}, so "
        "they are no measurements of their own",
        f"count over percentage agrees to 1e-6; rounding alone would scatter it by {scatter:.0%}",
        NEUTRAL,
    )


BY_RATIO = ("table1_block1", "table1_block2", "table14")
RATIOS = ("0%", "25%", "50%", "75%", "100%")


def ratios() -> Iterator[Finding]:
    """Whether perplexity rises with every step of the share of synthetic text."""
    for table in BY_RATIO:
        rows = [
            row for row in printed.rows(table)
            if row.keys.get("synthetic_data_ratio", RATIOS[0]) in RATIOS
        ]  # fmt: skip
        falls, columns = [], list(rows[0].cells)
        for column in columns:
            values = [float(row.cells[column]) for row in rows]
            if any(b < a for a, b in pairwise(values)):
                falls.append(f"{column} " + ", ".join(row.cells[column] for row in rows))
        ends = sum(float(rows[-1].cells[c]) > float(rows[0].cells[c]) for c in columns)
        yield Finding(
            table,
            "monotone",
            f"perplexity rises from human to synthetic text in {ends} of {len(columns)} columns, "
            f"and with every step in {len(columns) - len(falls)}",
            "not with every step: " + ("; ".join(falls) or "none"),
            FOR if ends == len(columns) else AGAINST,
        )
    yield _epochs()


def _epochs() -> Finding:
    """Tables 13 and 17 together: five ratios at five epochs."""
    found: dict[tuple[str, str], list[float]] = {}
    human, synthetic = (
        [row for row in printed.rows("table17") if row.keys["data_type"].startswith(kind)]
        for kind in ("Human", "Synthetic")
    )
    for row in [*human, *printed.rows("table13"), *synthetic]:
        for column, text in row.cells.items():
            found.setdefault((column, row.keys["epochs"]), []).append(float(text))
    rising = sum(all(a < b for a, b in pairwise(values)) for values in found.values())
    return Finding(
        "table13 and table17",
        "monotone",
        f"perplexity rises with every step of the ratio in {rising} of {len(found)} pairs of a set "
        "and an epoch",
        "0 and 100 % of table 17, 25, 50 and 75 % of table 13",
        FOR if rising == len(found) else NEUTRAL,
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
            yield Finding(
                "table14",
                "selection",
                f"{name} lowers all {len(changes)} perplexities by {low:.0f} to {high:.0f} % "
                "against all synthetic text, which qualifies the finding that selection does not "
                "help",
                ", ".join(f"{c} {change:+.0%}" for c, change in changes.items()),
                AGAINST,
            )


def generations() -> Iterator[Finding]:
    """Shares of near-certain tokens in table 15, and their sum if they go on falling so."""
    rows = printed.read("table15")
    shares = [int(row["tokens_p_gt_0.99"]) / int(row["total_tokens"]) for row in rows]
    wrong = [
        f"{row['generation']} {row['percentage']} is {100 * share:.3f} %"
        for row, share in zip(rows, shares, strict=True)
        if abs(100 * share - float(row["percentage"].rstrip("%")))
        > half_unit(row["percentage"].rstrip("%")) + 1e-9
    ]
    yield Finding(
        "table15", "share", f"{len(rows) - len(wrong)} of {len(rows)} percentages fit their counts",
        "; ".join(wrong) or ", ".join(f"{share:.4f}" for share in shares),
        NEUTRAL if wrong else FOR,
    )  # fmt: skip
    factors = [b / a for a, b in pairwise(shares)]
    factor = math.prod(factors) ** (1 / len(factors))
    total = shares[0] / (1 - factor)
    if total > 1:
        yield Finding(
            "table15",
            "share",
            f"the shares fall by a factor of {factor:.3f} a generation; if they go on so they sum "
            f"to {total:.1f}, more than all tokens, and the edits cannot stay disjoint as the "
            "first theorem needs",
            f"{shares[0]:.4f} / (1 - {factor:.4f}) = {total:.2f}",
            AGAINST,
        )


def logged() -> Iterator[Finding]:
    """Averages that the authors logged for the same runs at later checkpoints."""
    entries = [e for e in printed.read("logs") if e["column"] == printed.AVERAGE]
    by_row = {row.keys["row"]: row for e in entries for row in printed.rows(e["table"])}
    shown = [f"{e['row']} {by_row[e['row']].average} printed, {e['logged']} logged in "
             f"{e['commit']}" for e in entries]  # fmt: skip
    best = max(entries, key=lambda e: float(e["logged"]))
    best_printed = max(by_row.values(), key=lambda r: float(r.average or 0))
    turned = best["row"] != best_printed.keys["row"]
    yield Finding(
        entries[0]["table"],
        "checkpoints",
        "later checkpoints of the same runs "
        + ("turn the order of the arms round" if turned else "keep the order of the arms"),
        "; ".join(shown),
        AGAINST if turned else FOR,
    )


def run_lengths() -> Iterator[Finding]:
    """Steps of the runs against their warmup, and tokens of the tables against the text."""
    for run in printed.read("runs"):
        tokens, batch = float(run["tokens"]), int(run["batch_tokens"])
        steps = tokens / batch
        if run["warmup_steps"] and steps < 1.1 * int(run["warmup_steps"]):
            yield Finding(
                "table11 and table14",
                "schedule",
                f"{run['run']}: {tokens / 1e9:g}B tokens are {steps:,.0f} steps, of which "
                f"{int(run['warmup_steps']):,} are warmup",
                f"{tokens:.3g} / {batch:,} = {steps:.1f}; {run['stated']}",
                NEUTRAL,
            )
    largest = max(
        float(row["tokens_size"].rstrip("B"))
        for table in ("table13", "table17")
        for row in printed.read(table)
    )
    stated = next(r["stated"] for r in printed.read("runs") if r["run"] == "GPT-2")
    yield Finding(
        "table13 and table17", "tokens", f"the tables end at {largest:g}B tokens",
        f"largest tokens_size; {stated}",
    )  # fmt: skip
