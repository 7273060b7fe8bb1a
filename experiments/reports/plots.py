"""Draw line figures in one style as PNG and PDF, with their numbers as CSV.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; line styles and
markers tell the lines apart in grey. The title of a figure says what it shows.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any
from warnings import catch_warnings, filterwarnings

from experiments.reports.line_labels import name_lines
from toedit.corpora.files import atomic_path

LINES: list[Any] = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3))]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*"]
COLOURS = ["#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
STYLE = 2
"""Raised when drawing changes, so that figures are drawn again."""

SHOWS = {
    "1": ("theory", "generations"),
    "2, 9": ("pretrain", "perplexity"),
    "3, 10": ("statistics", "perplexity"),
    "4A": ("selection", "arms"),
    "4B": ("statistics", "map"),
    "5, 6": ("statistics", "probability"),
    "7, 8": ("pretrain", "loss"),
    "11": ("statistics", "ngrams"),
    "12, 13": ("statistics", "pairs"),
    "14": ("statistics", "density"),
}
"""Plan and file name of the picture that corresponds to each figure of the paper."""


@dataclass(frozen=True)
class Curve:
    """A line of a figure: its label (empty for none), points, and half of their error bars.

    Attributes:
        bare: style of a line without markers, drawn in the colour of the curve before it.
        points: whether markers are drawn without a line.
        plain: whether the line is drawn without markers, in the next style and colour.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None
    bare: str = ""
    points: bool = False
    plain: bool = False


@dataclass(frozen=True)
class Panel:
    """Axes with curves; ``x`` and ``y`` are the labels of the axes, with their units.

    Attributes:
        marks: labelled vertical lines.
        names: labels at 0, 1, 2 … of the vertical axis, from the top, instead of numbers.
    """

    curves: Sequence[Curve]
    x: str
    y: str
    title: str = ""
    log_x: bool = False
    log_y: bool = False
    marks: Sequence[tuple[str, float]] = ()
    names: Sequence[str] = ()


def panels_figure(
    folder: Path,
    name: str,
    panels: Sequence[Panel],
    rows: Sequence[Sequence[str]],
    caption: str = "",
    finding: str = "",
    plan: str = "",
    height: float = 3.6,
    width: float = 5.2,
) -> Path | None:
    """Draw panels side by side as ``NAME.png`` and ``NAME.pdf``, with ``NAME.csv``.

    Args:
        folder: folder of the three files.
        name: their stem.
        panels: from left to right; equal labels have the same meaning.
        rows: numbers of the figure, the header first.
        caption: small print below.
        finding: what is to be seen, the title of the figure and of the PNG.
        plan: of the run, for the number of the corresponding figure of the paper in the caption.
        height: inches.
        width: of a panel, inches.

    Returns:
        Path of the PNG; None without panels.
    """
    if panels or len(rows) > 1:
        with atomic_path(folder / f"{name}.csv") as temporary, temporary.open("w") as handle:
            csv.writer(handle, lineterminator="\n").writerows(rows)
    if not panels:
        return None
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    labels = {curve.label for panel in panels for curve in panel.curves if curve.label}
    outside = len(labels) > 6 and len(panels) == 1
    width = width * len(panels) + (2.0 if outside else 0)
    figure, row = pyplot.subplots(
        1, len(panels), figsize=(width, height), layout="constrained", squeeze=False
    )
    for panel, axes in zip(panels, row[0], strict=True):
        _draw(axes, panel)
    name_lines(figure, row[0], outside)
    number = paper_figure(plan, name)
    if number:
        caption = f"I{in_place(number)[1:]}. {caption}".strip()
    if finding:
        figure.suptitle(fill(finding, int(15 * width)), fontsize=9, x=0.01, ha="left")
    if caption:
        figure.supxlabel(fill(caption, int(21 * width)), fontsize=6, color="0.3")
    return save(figure, folder, name, finding)


def paper_figure(plan: str, name: str) -> str:
    """Return the number of the figure of the paper that a figure corresponds to, or nothing."""
    return next((number for number, shown in SHOWS.items() if shown == (plan, name)), "")


def in_place(number: str) -> str:
    """Say which figures of the paper a figure corresponds to."""
    return f"in place of figure{'s' if ',' in number else ''} {number} of the paper"


def extremes(values: Mapping[str, float], form: str = ".3g") -> str:
    """Name the least and the greatest of some values, for the title of a figure."""
    least, most = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    if values[least] == values[most]:
        return f"{values[least]:{form}} ({least if len(values) == 1 else 'all'})"
    return f"from {values[least]:{form}} ({least}) to {values[most]:{form}} ({most})"


def save(figure: Any, folder: Path, name: str, title: str = "") -> Path:
    """Write a figure as PNG and PDF with its title, without dates; return the path of the PNG."""
    from matplotlib import pyplot

    for suffix in (".png", ".pdf"):
        absent = "CreationDate" if suffix == ".pdf" else "Software"
        metadata = {absent: None, **({"Title": title} if title else {})}
        with atomic_path(folder / f"{name}{suffix}") as temporary, catch_warnings():
            filterwarnings("ignore", "Glyph .* missing")  # a box is drawn; the CSV has the text
            figure.savefig(temporary, dpi=200, format=suffix[1:], metadata=metadata)
    pyplot.close(figure)
    return folder / f"{name}.png"


def _draw(axes: Any, panel: Panel) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    style = -1
    for curve in panel.curves:
        style += not curve.bare or style < 0
        line = "" if curve.points else curve.bare or LINES[style % len(LINES)]
        axes.errorbar(
            curve.x, curve.y, yerr=curve.error, label=curve.label or "_nolegend_",
            color=COLOURS[style % len(COLOURS)], linestyle=line,
            marker="" if curve.bare or curve.plain else MARKERS[style % len(MARKERS)],
            markersize=4, markerfacecolor="none" if curve.points else None,
            markeredgewidth=0.8, capsize=2, linewidth=1.2,
        )  # fmt: skip
    for label, x in panel.marks:
        axes.axvline(x, color="0.7", linewidth=0.8, zorder=0)
        axes.annotate(label, (x, 1.0), xycoords=("data", "axes fraction"), fontsize=6,
                      rotation=90, va="top", ha="right", color="0.4")  # fmt: skip
    for logarithmic, name in ((panel.log_x, "x"), (panel.log_y, "y")):
        if not logarithmic:
            continue
        getattr(axes, f"set_{name}scale")("log")
        low, high = getattr(axes, f"get_{name}lim")()
        fine = (1, 2, 3, 4, 5, 6, 8) if high < 10 * low else (1, 2, 5)
        axis = getattr(axes, f"{name}axis")
        axis.set_major_locator(LogLocator(subs=(1,) if high > 1000 * low else fine))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    if panel.names:
        axes.set_yticks(range(len(panel.names)), panel.names, fontsize=6)
        axes.set_ylim(len(panel.names) - 0.5, -0.5)
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    axes.set_title(panel.title, fontsize=9)
    axes.grid(True, which="both", linewidth=0.3, color="0.85")


def steps(edges: Sequence[float], heights: Sequence[float]) -> tuple[list[float], list[float]]:
    """Convert a histogram to the points of its outline."""
    x = [edge for edge in edges for _ in range(2)]
    return x, [0.0, *(height for height in heights for _ in range(2)), 0.0]
