"""Name the lines of a figure: next to their ends where labels fit, else in one legend."""

from collections.abc import Sequence
from typing import Any, NamedTuple

SIZE, GAP = 7, 8.5
"""Size of the text of labels and the distance of their lines, points."""

FURTHEST, LONGEST = 0.2, 32
"""Labels next to lines are at most this share of the axes from their lines, and so many characters
long; else there is a legend."""


class Label(NamedTuple):
    """A label next to a line: its text, the end of the line, its height (both in shares of the
    axes), and the colour of the line."""

    text: str
    end: tuple[float, float]
    height: float
    colour: str


def name_lines(figure: Any, row: Sequence[Any], outside: bool) -> None:
    """Label the lines of all axes of a figure; ``outside`` puts a legend at the right."""
    labels = [labels_at_ends(axes) for axes in row]
    if not all(labels):
        _legend(figure, row, outside)
        return
    for axes, own in zip(row, labels, strict=True):
        for label in own:
            axes.annotate(
                label.text, label.end, (1.04, label.height), xycoords="axes fraction",
                fontsize=SIZE, va="center",
                arrowprops={"arrowstyle": "-", "color": label.colour, "linewidth": 0.8,
                            "shrinkA": 0, "shrinkB": 1},
            )  # fmt: skip


def labels_at_ends(axes: Any) -> list[Label]:
    """Return the labels of lines that all end at the right of their axes.

    Empty if a line does not, or labels are too long, too many or too far from their lines.
    """
    axes.autoscale_view()
    to_axes = axes.transScale + axes.transLimits
    named = list(zip(*axes.get_legend_handles_labels(), strict=True))
    lines = [(handle.lines[0], text) for handle, text in named]
    drawn = [line.get_linestyle() != "None" and len(line.get_xdata()) > 0 for line, _ in lines]
    if not lines or not all(drawn):
        return []
    right = max(line.get_xdata()[-1] for line, _ in lines)
    if any(len(text) > LONGEST or line.get_xdata()[-1] != right for line, text in lines):
        return []
    ends = sorted(
        (float(y), float(x), text, str(line.get_color()))
        for line, text in lines
        for x, y in [to_axes.transform((right, line.get_ydata()[-1]))]
    )
    gap = GAP / (72 * 0.7 * axes.figure.get_figheight())
    if ends[-1][0] - ends[0][0] < gap * (len(ends) - 1) / 3:
        return []
    heights = spread([y for y, *_ in ends], gap)
    labels = [Label(text, (x, y), height, colour)
              for height, (y, x, text, colour) in zip(heights, ends, strict=True)]  # fmt: skip
    return labels if all(abs(own.height - own.end[1]) <= FURTHEST for own in labels) else []


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Move ascending places apart by at least a gap, with the least sum of squared moves."""
    pools: list[list[float]] = []  # of places without the gaps below them; each moves to its mean
    for index, place in enumerate(places):
        pools.append([place - index * gap])
        while len(pools) > 1 and _mean(pools[-2]) >= _mean(pools[-1]):
            upper = pools.pop()
            pools[-1] += upper
    moved = [_mean(pool) for pool in pools for _ in pool]
    return [place + index * gap for index, place in enumerate(moved)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _legend(figure: Any, row: Sequence[Any], outside: bool) -> None:
    """Add one legend for all axes; ``outside`` puts it at the right of a single one."""
    handles: dict[str, Any] = {}
    for axes in row:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles and len(row) > 1:
        figure.legend(
            handles.values(), handles.keys(), fontsize=SIZE, frameon=False,
            loc="outside right upper",
        )  # fmt: skip
    elif handles:
        location: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        row[0].legend(fontsize=SIZE, frameon=False, **(location if outside else {}))
