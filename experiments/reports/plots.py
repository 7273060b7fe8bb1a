"""Figures in one style: readable in grey, as PNG and PDF, with their numbers beside them as CSV."""

import csv
from collections.abc import Iterable, Sequence
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
    """A line of a figure: its label (empty for none), points, and half of their error bars."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None
    bare: str = ""
    """Style of a line without markers, as of what is known everywhere."""
    points: bool = False
    """Markers without a line."""
    plain: bool = False
    """A line without markers, in a style and grey of its own."""


@dataclass(frozen=True)
class Panel:
    """Axes with curves.

    Attributes:
        curves: the lines; bare ones share the colour of the one before them.
        x: label of the axis, with its unit.
        y: the same.
        title: above the axes.
        log_x: whether the horizontal axis is logarithmic.
        log_y: whether the vertical one is.
        marks: lines upward, by name.
        names: what stands at 0, 1, 2 … of the vertical axis, from above, instead of numbers.
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
    caption: str = "",
    height: float = 3.6,
    width: float = 5.2,
) -> Path:
    """Draws panels side by side, of curves that can be told apart in grey.

    Args:
        folder: where ``NAME.png`` and ``NAME.pdf`` go.
        name: of the files.
        panels: from left to right; one legend serves all, so equal labels mean the same.
        caption: below, in small print: how much is shown, and the command that made it.
        height: inches.
        width: of a panel.

    Returns:
        The PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    labels = {curve.label for panel in panels for curve in panel.curves if curve.label}
    beside = len(labels) > 6 or len(panels) > 1
    width = width * len(panels) + (2.0 if beside and len(panels) == 1 else 0)
    figure, row = pyplot.subplots(
        1, len(panels), figsize=(width, height), layout="constrained", squeeze=False
    )
    for panel, axes in zip(panels, row[0], strict=True):
        _draw(axes, panel)
    handles: dict[str, Any] = {}
    for axes in row[0]:
        found = zip(*axes.get_legend_handles_labels(), strict=True)
        handles |= {label: handle for handle, label in found if label not in handles}
    if handles and len(panels) > 1:
        figure.legend(
            handles.values(), handles.keys(), fontsize=7, frameon=False, loc="outside upper center",
            ncols=min(len(handles), 6),
        )  # fmt: skip
    elif handles:
        place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        row[0][0].legend(fontsize=7, frameon=False, **(place if beside else {}))
    if caption:
        figure.supxlabel(fill(caption, int(26 * width)), fontsize=6, color="0.3")
    return save(figure, folder, name)


def save(figure: Any, folder: Path, name: str) -> Path:
    """Writes a figure as PNG and PDF, without dates; returns the PNG."""
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

    number = -1
    for curve in panel.curves:
        number += not curve.bare or number < 0
        line = "" if curve.points else curve.bare or LINES[number % len(LINES)]
        axes.errorbar(
            curve.x, curve.y, yerr=curve.error, label=curve.label or "_nolegend_",
            color=GREYS[number % len(GREYS)], linestyle=line,
            marker="" if curve.bare or curve.plain else MARKERS[number % len(MARKERS)],
            markersize=4, markerfacecolor="none" if curve.points else None,
            markeredgewidth=0.8, capsize=2, linewidth=1.2,
        )  # fmt: skip
    for label, place in panel.marks:
        axes.axvline(place, color="0.7", linewidth=0.8, zorder=0)
        axes.annotate(label, (place, 1.0), xycoords=("data", "axes fraction"), fontsize=6,
                      rotation=90, va="top", ha="right", color="0.4")  # fmt: skip
    for logarithmic, name in ((panel.log_x, "x"), (panel.log_y, "y")):
        if not logarithmic:
            continue
        getattr(axes, f"set_{name}scale")("log")
        low, high = getattr(axes, f"get_{name}lim")()
        fine = (1, 2, 3, 4, 5, 6, 8) if high < 10 * low else (1, 2, 5)
        axis = getattr(axes, f"{name}axis")
        axis.set_major_locator(LogLocator(subs=(1,) if high > 1000 * low else fine))
        axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    if panel.names:
        axes.set_yticks(range(len(panel.names)), panel.names, fontsize=6)
        axes.set_ylim(len(panel.names) - 0.5, -0.5)
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    axes.set_title(panel.title, fontsize=9)
    axes.grid(True, which="both", linewidth=0.3, color="0.85")


def curves_figure(
    folder: Path, name: str, curves: Sequence[Curve], x: str, y: str, log: bool = False
) -> Path:
    """Draws a single panel; ``log`` makes its vertical axis logarithmic."""
    return panels_figure(folder, name, [Panel(curves, x, y, log_y=log)])


def steps(edges: Sequence[float], heights: Sequence[float]) -> tuple[list[float], list[float]]:
    """The outline of a histogram as the points of a line."""
    x = [edge for edge in edges for _ in range(2)]
    return x, [0.0, *(height for height in heights for _ in range(2)), 0.0]


def write_csv(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """The numbers behind a figure."""
    with atomic_path(path) as temporary, temporary.open("w") as handle:
        csv.writer(handle, lineterminator="\n").writerows(rows)


def ratio_figure(values: dict[str, Any], folder: Path) -> Path | None:
    """Perplexity of held-out text by share of synthetic text, with 95 % intervals.

    A panel is a kind of human text, a line a budget of training tokens.

    Args:
        values: of :func:`experiments.reports.arms.results`; nothing is drawn of other experiments.
        folder: where ``perplexity.png``, ``.pdf`` and ``.csv`` go.

    Returns:
        The PNG.
    """
    if not values["ratios"]:
        return None
    table = [["tokens", "group", "synthetic_percent", "seed", "perplexity"]]
    panels: dict[str, list[Curve]] = {}
    budgets = [*((p["tokens"], p["rows"]) for p in values["checkpoints"]), (None, values["rows"])]
    last = max(own["tokens"] for own in values["training"].values())
    for tokens, rows in budgets:
        for row in rows:
            if not row["figure"]:
                continue
            points = {100 * ratio: row["arms"][name] for name, ratio in values["ratios"].items()}
            for share, own in points.items():
                table += [
                    [str(tokens or last), row["group"], f"{share:g}", str(seed), repr(value)]
                    for seed, value in zip(values["seeds"], own["by_seed"], strict=True)
                ]
            if row["group"].startswith("human"):
                means = [own["value"] for own in points.values()]
                error = [(own["high"] or own["value"]) - own["value"] for own in points.values()]
                curve = Curve(f"{(tokens or last) / 1e6:.2f}M tokens", list(points), means, error)
                panels.setdefault(row["group"], []).append(curve)
    if len(table) == 1:
        return None
    write_csv(folder / "perplexity.csv", table)
    drawn = [
        Panel(curves, "share of synthetic tokens in training, %",
              "held-out perplexity (geometric mean)", group, log_y=True)
        for group, curves in panels.items()
    ]  # fmt: skip
    return panels_figure(folder, "perplexity", drawn, width=4.0) if drawn else None


def loss_figure(values: dict[str, Any], folder: Path) -> Path | None:
    """Training loss by step, a line an arm (figures 7 and 8 of the paper).

    Args:
        values: of :func:`experiments.reports.arms.results`; drawn if arms have shares of synthetic
            text.
        folder: where ``loss.png``, ``.pdf`` and ``.csv`` go.

    Returns:
        The PNG.
    """
    rows, curves = [["arm", "step", "loss"]], []
    for arm, ratio in values["ratios"].items():
        points = values["curves"].get(arm) or []
        if points:
            steps_, losses = ([point[axis] for point in points] for axis in (0, 1))
            curves.append(Curve(f"{100 * ratio:g} %", steps_, losses, plain=True))
            rows += [[arm, f"{step:g}", repr(loss)] for step, loss in points]
    if not curves:
        return None
    write_csv(folder / "loss.csv", rows)
    return curves_figure(folder, "loss", curves, "step", "training loss, nats")


def arms_figure(values: dict[str, Any], folder: Path) -> Path | None:
    """Bits per byte of held-out text, a row an arm and a panel a group (figure 4A of the paper).

    Args:
        values: of :func:`experiments.reports.arms.results`; drawn of arms from scratch that are no
            shares of synthetic text.
        folder: where ``arms.png``, ``.pdf`` and ``.csv`` go.

    Returns:
        The PNG.
    """
    if values["plan"] not in ("pretrain_toedit", "collapse", "selection"):
        return None
    table, panels = [["group", "arm", "seed", "bits_per_byte"]], []
    for row in values["rows"]:
        if not row["metric"].startswith("bits per byte, mean"):
            continue
        names = list(row["arms"])
        by_seed = [own["by_seed"] for own in row["arms"].values()]
        x = [bits for own in by_seed for bits in own]
        y = [float(number) for number, own in enumerate(by_seed) for _ in own]
        points = [Curve("", x, y, points=True)]
        panels.append(Panel(points, "bits per byte", "", row["group"], names=names))
        for name, own in zip(names, by_seed, strict=True):
            table += [[row["group"], name, str(seed), repr(bits)]
                      for seed, bits in zip(values["seeds"], own, strict=True)]  # fmt: skip
    if not panels:
        return None
    write_csv(folder / "arms.csv", table)
    return panels_figure(folder, "arms", panels, width=3.4)
