"""What came out of a sweep: a table of its jobs, the history of a search, a run of the tracker."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from experiments.analysis.levels import over_seeds
from experiments.analysis.verdicts import correct
from experiments.config import TrackerConfig
from experiments.config.compose import sweep_jobs
from experiments.provenance import without_home
from experiments.reports.format import cell_text, p_text, table
from experiments.reports.plots import Curve, curves_figure, write_csv
from experiments.stage import digest
from experiments.store.runs import typed
from experiments.sweeps.job import (
    CACHED,
    DONE,
    FAILED,
    INTERRUPTED,
    LOST,
    PLANNED,
    SUBMITTED,
    WAITING,
    Note,
    notes,
)
from experiments.tracking import RunSpec, start_run
from toedit.corpora.files import atomic_path

ORDER = (DONE, CACHED, FAILED, LOST, INTERRUPTED, SUBMITTED, WAITING, PLANNED)
"""In which states are counted."""
BAD = (FAILED, LOST, INTERRUPTED, WAITING)
SUMMARY, HISTORY = "summary.md", "history"


def write_summary(folder: Path, words: Sequence[str]) -> int:
    """Prints and writes the summary of a sweep that has ended.

    Args:
        folder: of the sweep.
        words: the command line.

    Returns:
        The exit code: 0; 1 where a job has no result; 75 where one went to a scheduler.
    """
    found = notes(folder, sweep_jobs(folder))
    if not any(note.state != WAITING for note in found):
        return 1
    text = markdown(folder.name, found, words)
    if all(note.state == PLANNED for note in found):
        print(f"\n{text}")
        return 0
    with atomic_path(folder / SUMMARY) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten to {folder / SUMMARY}")
    if any(note.value is not None for note in found):
        history(found, folder)
    log(folder, found, words)
    states = {note.state for note in found}
    return 1 if states & set(BAD) else 75 if SUBMITTED in states else 0


def best(found: Sequence[Note]) -> Note | None:
    """The job with the best value of the objective, the first of equals."""
    valued = [note for note in found if note.objective and note.value is not None]
    if not valued:
        return None
    return min(valued, key=lambda note: (-1 if note.maximise else 1) * (note.value or 0.0))


def rows(found: Sequence[Note]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: a job each, with the settings in which jobs differ."""
    names = list(dict.fromkeys(name for note in found for name in note.settings))
    differing = [n for n in names if len({note.settings.get(n) for note in found}) > 1]
    objective = next((note.objective for note in found if note.objective), None)
    header = ["job", *differing, "state", "seconds", *([objective] if objective else []), "what"]
    body = []
    for note in found:
        value = [] if objective is None else ["" if note.value is None else f"{note.value:.6g}"]
        log = f" (log: {note.log})" if note.log and note.state in BAD else ""
        what = f"{note.reason}{log}" if note.reason else note.report
        settings = [note.settings.get(name, "") for name in differing]
        seconds = "" if note.state in (WAITING, LOST) else f"{note.seconds:.0f}"
        cells = [str(note.number), *settings, note.state, seconds, *value, what]
        body.append([cell_text(cell) for cell in cells])
    return header, body


def markdown(name: str, found: Sequence[Note], words: Sequence[str]) -> str:
    """The summary as a page of Markdown."""
    counts = Counter(note.state for note in found)
    told = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])
    parts = [f"# Sweep {name}", f"`{typed(['run.py', *words])}`"]
    parts += [f"{len(found)} jobs: {told}.", table(*rows(found))]
    compared = settings(found)
    if compared:
        parts += ["## Settings, over seeds", table(COMPARED, compared), OVER_SEEDS]
    chosen = best(found)
    if chosen is not None:
        what = "Largest" if chosen.maximise else "Smallest"
        parts.append(
            f"{what} {chosen.objective}: job {chosen.number}, {chosen.value:.6g}."
            + (f" {ONE_SEED}" if _one_seed(found) else "")
        )
    if counts[SUBMITTED]:
        parts.append("When the scheduler is done the same command continues.")
    if any(counts[state] for state in BAD):
        parts.append("The same command again runs only what is missing.")
    return "\n\n".join(parts) + "\n"


COMPARED = ["setting", "seeds", "mean", "minus the first [95 %]", "over", "p", "p, Holm"]
ONE_SEED = "Settings with one seed are not compared: another seed may put another first."
OVER_SEEDS = "Intervals and p are Student's over the seeds that a setting shares with the first."

Setting = tuple[tuple[str, str], ...]


def by_setting(found: Sequence[Note]) -> dict[Setting, dict[str, float]]:
    """Values of the objective by setting and seed."""
    valued = [note for note in found if note.objective and note.value is not None]
    names = dict.fromkeys(name for note in valued for name in note.settings if name != "seed")
    differing = [n for n in names if len({note.settings.get(n) for note in valued}) > 1]
    groups: dict[Setting, dict[str, float]] = {}
    for note in valued:
        setting = tuple((n, note.settings.get(n, "default")) for n in differing)
        seed = note.settings.get("seed", note.settings.get("seeds", ""))
        groups.setdefault(setting, {})[seed] = note.value or 0.0
    return groups


def _one_seed(found: Sequence[Note]) -> bool:
    """Whether settings differ, and some was run with a single seed."""
    groups = by_setting(found)
    single = (len(own) < 2 and "," not in next(iter(own)) for own in groups.values())
    return len(groups) > 1 and any(single)


def settings(found: Sequence[Note]) -> list[list[str]]:
    """Settings that were run with several seeds, each against the first, by :data:`COMPARED`."""
    groups = {named: own for named, own in by_setting(found).items() if len(own) > 1}
    if len(groups) < 2:
        return []
    first, *others = groups.values()
    paired = [[own[seed] - first[seed] for seed in own if seed in first] for own in others]
    changes = [over_seeds(values, "") if values else None for values in paired]
    tested = [own.p for own in changes if own is not None and own.p is not None]
    corrected = iter(correct(tested))
    told = [["", "", "", ""]]
    for values, own in zip(paired, changes, strict=True):
        if own is None:
            told.append(["no seed in common", "0", "", ""])
            continue
        ends = "" if own.low is None else f" [{own.low:+.4g}, {own.high:+.4g}]"
        holm = None if own.p is None else next(corrected)
        told.append([f"{own.value:+.4g}{ends}", str(len(values)), p_text(own.p), p_text(holm)])
    return [
        [cell_text(", ".join(f"{key}={value}" for key, value in names)), str(len(own)),
         f"{sum(own.values()) / len(own):.6g}", *cells]
        for (names, own), cells in zip(groups.items(), told, strict=True)
    ]  # fmt: skip


def history(found: Sequence[Note], folder: Path) -> Path:
    """Draws the values of a search job by job, and the best so far."""
    valued = [note for note in found if note.value is not None]
    numbers = [float(note.number) for note in valued]
    values = [note.value or 0.0 for note in valued]
    so_far = [(best(valued[: n + 1]) or valued[0]).value or 0.0 for n in range(len(valued))]
    label = next(note.objective or "" for note in valued)
    told = [
        [str(note.number), repr(value), repr(least)]
        for note, value, least in zip(valued, values, so_far, strict=True)
    ]
    write_csv(folder / f"{HISTORY}.csv", [["job", label, "best so far"], *told])
    curves = [
        Curve("a job", numbers, values, points=True),
        Curve("best so far", numbers, so_far, bare="-"),
    ]
    return curves_figure(folder, HISTORY, curves, "job", label)


def log(folder: Path, found: Sequence[Note], words: Sequence[str]) -> None:
    """One run of the tracker for the sweep, beside those of its arms: the table of all jobs."""
    first = next((note for note in found if note.tracker), None)
    if first is None:
        return
    header, body = rows(found)
    reports = [without_home(note.report) for note in found]
    spec = RunSpec(
        f"sweep-{folder.name.rpartition('-')[2]}-{digest([header, body])[:6]}",
        folder.name,
        first.experiment,
        "sweep",
        {"command": typed(["run.py", *words]), "reports": reports},
    )
    run = start_run(TrackerConfig(**first.tracker), spec, folder.parents[1] / "wandb")
    run.table("jobs", header, body)
    counts = Counter(note.state for note in found)
    chosen = best(found)
    values: dict[str, float] = {f"jobs/{state}": number for state, number in counts.items()}
    if chosen is not None:
        values |= {"best/job": chosen.number, "best/value": chosen.value or 0.0}
    run.summary(values)
    run.finish(failed=any(note.state in BAD for note in found))
