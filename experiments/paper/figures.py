"""Figures in one style: readable in grey, as PNG and PDF, with their numbers beside them as CSV."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from toedit.corpora.files import atomic_path

LINES = ["-", "--", "-.", ":"]
MARKERS = ["o", "s", "^", "D"]
GREYS = ["0.0", "0.25", "0.45", "0.6"]


def ratio_figure(values: dict[str, Any], folder: Path) -> Path:
    """Held-out perplexity by share of synthetic text, a line a group of domains.

    Args:
        values: what :func:`experiments.paper.pretraining.results` gave.
        folder: where ``perplexity.png``, ``.pdf`` and ``.csv`` go.

    Returns:
        The PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.2, 3.6), layout="constrained")
    shares = [100 * ratio for ratio in values["ratios"]]
    rows = [["group", "synthetic_percent", "seed", "perplexity"]]
    for number, group in enumerate(values["groups"]):
        found = group["perplexity"]
        axes.errorbar(
            shares,
            found["mean"],
            yerr=[half or 0 for half in found["interval"]],
            label=f"{group['group']} ({group['domains']} domains)",
            color=GREYS[number % 4],
            linestyle=LINES[number % 4],
            marker=MARKERS[number % 4],
            markersize=4,
            capsize=2,
            linewidth=1.2,
        )
        for seed, by_ratio in zip(values["seeds"], found["by_seed"], strict=True):
            for share, value in zip(shares, by_ratio, strict=True):
                rows.append([group["group"], f"{share:g}", str(seed), repr(value)])
    axes.set_yscale("log")
    axes.set_xlabel("share of synthetic tokens in training, %")
    axes.set_ylabel("held-out token perplexity (macro)")
    axes.set_xticks(shares)
    axes.grid(True, which="both", linewidth=0.3, color="0.85")
    axes.legend(fontsize=7, frameon=False)
    for suffix in (".png", ".pdf"):
        metadata = {"CreationDate": None} if suffix == ".pdf" else {"Software": None}
        with atomic_path(folder / f"perplexity{suffix}") as temporary:
            figure.savefig(temporary, dpi=200, format=suffix[1:], metadata=metadata)
    pyplot.close(figure)
    with atomic_path(folder / "perplexity.csv") as temporary, temporary.open("w") as handle:
        csv.writer(handle, lineterminator="\n").writerows(rows)
    return folder / "perplexity.png"
