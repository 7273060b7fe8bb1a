"""Averages, standard errors, counts and token numbers, recomputed from the cells they come from."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from experiments.reports import printed
from experiments.reports.printed import PrintedRow, half_unit

FOR, AGAINST, NEUTRAL = "for", "against", "neutral"


@dataclass(frozen=True)
class Finding:
    """One finding about the printed tables.

    Attributes:
        table: file or files of ``published/`` it rests on.
        kind: what was checked.
        text: what was found, in a sentence.
        arithmetic: how it follows from the printed numbers.
        speaks: ``for`` the paper, ``against`` it (an error, or a claim that does not hold), or
            ``neutral``.
    """

    table: str
    kind: str
    text: str
    arithmetic: str
    speaks: str = NEUTRAL


def averages() -> Iterator[Finding]:
    """Printed averages that are not the mean of their row, with what would mend them."""
    checked, wrong = 0, 0
    for table in printed.tables():
        for row in printed.rows(table):
            if row.average is None or not row.cells:
                continue
            checked += 1
            found = mean(row)
            if abs(found - float(row.average)) <= slack(row):
                continue
            wrong += 1
            values = " + ".join(row.cells.values())
            repair = _repaired(row)
            yield Finding(
                table,
                "average",
                f"{row.name}: the printed average {row.average} is {found:.3f} by its own row"
                + (f"; {repair}" if repair else ""),
                f"({values}) / {len(row.cells)} = {found:.4f}, printed {row.average}",
                AGAINST,
            )
    yield Finding(
        "all",
        "average",
        f"{checked - wrong} of {checked} printed averages are the mean of their row",
        "difference at most half of the last digit of the average and of the cells",
        FOR if checked > 2 * wrong else NEUTRAL,
    )


def mean(row: PrintedRow) -> float:
    """Mean of a row's cells, each table's average."""
    return math.fsum(map(float, row.cells.values())) / len(row.cells)


def slack(row: PrintedRow) -> float:
    """How far a printed average may lie from the mean of printed cells by rounding alone."""
    return (
        half_unit(row.average or "")
        + math.fsum(map(half_unit, row.cells.values())) / len(row.cells)
        + 1e-9
    )


def _repaired(row: PrintedRow) -> str:
    """A cell that is no count of its test set, and a count near it that mends the average."""
    for column, text in row.cells.items():
        size = printed.items(column)
        if size is None or not printed.is_accuracy(column) or possible(text, size):
            continue
        rest = sum(float(t) for c, t in row.cells.items() if c != column)
        wanted = float(row.average or "") * len(row.cells) - rest
        count = round(wanted * size / 100)
        mended = (rest + 100 * count / size) / len(row.cells)
        if abs(mended - float(row.average or "")) <= slack(row) and abs(wanted - float(text)) < 1:
            return (
                f"{column} {text} is no count of {size} items, and {count}/{size} = "
                f"{100 * count / size:.2f} in its place gives {mended:.2f}"
            )
    return ""


def joint_averages() -> Iterator[Finding]:
    """Version 1's averages over both blocks of table 1."""
    blocks = [printed.rows(f"table1_block{number}") for number in (1, 2)]
    stated = {row["row"]: row["block2_Avg"] for row in printed.read("table1_v1_avg")}
    found = {}
    for first, second in zip(*blocks, strict=True):
        cells = [float(text) for row in (first, second) for text in row.cells.values()]
        found[first.keys["row"]] = (math.fsum(cells) / len(cells), len(cells))
    near = {
        name: (value, text)
        for (name, (value, _)), text in zip(found.items(), stated.values(), strict=True)
        if abs(value - float(text)) <= 2 * half_unit(text) + 1e-9
    }
    size = next(iter(found.values()))[1]
    yield Finding(
        "table1_v1_avg",
        "average",
        f"version 1 prints one average over all {size} domains, and {len(near)} of {len(stated)} "
        "are right, where version 3 prints one a block",
        "; ".join(
            f"{name} {value:.2f}, printed {stated[name]}" for name, (value, _) in found.items()
        ),
        FOR if len(near) == len(stated) else NEUTRAL,
    )


def standard_errors() -> Iterator[Finding]:
    """Printed standard errors against those of a share of the test set's items."""
    checked = 0
    for table in printed.tables():
        for row in printed.rows(table):
            for column, text in row.errors.items():
                size = printed.items(column)
                if size is None:
                    continue
                checked += 1
                share = float(row.cells[column]) / 100
                error = 100 * math.sqrt(share * (1 - share) / (size - 1))
                # A share off by half a unit moves the error by less than a tenth of that.
                if abs(error - float(text)) > half_unit(text) + 0.2 * half_unit(row.cells[column]):
                    yield Finding(
                        table,
                        "standard error",
                        f"{row.name}, {column}: the printed standard error {text} is {error:.3f} "
                        f"for {row.cells[column]} % of {size} items",
                        f"100 sqrt(p (1 - p) / (n - 1)), p = {share:.4f}, n = {size}: {error:.4f}",
                        AGAINST,
                    )
    yield Finding(
        "table11", "standard error", f"{checked} printed standard errors were recomputed",
        "sample standard error of a share, as lm-eval computes it",
    )  # fmt: skip
    yield from _sizes()


def _sizes() -> Iterator[Finding]:
    """The number of items that a printed share and its error imply, agreed by most rows."""
    for table in printed.tables():
        rows = [row for row in printed.rows(table) if row.errors]
        for column in rows[0].errors if rows else ():
            sizes = []
            for row in rows:
                share, error = float(row.cells[column]) / 100, float(row.errors[column]) / 100
                sizes.append(share * (1 - share) / error**2 + 1)
            middle = sorted(sizes)[len(sizes) // 2]
            known = printed.items(column)
            if known and abs(middle / known - 1) < 0.01:
                kind = next(r["test set"] for r in printed.read("items") if r["column"] == column)
                yield Finding(
                    table,
                    "items",
                    f"{column}: the standard errors imply {middle:.0f} items, those of the "
                    f"{known} of {kind}",
                    "median over rows of p (1 - p) / error² + 1: "
                    + ", ".join(f"{size:.0f}" for size in sizes),
                )


def possible(text: str, size: int) -> bool:
    """Whether a printed percentage can be a whole number of items: rounded, or cut off.

    Cutting off may take a whole unit: 143 of 500 in binary numbers is 28.599999999999998 %.
    """
    value, unit = float(text), 2 * half_unit(text)
    count = round(value * size / 100)
    return any(
        -unit / 2 - 1e-9 <= 100 * k / size - value <= unit + 1e-9
        for k in (count - 1, count, count + 1)
    )


def counts() -> Iterator[Finding]:
    """Printed accuracies that are no whole number of items of their test set."""
    checked, wrong = 0, 0
    for table in printed.tables():
        for row in printed.rows(table):
            for column, text in row.cells.items():
                size = printed.items(column)
                if size is None or not printed.is_accuracy(column):
                    continue
                checked += 1
                if possible(text, size):
                    continue
                wrong += 1
                near = round(float(text) * size / 100)
                sides = ", ".join(
                    f"{k}/{size} = {100 * k / size:.3f}" for k in (near - 1, near, near + 1)
                )
                yield Finding(
                    table, "count", f"{row.name}, {column}: {text} % is no count of {size} items",
                    sides, AGAINST,
                )  # fmt: skip
    yield Finding(
        "all",
        "count",
        f"{checked - wrong} of {checked} printed accuracies can be a count of their test set",
        "k/n rounded or cut off to the printed digits; large test sets allow almost any number",
        FOR if checked > 10 * wrong else NEUTRAL,
    )


def repetitions() -> Iterator[Finding]:
    """Training tokens against unique tokens times epochs (table 14)."""
    for row in printed.read("table14"):
        unique, total, epochs = (
            row[key].removesuffix("B") for key in ("unique_tokens", "training_tokens", "epochs")
        )
        product = float(unique) * int(epochs)
        if math.isclose(product, float(total), rel_tol=1e-9):
            continue
        low, high = ((float(unique) + s * half_unit(unique)) * int(epochs) for s in (-1, 1))
        covered = low - half_unit(total) <= float(total) <= high + half_unit(total)
        yield Finding(
            "table14",
            "tokens",
            f"{row['synthetic_data_ratio']}: {unique}B unique tokens times {epochs} epochs are "
            f"{product:.4g}B, printed {total}B"
            + (", which rounding of the unique tokens can explain" if covered else ""),
            f"{unique} ± {half_unit(unique):g} times {epochs}: {low:.4g} to {high:.4g}",
            NEUTRAL if covered else AGAINST,
        )
