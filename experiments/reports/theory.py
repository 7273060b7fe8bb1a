"""Report on the theory of section 4: curves, and a verdict on every published statement."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config import Config
from experiments.reports.format import table
from experiments.reports.plots import Curve, Panel, extremes, panels_figure
from experiments.stage import Stage
from experiments.stages import simulate
from experiments.stages.simulate import BOUND, EXACT, LIMIT, MEASURED, PAPER
from experiments.store import Store
from toedit.corpora.files import load_table
from toedit.theory import closed_forms as forms
from toedit.theory.procedure import Schedule
from toedit.theory.recursion import expected

UNIT = "test error, in units of $\\sigma^2 d/(T-d-1)$"
BARS = 1.96


def results(
    config: Config, stages: list[Stage], records: dict[str, dict[str, Any]], store: Store
) -> dict[str, Any]:
    """Compute everything the report shows, as plain values."""
    theory = config.theory
    return {
        "experiment": config.name,
        "note": config.note,
        "rows": theory.rows,
        "features": theory.features,
        "draws": theory.draws,
        "generations": theory.generations,
        "seed": config.seed,
        "curves": load_table(store.folder(stages[0]) / simulate.TABLE).to_pylist(),
        "verdicts": verdicts(theory.rows, theory.features),
        "stages": {store.label(s): records[f"{s.kind}/{s.name}"]["seconds"] for s in stages},
    }


def verdicts(rows: int, features: int) -> list[dict[str, str]]:
    """Judge each published statement by numbers for T ``rows`` and d ``features``.

    Returns:
        Statement, whether it holds, where it holds, the numbers, and what holds instead.
    """

    def model(number: int, schedule: Schedule, size: tuple[int, int] = (rows, features)) -> float:
        return float(expected(*size, schedule, number, 16)[:, -1].mean())

    share = round(0.5 * rows) / rows
    half = forms.one_edit(share, rows, features)
    most = max(forms.one_edit(n / rows, rows, features) for n in range(rows + 1))
    collapsed = model(10, Schedule("collapse"))
    halves, quarters = model(3, Schedule("disjoint", 0.5)), model(5, Schedule("disjoint", 0.25))
    ten, twenty = (model(n, Schedule("random", 0.3)) for n in (11, 21))
    fading = model(21, Schedule("random", 0.3, 0.5))
    bound = forms.geometric_bound(rows, features, 0.3, 0.5) if rows >= features + 4 else None
    small = (40, 30)
    half_fixed = [model(n, Schedule("fixed", 0.5), small) for n in (20, 60)]
    two = forms.THEOREM_2
    return [
        _verdict(
            "Collapse: replacing all labels, the n-th model has error n",
            abs(collapsed - 10) < 1e-6, "exactly, for every T >= d + 2",
            f"tenth model: {collapsed:.3f}", "collapsed",
        ),
        _verdict(
            "Theorem 1: after disjoint edits the error is 1 + sum f",
            abs(half - forms.theorem_1([share])) < 1e-6, "masks of all rows or none",
            f"one edit of half of the rows: {half:.3f}, not {forms.theorem_1([share]):.3g}",
            "one_edit; exact for any masks that do not depend on labels",
        ),
        _verdict(
            "Theorem 2: the error is at most 2, one edit", most <= two + 1e-9,
            "every share and every T >= d + 2", f"largest over all shares: {most:.3f}",
            "one_edit, whose maximum 2 is full editing",
        ),
        _verdict(
            "Theorem 2: the error is at most 2, disjoint edits", max(halves, quarters) <= two,
            "shares that add up to at most ln 1.5 = 0.405 (limit d/T -> 0)",
            f"two edits of half of the rows: {halves:.3f}; four of a quarter: {quarters:.3f}",
            f"less than 2e - 1 = {forms.SUPREMUM:.3f} (limit d/T -> 0)",
        ),
        _verdict(
            "The same for random masks, which overlap: not covered by the theorem",
            max(ten, twenty) <= two, "sum f(2 - f) <= 1",
            f"edits of 0.3 of the rows: {ten:.3f} after ten, {twenty:.3f} after twenty",
            "at most 1 + sum f(2 - f) for every T >= d + 2; a constant share collapses slowly",
        ),
        _verdict(
            "Shrinking masks: the error stays below the geometric bound, T >= d + 2",
            None if bound is None else fading <= bound,
            "the mean of tr (X'X)^-2 exists: T >= d + 4",
            f"random share 0.3 halved every time: {fading:.3f}, bound "
            + ("none" if bound is None else f"{bound:.3f}"),
            f"at most 1 + 2f/(1-r) - f^2/(1-r^2) = {forms.geometric_limit(0.3, 0.5):.3f}, "
            "random masks, every T >= d + 2",
        ),
        _verdict(
            "Rows that are never edited bound the error (not in the paper)",
            half_fixed[-1] <= 4, "a share a of them: at most 1/a^2 in the limit d/T -> 0",
            f"T={small[0]}, d={small[1]}, the same half edited: {half_fixed[0]:.1f} in model 20, "
            f"{half_fixed[1]:.1f} in model 60",
            "at finite T only where a T >= d: fewer rows do not span the features",
        ),
    ]  # fmt: skip


def _verdict(
    statement: str, holds: bool | None, where: str, numbers: str, instead: str
) -> dict[str, str]:
    verdict = {True: "holds", False: "fails", None: "says nothing here"}[holds]
    return {"statement": statement, "as stated": verdict, "holds where": where, "numbers": numbers,
            "what holds": instead}  # fmt: skip


def _select(values: dict[str, Any], part: str, name: str, source: str) -> list[dict[str, Any]]:
    return [row for row in values["curves"]
            if (row["part"], row["name"], row["source"]) == (part, name, source)]  # fmt: skip


def _names(values: dict[str, Any], part: str) -> list[str]:
    return list(dict.fromkeys(row["name"] for row in values["curves"] if row["part"] == part))


def markdown(values: dict[str, Any]) -> str:
    """Write the results as a page of Markdown."""
    part, last = simulate.BY_GENERATION, values["generations"]
    rows = []
    for name in _names(values, part):
        cells = []
        for source in (MEASURED, EXACT, LIMIT, PAPER, BOUND):
            ends = [row for row in _select(values, part, name, source) if row["x"] == last]
            error = f" ± {BARS * ends[0]['stderr']:.3f}" if ends and source == MEASURED else ""
            cells.append(f"{ends[0]['value']:.3f}{error}" if ends else "")
        shares = _select(values, simulate.EDITED, name, MEASURED)
        cells.append(f"{100 * np.mean([row['value'] for row in shares]):.1f}" if shares else "")
        rows.append([name, *cells])
    header = [f"schedule, model {last}", MEASURED, EXACT, LIMIT, PAPER, BOUND, "rows edited, %"]
    parts = [
        f"# {values['experiment']}, T = {values['rows']}, d = {values['features']}",
        table(header, rows),
        table(list(values["verdicts"][0]), [list(row.values()) for row in values["verdicts"]]),
        f"Errors in units of sigma^2 d/(T-d-1). Monte Carlo: {values['draws']} draws of the "
        "procedure as written, ± 1.96 standard errors. Exact: covariance recursion, mean over "
        "32 draws of the directions of X (masks that do not depend on labels). Theorem 1 stands "
        "where its assumption holds. All schedules share the draws of X and noise.",
        values["note"],
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


STYLES = {EXACT: ":", LIMIT: ":", PAPER: "--", BOUND: "-."}
LEVELS = (("paper, Theorem 2: 2", forms.THEOREM_2), ("supremum 2e - 1: 4.44", forms.SUPREMUM))


def _draw(
    stem: str,
    part: str,
    x: str,
    sources: tuple[str, ...],
    values: dict[str, Any],
    folder: Path,
    y: str = UNIT,
    log: bool = False,
    what: str = "Error",
    peak: bool = False,
    only: str = "",
    levels: tuple[tuple[str, float], ...] = (),
) -> Path | None:
    """Draw the curves of a part of the simulation as ``STEM.png``; ``x`` and ``y`` are axis labels.

    Args:
        sources: sources of the points in this order, the first one with markers.
        what: the quantity that the title names.
        peak: whether the title names the largest values, else the last ones.
        only: a source that a curve must have to be drawn; empty for all curves.
        levels: labelled horizontal lines.
    """
    curves: list[Curve] = []
    shown: dict[str, float] = {}
    rows = [["name", "source", "x", "value", "stderr"]]
    for name in _names(values, part):
        present = [source for source in sources if _select(values, part, name, source)]
        if only and only not in present:
            continue
        for source in present:
            points = _select(values, part, name, source)
            xs, ys, errors = ([point[k] for point in points] for k in ("x", "value", "stderr"))
            bars = [BARS * error for error in errors] if source == MEASURED else None
            label, style = name if source == sources[0] else f"{name}, {source}", ""
            if source == present[0]:
                shown[name] = max(ys) if peak else ys[-1]
            if source != present[0]:
                label, style = "" if source == EXACT else label, STYLES[source]
            curves.append(Curve(label, xs, ys, bars, style))
            rows += [[name, source, *map(repr, row)] for row in zip(xs, ys, errors, strict=True)]
    if not curves:
        return None
    ends = [min(min(c.x) for c in curves), max(max(c.x) for c in curves)]
    at = "" if peak else f" at {x} {ends[1]:g}"
    finding = "; ".join([f"{what}{at}: {extremes(shown)}", *(name for name, _ in levels)])
    caption = f"Markers: {sources[0]}{'; dotted: exact' if EXACT in sources[1:] else ''}."
    curves += [Curve(name, ends, [level] * 2, None, "-") for name, level in levels]
    panel = Panel(curves, x, y, log_y=log)
    return panels_figure(folder, stem, [panel], rows, caption, finding, "theory")


FIGURES = (
    partial(_draw, "generations", simulate.BY_GENERATION, "model", (MEASURED, EXACT), log=True),
    partial(_draw, "bounds", simulate.BY_GENERATION, "model", (MEASURED, EXACT, PAPER, BOUND),
            log=True, only=BOUND, levels=LEVELS),
    partial(_draw, "share", simulate.BY_SHARE, "share of rows edited",
            (MEASURED, EXACT, LIMIT, PAPER), what="Largest error", peak=True),
    partial(_draw, "growth", simulate.BY_EDITS, "model", (EXACT, LIMIT), log=True),
    partial(_draw, "ratio", simulate.BY_RATIO, "d/T", (MEASURED, EXACT)),
    partial(_draw, "edited", simulate.EDITED, "edit", (MEASURED,), y="share of rows edited",
            what="Share of rows edited"),
)  # fmt: skip
