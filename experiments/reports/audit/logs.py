"""Compare printed numbers with those that the authors logged for the same runs.

The logs are files of their repository, at the commits that ``published/logs.csv`` and
``published/checkpoints.csv`` name.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from experiments.reports import printed
from experiments.reports.audit.arithmetic import (
    AGAINST,
    FOR,
    NEUTRAL,
    Finding,
    mean,
    possible,
)
from experiments.reports.audit.printed_significance import LEVEL, average
from experiments.reports.printed import PrintedRow, half_unit

Entry = dict[str, str]
"""A row of ``logs.csv`` or ``checkpoints.csv``."""

Logged = dict[str, dict[str, Entry]]
"""Logged numbers of a column, by row and variant."""


def logged() -> Iterator[Finding]:
    """Compare printed averages with those the authors logged for the same runs."""
    entries = [e for e in printed.read("logs") if e["column"] == printed.AVERAGE]
    by_row = {row.keys["row"]: row for e in entries for row in printed.rows(e["table"])}
    pairs = [f"{e['row']} {by_row[e['row']].average} printed, {e['logged']} logged in "
             f"{e['commit']}" for e in entries]  # fmt: skip
    best = max(entries, key=lambda e: float(e["logged"]))
    best_printed = max(by_row.values(), key=lambda r: float(r.average or 0))
    reordered = best["row"] != best_printed.keys["row"]
    text = "later checkpoints of the same runs "
    text += "turn the order of the arms round" if reordered else "keep the order of the arms"
    speaks = AGAINST if reordered else FOR
    yield Finding(entries[0]["table"], "checkpoints", text, "; ".join(pairs), speaks)


def variants() -> Iterator[Finding]:
    """Which filter or test set a column prints, where the logs hold several for the same run."""
    logs: dict[tuple[str, str], Logged] = defaultdict(lambda: defaultdict(dict))
    for entry in printed.read("logs"):
        if entry["variant"]:
            logs[entry["table"], entry["column"]][entry["row"]][entry["variant"]] = entry
    for (table, column), by_row in logs.items():
        rows = {name: _row(table, name) for name in by_row}
        fits = {
            name: [
                v
                for v, entry in entries.items()
                if _equal(rows[name].cells[column], entry["logged"])
            ]
            for name, entries in by_row.items()
        }
        common = [v for v in fits[next(iter(fits))] if all(v in names for names in fits.values())]
        if common:
            text = f"{column} of {', '.join(by_row)} is logged as {' or '.join(common)}"
            text += _other_variants(column, common, rows, by_row)
        else:
            text = f"{column} mixes variants: " + ", ".join(
                f"{' or '.join(names) or 'none'} in {name}" for name, names in fits.items()
            )
            text += _by_one_variant(column, rows, by_row)
        arithmetic = "; ".join(
            f"{name} {rows[name].cells[column]} printed, "
            + ", ".join(f"{v} {e['logged']}" for v, e in entries.items())
            + f" logged in {' and '.join(dict.fromkeys(e['commit'] for e in entries.values()))}"
            for name, entries in by_row.items()
        )
        yield Finding(table, "variant", text, arithmetic, NEUTRAL if common else AGAINST)


def _other_variants(
    column: str, common: list[str], rows: dict[str, PrintedRow], by_row: Logged
) -> str:
    """Name the other variants, and the printed numbers that are no count of their items."""
    text = ""
    for variant, entry in next(iter(by_row.values())).items():
        if variant not in common:
            cells, size = [row.cells[column] for row in rows.values()], int(entry["items"])
            wrong = [cell for cell in cells if not possible(cell, size)]
            text += f", not as {variant}"
            text += f"; {', '.join(wrong)} % is no count of its {size} items" if wrong else ""
    return text


def _by_one_variant(column: str, rows: dict[str, PrintedRow], by_row: Logged) -> str:
    """What a column would be by each variant, and what the last row's average would then gain."""

    def gain(every: list[PrintedRow]) -> str:
        return f"{mean(every[-1]) - mean(every[-2]):+.2f}" if len(every) > 1 else "nothing"

    text = ""
    for variant in next(iter(by_row.values())):
        cells = {name: entries[variant]["logged"] for name, entries in by_row.items()}
        changed = [
            replace(row, cells={**row.cells, column: cells[name]}) for name, row in rows.items()
        ]
        text += f"; by {variant} it reads {', '.join(cells.values())} "
        text += f"and the last row's average gains {gain(changed)}"
    return f"{text}, as printed {gain(list(rows.values()))}"


def _row(table: str, name: str) -> PrintedRow:
    """The row of a table with a name, or with a key of that value."""
    return next(row for row in printed.rows(table) if name in (row.name, *row.keys.values()))


def _equal(text: str, logged_text: str) -> bool:
    """Whether a printed number is a logged one, rounded or cut off."""
    return abs(float(text) - float(logged_text)) <= 2 * half_unit(text) + 1e-9


def equal_length() -> Iterator[Finding]:
    """Printed rows that are a checkpoint of a longer run than the row they are compared with."""
    entries = printed.read("checkpoints")
    for edited in (entry for entry in entries if entry["edited"] == "yes"):
        runs = [e for e in entries if e["edited"] == "no" and e["table"] == edited["table"]]
        rows = printed.rows(edited["table"])
        row = next((r for r in rows if _is_checkpoint(r, edited)), rows[0])
        before = rows[rows.index(row) - 1]
        source = next((e for e in runs if _is_checkpoint(before, e)), None)
        if row is rows[0] or source is None or source["step"] == source["last_step"]:
            continue
        whole = [e for e in runs if e["step"] == e["last_step"]]
        near = min(whole, key=lambda e: abs(int(e["step"]) - int(edited["step"])))
        logged_row = replace(before, cells={c: near[c] for c in before.cells})
        change, average_logged = average(row, logged_row), f"{mean(logged_row):.2f}"
        gain = float(row.average or "nan") - mean(logged_row)
        printed_gain = float(row.average or "nan") - float(before.average or "nan")
        text = (
            f"{before.name} is step {int(source['step']):,} of {int(source['last_step']):,} of a "
            f"run of {_tokens(source, 'last_step')} tokens ({_tokens(source, 'step')} of them "
            f"seen), {row.name} the end of one of {_tokens(edited, 'step')}; the authors' unedited "
            f"run of {_tokens(near, 'step')} (step {int(near['step']):,}) averages "
            f"{average_logged}, so that the gain between whole runs of equal length is {gain:.2f} "
            f"instead of {printed_gain:.2f}" + (", within chance" if change.p >= LEVEL else "")
        )
        arithmetic = (
            f"({' + '.join(logged_row.cells.values())}) / {len(logged_row.cells)} = "
            f"{average_logged}, {near['run']} in commits {near['commit']}; {row.average} - "
            f"{average_logged} = {gain:.2f}, z {change.z:.2f}; {before.name} equals "
            f"{source['run']} in commits {source['commit']}"
        )
        yield Finding(edited["table"], "equal length", text, arithmetic, AGAINST)


def _is_checkpoint(row: PrintedRow, entry: Entry) -> bool:
    """Whether a printed row holds the numbers that are logged for a checkpoint."""
    return all(_equal(text, entry[column]) for column, text in row.cells.items() if entry[column])


def _tokens(entry: Entry, step: str) -> str:
    """Tokens that a run has seen at a step."""
    return f"{int(entry[step]) * int(entry['batch_tokens']) / 1e9:.2f}B"
