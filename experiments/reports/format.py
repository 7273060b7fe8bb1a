"""Format values, differences, intervals, p values, Markdown tables and CSV as text."""

import csv
import math
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

from experiments.analysis.estimate import (
    NONE,
    PER_SEED,
    SEEDS_AND_ITEMS,
    STUDENT,
    SWAPPED,
    TANGO,
    Estimate,
)

EMPTY = "—"
LOG_RATIO = "log ratio"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table with padded columns, the first left-aligned, the others right."""
    widths = [max(2, *map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        numbers = (cell.rjust(w) for cell, w in zip(cells[1:], widths[1:], strict=True))
        return f"| {' | '.join([cells[0].ljust(widths[0]), *numbers])} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def csv_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Format rows as CSV with Unix line ends; None is an empty cell."""
    buffer = StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([header, *rows])
    return buffer.getvalue()


def cell_text(text: str) -> str:
    """Escape text for a cell of :func:`table`: on one line, with its bars escaped."""
    return " ".join(text.split()).replace("|", "\\|")


def value_text(level: Estimate | None, digits: int) -> str:
    """Format an arm's value ± its standard error over items, and in brackets the standard deviation
    over seeds, if there are several."""
    if level is None:
        return EMPTY
    text = f"{level.value:.{digits}f}"
    if level.se_items:
        text += f" ± {level.se_items:.{digits}f}"
    return text if level.sd_seeds is None else f"{text} ({level.sd_seeds:.{digits}f})"


def change_text(value: float, digits: int, scale: str) -> str:
    """Format a difference with its sign, or a log ratio as a ratio."""
    return ratio_text(value, max(digits, 3)) if scale == LOG_RATIO else signed(value, digits)


def ratio_text(log_ratio: float, digits: int = 3) -> str:
    """Format a ratio that is given by its logarithm."""
    return f"×{math.exp(log_ratio):.{digits}f}" if abs(log_ratio) < 700 else "undefined"


def digits_of(estimate: Estimate, digits: int) -> int:
    """Return the decimals of a difference; a ratio has as many as its interval needs."""
    if estimate.scale != LOG_RATIO:
        return digits
    if estimate.low is None or estimate.high is None or estimate.high <= estimate.low:
        return 3
    return max(3, min(8, 1 - math.floor(math.log10((estimate.high - estimate.low) / 2))))


def signed(value: float, digits: int) -> str:
    """Format a number with its sign; in scientific notation if the digits would all be zero."""
    if 1e-12 < abs(value) < 0.5 * 10**-digits:
        return f"{value:+.1e}"
    return f"{value if abs(value) > 1e-12 else 0.0:+.{digits}f}"


def interval_text(estimate: Estimate, digits: int) -> str:
    """Format the 95 % interval; empty if the error is unknown."""
    if estimate.low is None or estimate.high is None:
        return ""
    digits = digits_of(estimate, digits)
    low, high = (change_text(end, digits, estimate.scale) for end in (estimate.low, estimate.high))
    return f"[{low}, {high}]"


def value_of(estimate: Estimate, digits: int) -> str:
    """Format the value of a difference."""
    return change_text(estimate.value, digits_of(estimate, digits), estimate.scale)


def difference_text(estimate: Estimate | None, digits: int) -> str:
    """Format a difference with its 95 % interval."""
    if estimate is None:
        return ""
    return f"{value_of(estimate, digits)} {interval_text(estimate, digits)}".strip()


def detectable_text(estimate: Estimate, digits: int) -> str:
    """Format the smallest true difference that is detected with 80 % power; empty if unknown."""
    if estimate.detectable is None:
        return ""
    if estimate.scale == "points" and estimate.detectable > 100:
        return "none"
    return change_text(estimate.detectable, digits_of(estimate, digits), estimate.scale).lstrip("+")


def p_text(p: float | None) -> str:
    """Format a p value with two digits; empty if there is none."""
    if p is None:
        return ""
    if p < 1e-16:
        return "<1e-16"
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"


def cut_text(counts: Sequence[int | None], tasks: str = "") -> str:
    """Say whether items lost the beginning of their prompt.

    Args:
        counts: number of such items in each result; None where it was not counted.
        tasks: where they are, for the end of the sentence.

    Returns:
        A sentence; empty if nothing was counted.
    """
    missing = counts.count(None)
    if missing == len(counts):
        return ""
    text = "No item was longer than the model reads"
    if any(counts):
        text = (
            f"Items that were longer than the model reads lost the beginning of their prompt{tasks}"
        )
    return f"{text} (not counted in {missing} of {len(counts)} results)." if missing else f"{text}."


SENTENCES = {
    SEEDS_AND_ITEMS: "with several seeds the interval and p count both seeds and items: the "
    "variance of the differences by seed and the clustered variance over items, as Student "
    "variables with S − 1 and G − 1 degrees of freedom",
    STUDENT: "with one seed they are Student's over clusters of items, and say nothing of other "
    "seeds",
    SWAPPED: "of F1 of one seed they are a bootstrap over clusters and p of predictions swapped "
    "item by item, and say nothing of other seeds",
    TANGO: "of right and wrong answers of one seed they are Tango's score interval and McNemar's "
    "exact test, and say nothing of other seeds",
    PER_SEED: "of slopes and curvatures they are Student's over seeds",
    NONE: "where no observation differs there is no interval",
}


def legend(levels: Iterable[Estimate], differences: Iterable[Estimate]) -> str:
    """Explain ±, brackets, intervals and p values of the methods that the estimates used."""
    levels, differences = list(levels), list(differences)
    parts = []
    if levels:
        text = "± is the standard error over items (clusters of items that share a text)"
        if any(level.sd_seeds is not None for level in levels):
            text += "; in brackets stands the standard deviation over seeds"
        parts.append(f"{text}.")
    if differences:
        used = [difference.method for difference in differences]
        methods = "; ".join(text for method, text in SENTENCES.items() if method in used)
        parts.append(f"[–, –] is a 95 % interval of a difference, paired by item: {methods}.")
        if any(difference.scale == LOG_RATIO for difference in differences):
            parts.append("Perplexities and shares are compared as ratios (×1 is no difference).")
        unvaried = dict.fromkeys(name for change in differences for name in change.unvaried)
        if unvaried:
            parts.append(
                f"In some comparisons no item differs ({', '.join(unvaried)}); their variance is "
                "taken to be 3 / n², n the number of clusters."
            )
    return " ".join(parts)
