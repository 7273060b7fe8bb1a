"""Draw the figures of runs that compare arms from their values alone."""

from pathlib import Path
from typing import Any

from experiments.reports.plots import Curve, Panel, extremes, panels_figure


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
    finding = ""
    for group, (*_, longest) in list(panels.items())[:1]:
        points = zip(longest.x, longest.y, strict=True)
        changes = [f"×{y / longest.y[0]:.2f} at {x:g} %"
                   for x, y in points if x in (25, 100)]  # fmt: skip
        what = f"Perplexity after {longest.label} ({group})"
        finding = f"{what}: {', '.join(changes)} synthetic text"
    return panels_figure(
        folder, "perplexity", human, table, finding=finding, plan=values["plan"], width=4.0
    )


def loss_figure(values: dict[str, Any], folder: Path) -> Path | None:
    """Draw ``loss.png``: training loss by step, a line per arm (figures 7 and 8 of the paper).

    Only for arms that are shares of synthetic text.
    """
    table, curves = [["arm", "step", "loss"]], []
    for arm, ratio in values["ratios"].items():
        points = values["curves"].get(arm)
        if points:
            x, losses = zip(*points, strict=True)
            near = max(1, len(losses) // 100)
            windows = [losses[max(0, i - near) : i + near + 1] for i in range(len(losses))]
            smooth = [sum(window) / len(window) for window in windows]
            curves.append(Curve(f"{100 * ratio:g} % synthetic", x, smooth, plain=True))
            table += [[arm, f"{step:g}", repr(loss)] for step, loss in points]
    if not curves:
        return panels_figure(folder, "loss", [], table)
    finding = f"Training loss ends {extremes({c.label: c.y[-1] for c in curves}, '.2f')}"
    panels = [Panel(curves, "step", "training loss, nats (running mean)")]
    return panels_figure(folder, "loss", panels, table, finding=finding, plan=values["plan"])


def arms_figure(values: dict[str, Any], folder: Path) -> Path | None:
    """Draw ``arms.png``: held-out bits per byte by arm, a panel per group (figure 4A of the paper).

    Only for arms from scratch that are no shares of synthetic text.
    """
    if values["plan"] not in ("pretrain_toedit", "collapse", "selection"):
        return None
    table, panels, findings = [["group", "arm", "seed", "bits_per_byte"]], [], []
    for row in values["rows"]:
        if not row["metric"].startswith("bits per byte, mean"):
            continue
        group, x, y = row["group"], [], []
        levels = {name: level["value"] for name, level in row["arms"].items()}
        findings.append(f"{group}: {extremes(levels, '.4f')}")
        for index, (name, level) in enumerate(row["arms"].items()):
            for seed, bits in zip(values["seeds"], level["by_seed"], strict=True):
                x.append(bits)
                y.append(float(index))
                table.append([group, name, str(seed), repr(bits)])
        points = [Curve("", x, y, points=True)]
        panels.append(Panel(points, "bits per byte", "", group, names=list(row["arms"])))
    finding = f"Mean bits per byte, {'; '.join(findings)}" if findings else ""
    return panels_figure(
        folder, "arms", panels, table, finding=finding, plan=values["plan"], width=3.4
    )
