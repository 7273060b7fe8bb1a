"""Draw line figures in one style, readable in grey, as PNG and PDF with their numbers as CSV."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any
from warnings import catch_warnings, filterwarnings

from toedit.corpora.files import atomic_path

LINES: list[Any] = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3))]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*"]
GREYS = ["0.0", "0.25", "0.45", "0.6"]


@dataclass(frozen=True)
class Curve:
    """A line of a figure: its label (empty for none), points, and half of their error bars.

    Attributes:
        bare: style of a line without markers, drawn in the colour of the curve before it.
        points: whether markers are drawn without a line.
        plain: whether the line is drawn without markers, in the next style and grey.
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
    height: float = 3.6,
    width: float = 5.2,
) -> Path | None:
    """Draw panels side by side as ``NAME.png`` and ``NAME.pdf``, with ``NAME.csv``.

    Args:
        folder: folder of the three files.
        name: their stem.
        panels: from left to right, with one legend: equal labels have the same meaning.
        rows: numbers of the figure, the header first.
        caption: small print below.
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
    handles: dict[str, Any] = {}
    for axes in row[0]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles and len(panels) > 1:
        figure.legend(
            handles.values(), handles.keys(), fontsize=7, frameon=False, loc="outside upper center",
            ncols=min(len(handles), 6),
        )  # fmt: skip
    elif handles:
        location: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        row[0][0].legend(fontsize=7, frameon=False, **(location if outside else {}))
    if caption:
        figure.supxlabel(fill(caption, int(26 * width)), fontsize=6, color="0.3")
    return save(figure, folder, name)


def save(figure: Any, folder: Path, name: str) -> Path:
    """Write a figure as PNG and PDF, without dates; return the path of the PNG."""
    from matplotlib import pyplot

    for suffix in (".png", ".pdf"):
        metadata = {"CreationDate": None} if suffix == ".pdf" else {"Software": None}
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
            color=GREYS[style % len(GREYS)], linestyle=line,
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


def ratio_figure(values: dict[str, Any], folder: Path) -> Path | None:
    """Draw ``perplexity.png``: held-out perplexity by share of synthetic text, 95 % intervals.

    A panel is a kind of human text, a line a budget of training tokens. ``values`` are those of
    :func:`experiments.reports.arms.results`, as for the next figures; None if nothing is drawn.
    """
    if not values["ratios"]:
        return None
    table = [["tokens", "group", "synthetic_percent", "seed", "perplexity"]]
    panels: dict[str, list[Curve]] = {}
    last = max(training["tokens"] for training in values["training"].values())
    for point in [*values["checkpoints"], {"tokens": last, "rows": values["rows"]}]:
        for row in point["rows"]:
            if not row["figure"]:
                continue
            levels = {100 * ratio: row["arms"][name] for name, ratio in values["ratios"].items()}
            for share, level in levels.items():
                table += [
                    [str(point["tokens"]), row["group"], f"{share:g}", str(seed), repr(value)]
                    for seed, value in zip(values["seeds"], level["by_seed"], strict=True)
                ]
            if row["group"].startswith("human"):
                means = [level["value"] for level in levels.values()]
                error = [(level["high"] or level["value"]) - level["value"]
                         for level in levels.values()]  # fmt: skip
                label = f"{point['tokens'] / 1e6:.2f}M tokens"
                panels.setdefault(row["group"], []).append(Curve(label, list(levels), means, error))
    human = [
        Panel(curves, "share of synthetic tokens in training, %",
              "held-out perplexity (geometric mean)", group, log_y=True)
        for group, curves in panels.items()
    ]  # fmt: skip
    return panels_figure(folder, "perplexity", human, table, width=4.0)


def loss_figure(values: dict[str, Any], folder: Path) -> Path | None:
    """Draw ``loss.png``: training loss by step, a line per arm (figures 7 and 8 of the paper).

    Only for arms that are shares of synthetic text.
    """
    table, curves = [["arm", "step", "loss"]], []
    for arm, ratio in values["ratios"].items():
        points = values["curves"].get(arm)
        if points:
            x, losses = zip(*points, strict=True)
            curves.append(Curve(f"{100 * ratio:g} %", x, losses, plain=True))
            table += [[arm, f"{step:g}", repr(loss)] for step, loss in points]
    panels = [Panel(curves, "step", "training loss, nats")] if curves else []
    return panels_figure(folder, "loss", panels, table)


def arms_figure(values: dict[str, Any], folder: Path) -> Path | None:
    """Draw ``arms.png``: held-out bits per byte by arm, a panel per group (figure 4A of the paper).

    Only for arms from scratch that are no shares of synthetic text.
    """
    if values["plan"] not in ("pretrain_toedit", "collapse", "selection"):
        return None
    table, panels = [["group", "arm", "seed", "bits_per_byte"]], []
    for row in values["rows"]:
        if not row["metric"].startswith("bits per byte, mean"):
            continue
        group, x, y = row["group"], [], []
        for index, (name, level) in enumerate(row["arms"].items()):
            for seed, bits in zip(values["seeds"], level["by_seed"], strict=True):
                x.append(bits)
                y.append(float(index))
                table.append([group, name, str(seed), repr(bits)])
        points = [Curve("", x, y, points=True)]
        panels.append(Panel(points, "bits per byte", "", group, names=list(row["arms"])))
    return panels_figure(folder, "arms", panels, table, width=3.4)
