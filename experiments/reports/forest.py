"""Draw the forest plot of all claims: estimates and 95 % intervals in multiples of the margin."""

from collections.abc import Sequence
from pathlib import Path

from experiments.analysis.claims import Claim
from experiments.reports.claims import ClaimVerdict, measure
from experiments.reports.plots import save
from experiments.reports.verdict_groups import GROUPS, summary

LIMIT = 3.0
"""Range of the axis in margins on either side; an interval beyond it ends in an arrow."""


def _names(claims: Sequence[Claim]) -> list[str]:
    """Return labels of claims; a claim that restates the one above it has its measure alone."""
    names = []
    for index, claim in enumerate(claims):
        above = index > 0 and claim.of == claims[index - 1].id
        if claim.of is None:
            names.append(claim.name)
        else:
            names.append(measure(claim) if above else f"{claim.name}, {claim.column}")
    return names


def in_margins(item: ClaimVerdict) -> tuple[float, float, float] | None:
    """Return value, lower and upper end of the 95 % interval of a claim in its direction.

    They are multiples of the margin; None without an interval or a margin.
    """
    if item.estimate is None or not item.margin:
        return None
    estimate = item.estimate if item.claim.sign > 0 else item.estimate.negated
    if estimate.low is None or estimate.high is None:
        return None
    return estimate.value / item.margin, estimate.low / item.margin, estimate.high / item.margin


def forest_figure(decisions: Sequence[ClaimVerdict], folder: Path) -> Path | None:
    """Draw a row per claim: estimate and 95 % interval in margins, in the claim's direction.

    At 0 there is no effect, at 1 the margin: the paper's printed gain, or that of our own runs. The
    verdict is next to each row, and gives its colour.

    Args:
        decisions: the claims; those without an interval or a margin are omitted.
        folder: for ``claims.png`` and ``claims.pdf``.

    Returns:
        The PNG; None if there is nothing to draw.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [(item, ends) for item in decisions if (ends := in_margins(item)) is not None]
    if not rows:
        return None
    height = 0.7 + 0.26 * len(rows)
    figure, axes = pyplot.subplots(figsize=(7.6, height), layout="constrained")
    for y, (item, (value, low, high)) in enumerate(rows):
        group = GROUPS[item.verdict.word]
        clipped = [max(-LIMIT, min(LIMIT, end)) for end in (low, high)]
        axes.plot(clipped, [y, y], color=group.colour, linewidth=1.6)
        for end, x in zip((low, high), clipped, strict=True):
            if end != x:
                axes.plot(x, y, ">" if end > x else "<", color=group.colour, markersize=4)
        if item.claim.family == "paper" and not isinstance(item.claim.margin, dict):
            axes.plot(1, y, "D", color="white", markeredgecolor="0.2", markersize=4)
        if abs(value) <= LIMIT:
            axes.plot(value, y, "o", color=group.colour, markersize=4)
        axes.annotate(item.word, (1.01, y), xycoords=("axes fraction", "data"), fontsize=7,
                      va="center")  # fmt: skip
    axes.axvline(0, color="0.5", linewidth=0.8, zorder=0)
    axes.axvline(1, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
    axes.set_yticks(range(len(rows)), _names([item.claim for item, _ in rows]), fontsize=7)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-1.05 * LIMIT, 1.05 * LIMIT)
    axes.set_xlabel(
        "effect in the claim's direction, in margins (dashed); diamond: the printed gain",
        fontsize=8,
    )
    supported, paper, others = summary(decisions)
    finding = f"{supported} of {paper} claims of the paper supported; {'; '.join(others)}"
    figure.suptitle(finding, fontsize=9, x=0.01, ha="left")
    axes.grid(True, axis="x", linewidth=0.3, color="0.85")
    return save(figure, folder, "claims", finding)
