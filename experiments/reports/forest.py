"""All claims in one picture: estimates, their intervals, and the effect worth having."""

from collections.abc import Sequence
from pathlib import Path

from experiments.analysis.claims import Claim
from experiments.reports.claims import ClaimVerdict, measure
from experiments.reports.plots import save

LIMIT = 3.0
"""Margins that the axis reaches to either side; what lies beyond ends in an arrow."""


def _names(shown: Sequence[Claim]) -> list[str]:
    """Names of claims; of one that restates the claim above it, its measure alone."""
    names = []
    for place, claim in enumerate(shown):
        above = place > 0 and claim.of == shown[place - 1].id
        if claim.of is None:
            names.append(claim.name)
        else:
            names.append(measure(claim) if above else f"{claim.name}, {claim.column}")
    return names


def in_margins(own: ClaimVerdict) -> tuple[float, float, float] | None:
    """Estimate and 95 % interval of a claim in its direction, as multiples of the margin.

    Args:
        own: the claim.

    Returns:
        Value, lower and upper end; None without an interval or a margin.
    """
    if own.estimate is None or not own.margin:
        return None
    found = own.estimate if own.claim.sign > 0 else own.estimate.turned
    if found.low is None or found.high is None:
        return None
    return found.value / own.margin, found.low / own.margin, found.high / own.margin


def forest_figure(decided: Sequence[ClaimVerdict], folder: Path) -> Path | None:
    """A row a claim: estimate and 95 % interval in margins, in the claim's direction.

    At 0 there is no effect, at 1 the effect worth having: the paper's printed gain, or that of our
    own runs. Beside each row stands the verdict.

    Args:
        decided: the claims; those without an interval or a margin are left out.
        folder: where ``claims.png`` and ``.pdf`` go.

    Returns:
        The PNG; None where there is nothing to draw.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [(own, found) for own in decided if (found := in_margins(own)) is not None]
    if not shown:
        return None
    height = 0.7 + 0.26 * len(shown)
    figure, axes = pyplot.subplots(figsize=(7.6, height), layout="constrained")
    for place, (own, (value, low, high)) in enumerate(shown):
        ends = [max(-LIMIT, min(LIMIT, end)) for end in (low, high)]
        axes.plot(ends, [place, place], color="0.25", linewidth=1.4)
        for end, drawn in zip((low, high), ends, strict=True):
            if end != drawn:
                axes.plot(drawn, place, ">" if end > drawn else "<", color="0.25", markersize=4)
        if abs(value) <= LIMIT:
            axes.plot(value, place, "o", color="0.0", markersize=4)
        axes.annotate(own.word, (1.01, place), xycoords=("axes fraction", "data"), fontsize=7,
                      va="center")  # fmt: skip
    axes.axvline(0, color="0.5", linewidth=0.8, zorder=0)
    axes.axvline(1, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
    axes.set_yticks(range(len(shown)), _names([own.claim for own, _ in shown]), fontsize=7)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(-1.05 * LIMIT, 1.05 * LIMIT)
    axes.set_xlabel("effect in the claim's direction, in margins", fontsize=8)
    axes.grid(True, axis="x", linewidth=0.3, color="0.85")
    return save(figure, folder, "claims")
