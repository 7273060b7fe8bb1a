"""Numbers as text: one way to print a value, a difference, its interval and its p value."""

import math
from collections.abc import Iterable, Sequence

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
    """A table of Markdown with columns of even width, the first flush left."""
    widths = [max(2, *(len(row[i]) for row in [header, *rows])) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
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


def value_text(level: Estimate | None, digits: int) -> str:
    """An arm's value ± its standard error over items, and in brackets the standard deviation over
    seeds, where there are several."""
    if level is None:
        return EMPTY
    text = f"{level.value:.{digits}f}"
    if level.se_items:
        text += f" ± {level.se_items:.{digits}f}"
    return text if level.sd_seeds is None else f"{text} ({level.sd_seeds:.{digits}f})"


def change_text(value: float, digits: int, scale: str) -> str:
    """A difference with its sign, or the ratio that a log ratio stands for."""
    return ratio_text(value, max(digits, 3)) if scale == LOG_RATIO else signed(value, digits)


def ratio_text(log_ratio: float, digits: int = 3) -> str:
    """A ratio from its logarithm."""
    return f"×{math.exp(log_ratio):.{digits}f}" if abs(log_ratio) < 700 else "undefined"


def digits_of(found: Estimate, digits: int) -> int:
    """Decimals of a difference; of a ratio as many as its interval needs."""
    if found.scale != LOG_RATIO:
        return digits
    half = 0.0 if found.low is None or found.high is None else (found.high - found.low) / 2
    return 3 if half <= 0 else max(3, min(8, 1 - math.floor(math.log10(half))))


def signed(value: float, digits: int) -> str:
    """With its sign; in scientific notation where the digits would show only zeros."""
    if 1e-12 < abs(value) < 0.5 * 10**-digits:
        return f"{value:+.1e}"
    return f"{value if abs(value) > 1e-12 else 0.0:+.{digits}f}"


def interval_text(found: Estimate, digits: int) -> str:
    """The 95 % interval; empty where nothing is known of the error."""
    if found.low is None or found.high is None:
        return ""
    own = digits_of(found, digits)
    low, high = (change_text(end, own, found.scale) for end in (found.low, found.high))
    return f"[{low}, {high}]"


def value_of(found: Estimate, digits: int) -> str:
    """The value of a difference."""
    return change_text(found.value, digits_of(found, digits), found.scale)


def difference_text(found: Estimate | None, digits: int) -> str:
    """A difference with its interval."""
    if found is None:
        return ""
    return f"{value_of(found, digits)} {interval_text(found, digits)}".strip()


def detectable_text(found: Estimate, digits: int) -> str:
    """The smallest true difference that would be found with 80 % power; empty where unknown."""
    if found.detectable is None:
        return ""
    if found.scale == "points" and found.detectable > 100:
        return "none"
    return change_text(found.detectable, digits_of(found, digits), found.scale).lstrip("+")


def p_text(p: float | None) -> str:
    """A p value with two digits; empty where there is none."""
    if p is None:
        return ""
    if p < 1e-16:
        return "<1e-16"
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"


PLUS_MINUS = "± is the standard error over items (clusters of items that share a text)"
BRACKETS = "in brackets stands the standard deviation over seeds"

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
    """What ±, brackets, intervals and p values mean, from the methods that were used."""
    levels, differences = list(levels), list(differences)
    first = PLUS_MINUS
    if any(level.sd_seeds is not None for level in levels):
        first += f"; {BRACKETS}"
    parts = [f"{first}."] if levels else []
    if differences:
        used = [found.method for found in differences]
        told = "; ".join(text for method, text in SENTENCES.items() if method in used)
        parts.append(f"[–, –] is a 95 % interval of a difference, paired by item: {told}.")
        if any(found.scale == LOG_RATIO for found in differences):
            parts.append("Perplexities and shares are compared as ratios (×1 is no difference).")
        unvaried = dict.fromkeys(name for found in differences for name in found.unvaried)
        if unvaried:
            parts.append(
                f"In some comparisons no item differs ({', '.join(unvaried)}); their variance is "
                "taken to be 3 / n², n the number of clusters."
            )
    return " ".join(parts)
