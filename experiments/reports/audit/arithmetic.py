"""Recompute printed averages, standard errors, counts and token numbers from the printed cells."""

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
        table: file or files of ``published/`` that it depends on.
        kind: name of the check.
        text: the finding in a sentence.
        arithmetic: how it follows from the printed numbers.
        speaks: ``for`` the paper, ``against`` it (an error, or a claim that does not hold), or
            ``neutral``.
    """

    table: str
    kind: str
    text: str
    arithmetic: str
    speaks: str = NEUTRAL


def all_rows() -> list[PrintedRow]:
    """Rows of all printed tables."""
    return [row for table in printed.tables() for row in printed.rows(table)]


def accuracies(row: PrintedRow) -> Iterator[tuple[str, str, int]]:
    """Column, printed text and items of the test set of each accuracy in a row."""
    for column, text in row.cells.items():
        size = printed.items(column)
        if size is not None and printed.is_accuracy(column):
            yield column, text, size


def averages() -> Iterator[Finding]:
    """Printed averages that are not the mean of their row, with a change that would fix them."""
    checked, wrong = 0, 0
    for row in all_rows():
        if row.average is None or not row.cells:
            continue
        checked += 1
        value = mean(row)
        if abs(value - float(row.average)) <= slack(row):
            continue
        wrong += 1
        text = f"{row.name}: the printed average {row.average} is {value:.3f} by its own row"
        text += _suggested_fix(row, float(row.average))
        quotient = f"({' + '.join(row.cells.values())}) / {len(row.cells)}"
        arithmetic = f"{quotient} = {value:.4f}, printed {row.average}"
        yield Finding(row.table, "average", text, arithmetic, AGAINST)
    text = f"{checked - wrong} of {checked} printed averages are the mean of their row"
    condition = "difference at most half of the last digit of the average and of the cells"
    yield Finding("all", "average", text, condition, FOR if checked > 2 * wrong else NEUTRAL)


def mean(row: PrintedRow) -> float:
    """Mean of a row's cells, which is the average of every table."""
    return math.fsum(map(float, row.cells.values())) / len(row.cells)


def slack(row: PrintedRow) -> float:
    """Largest difference that rounding can make between printed average and mean of the cells."""
    cells = math.fsum(map(half_unit, row.cells.values())) / len(row.cells)
    return half_unit(row.average or "") + cells + 1e-9


def _suggested_fix(row: PrintedRow, average: float) -> str:
    """A cell that is no count of its test set, and a count near it that gives the average."""
    for column, text, size in accuracies(row):
        if possible(text, size):
            continue
        rest = sum(float(t) for c, t in row.cells.items() if c != column)
        needed = average * len(row.cells) - rest
        count = round(needed * size / 100)
        fixed = (rest + 100 * count / size) / len(row.cells)
        if abs(fixed - average) <= slack(row) and abs(needed - float(text)) < 1:
            return (
                f"; {column} {text} is no count of {size} items, and {count}/{size} = "
                f"{100 * count / size:.2f} in its place gives {fixed:.2f}"
            )
    return ""


def joint_averages() -> Iterator[Finding]:
    """Version 1's averages over both blocks of table 1."""
    blocks = [printed.rows(f"table1_block{number}") for number in (1, 2)]
    stated = {row["row"]: row["block2_Avg"] for row in printed.read("table1_v1_avg")}
    means, size = {}, 0
    for first, second in zip(*blocks, strict=True):
        cells = [float(text) for row in (first, second) for text in row.cells.values()]
        size = len(cells)
        means[first.keys["row"]] = math.fsum(cells) / size
    right = [
        name for name, value in means.items()
        if abs(value - float(stated[name])) <= 2 * half_unit(stated[name]) + 1e-9
    ]  # fmt: skip
    text = (
        f"version 1 prints one average over all {size} domains, and {len(right)} of {len(stated)} "
        "are right, where version 3 prints one a block"
    )
    values = "; ".join(f"{name} {mean:.2f}, printed {stated[name]}" for name, mean in means.items())
    speaks = FOR if len(right) == len(stated) else NEUTRAL
    yield Finding("table1_v1_avg", "average", text, values, speaks)


def standard_errors() -> Iterator[Finding]:
    """Printed standard errors against those of a share of the test set's items."""
    checked = 0
    for row in all_rows():
        for column, text in row.errors.items():
            size = printed.items(column)
            if size is None:
                continue
            checked += 1
            share = float(row.cells[column]) / 100
            error = 100 * math.sqrt(share * (1 - share) / (size - 1))
            # A share off by half a unit moves the error by less than a tenth of that.
            if abs(error - float(text)) > half_unit(text) + 0.2 * half_unit(row.cells[column]):
                finding = (
                    f"{row.name}, {column}: the printed standard error {text} is {error:.3f} "
                    f"for {row.cells[column]} % of {size} items"
                )
                formula = f"100 sqrt(p (1 - p) / (n - 1)), p = {share:.4f}, n = {size}: {error:.4f}"
                yield Finding(row.table, "standard error", finding, formula, AGAINST)
    text = f"{checked} printed standard errors were recomputed"
    formula = "sample standard error of a share, as lm-eval computes it"
    yield Finding("table11", "standard error", text, formula)
    yield from _implied_sizes()


def _implied_sizes() -> Iterator[Finding]:
    """Number of items that printed shares and standard errors imply: the median over rows."""
    for table in printed.tables():
        rows = [row for row in printed.rows(table) if row.errors]
        for column in rows[0].errors if rows else ():
            sizes = []
            for row in rows:
                share, error = float(row.cells[column]) / 100, float(row.errors[column]) / 100
                sizes.append(share * (1 - share) / error**2 + 1)
            median, known = sorted(sizes)[len(sizes) // 2], printed.items(column)
            if known and abs(median / known - 1) < 0.01:
                kind = next(r["test set"] for r in printed.read("items") if r["column"] == column)
                text = (
                    f"{column}: the standard errors imply {median:.0f} items, those of the "
                    f"{known} of {kind}"
                )
                values = ", ".join(f"{size:.0f}" for size in sizes)
                formula = f"median over rows of p (1 - p) / error² + 1: {values}"
                yield Finding(table, "items", text, formula)


def possible(text: str, size: int) -> bool:
    """Whether a printed percentage can be a whole number of items, rounded or truncated.

    Truncation may take a whole unit: 143 of 500 in binary numbers is 28.599999999999998 %.
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
    for row in all_rows():
        for column, text, size in accuracies(row):
            checked += 1
            if possible(text, size):
                continue
            wrong += 1
            near = round(float(text) * size / 100)
            shares = [f"{k}/{size} = {100 * k / size:.3f}" for k in range(near - 1, near + 2)]
            finding = f"{row.name}, {column}: {text} % is no count of {size} items"
            yield Finding(row.table, "count", finding, ", ".join(shares), AGAINST)
    text = f"{checked - wrong} of {checked} printed accuracies can be a count of their test set"
    note = "k/n rounded or cut off to the printed digits; large test sets allow almost any number"
    yield Finding("all", "count", text, note, FOR if checked > 10 * wrong else NEUTRAL)


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
        text = (
            f"{row['synthetic_data_ratio']}: {unique}B unique tokens times {epochs} epochs are "
            f"{product:.4g}B, printed {total}B"
            + (", which rounding of the unique tokens can explain" if covered else "")
        )
        bounds = f"{unique} ± {half_unit(unique):g} times {epochs}: {low:.4g} to {high:.4g}"
        yield Finding("table14", "tokens", text, bounds, NEUTRAL if covered else AGAINST)
