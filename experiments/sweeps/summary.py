"""Summarize a sweep: a table of its jobs, the history of a search, a run of the tracker."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from experiments.analysis.levels import over_seeds
from experiments.analysis.verdicts import correct
from experiments.config import TrackerConfig
from experiments.config.compose import sweep_jobs
from experiments.costs.report import duration
from experiments.provenance import recorded, shell
from experiments.reports.format import cell_text, p_text, table
from experiments.reports.plots import Curve, Panel, panels_figure
from experiments.store.runs import typed
from experiments.sweeps.job import SUMMARY, JobStatus, State, job_statuses
from experiments.sweeps.study import STUDY_FILE, write_importance
from experiments.tracking import RunSpec, start_run
from toedit import terminal
from toedit.corpora.files import atomic_path
from toedit.layout import plain, terminal_width
from toedit.redaction import published

BAD = {State.FAILED, State.LOST, State.INTERRUPTED, State.WAITING}
HISTORY = "history"


def write_summary(folder: Path, words: Sequence[str]) -> int:
    """Print and write the summary of a sweep that has ended.

    Args:
        folder: of the sweep.
        words: the command line.

    Returns:
        The exit code: 0; 1 where a job has no result; 75 where one went to a scheduler.
    """
    jobs = job_statuses(folder, sweep_jobs(folder))
    states = {job.state for job in jobs}
    if states <= {State.WAITING}:
        return 1
    search = (folder / STUDY_FILE).exists() and states != {State.PLANNED}
    shares = write_importance(folder) if search else {}
    text = published(markdown(folder.name, jobs, words, shares))
    if states == {State.PLANNED}:
        terminal.show(f"\n{plain(text, terminal_width())}")
        return 0
    with atomic_path(folder / SUMMARY) as temporary:
        temporary.write_text(text, encoding="utf-8")
    terminal.show(f"\n{plain(text, terminal_width())}\n")
    print(f"written to {folder / SUMMARY}")
    if any(job.value is not None for job in jobs):
        history(jobs, folder)
    log(folder, jobs, words)
    return 1 if states & BAD else 75 if State.SUBMITTED in states else 0


def _valued(jobs: Sequence[JobStatus]) -> list[JobStatus]:
    """Jobs with a value of the objective."""
    return [job for job in jobs if job.objective and job.value is not None]


def best(jobs: Sequence[JobStatus]) -> JobStatus | None:
    """The job with the best value of the objective, the first of ties."""

    def loss(job: JobStatus) -> float:
        return (job.value or 0.0) * (-1 if job.maximise else 1)

    return min(_valued(jobs), key=loss, default=None)


def _varied(jobs: Sequence[JobStatus]) -> list[str]:
    """Settings in which jobs differ."""
    names = dict.fromkeys(name for job in jobs for name in job.settings)
    return [name for name in names if len({job.settings.get(name) for job in jobs}) > 1]


def rows(jobs: Sequence[JobStatus]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of jobs: settings in which they differ, objective or metrics."""
    varied = _varied(jobs)
    objective = next((job.objective for job in jobs if job.objective), None)
    metrics = [] if objective else list(dict.fromkeys(name for job in jobs for name in job.metrics))
    shown = [objective] if objective else metrics
    header = ["job", *varied, "state", "seconds", *shown, "what"]
    body = []
    for job in jobs:
        numbers = [job.value] if objective else [job.metrics.get(name) for name in metrics]
        values = ["" if number is None else f"{number:.6g}" for number in numbers]
        log = f" (log: {job.log})" if job.log and job.state in BAD else ""
        what = f"{job.reason}{log}" if job.reason else job.report
        settings = [job.settings.get(name, "") for name in varied]
        seconds = "" if job.state in (State.WAITING, State.LOST) else f"{job.seconds:.0f}"
        cells = [str(job.number), *settings, job.state, seconds, *values, what]
        body.append([cell_text(cell) for cell in cells])
    return header, body


def markdown(
    name: str,
    jobs: Sequence[JobStatus],
    words: Sequence[str],
    importance: Mapping[str, float] | None = None,
) -> str:
    """The summary as a page of Markdown, with the importance of parameters of a search."""
    counts = Counter(job.state for job in jobs)
    states = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    parts = [f"# Sweep {name}", f"`{shell(recorded(['run.py', *words]))}`"]
    parts += [f"{len(jobs)} jobs: {states}.", table(*rows(jobs))]
    stages = {label: seconds for job in jobs for label, seconds in job.planned.items()}
    if stages:
        total = duration(sum(stages.values()))
        parts.append(f"To compute: {len(stages)} stages, each once, in {total} one after another.")
    compared = settings(jobs)
    if compared:
        parts += ["## Settings, over seeds", table(COMPARED, compared), OVER_SEEDS]
    chosen = best(jobs)
    if chosen is not None:
        what = "Largest" if chosen.maximise else "Smallest"
        parts.append(
            f"{what} {chosen.objective}: job {chosen.number}, {chosen.value:.6g}."
            + (f" {ONE_SEED}" if _one_seed(jobs) else "")
        )
    if importance:
        body = [[cell_text(field), f"{share:.2f}"] for field, share in importance.items()]
        parts += ["## Importance", table(["field", "share of variance (fANOVA)"], body)]
    if counts[State.SUBMITTED]:
        parts.append("When the scheduler is done the same command continues.")
    if any(counts[state] for state in BAD):
        parts.append("The same command again runs only what is missing.")
    return "\n\n".join(parts) + "\n"


COMPARED = ["setting", "seeds", "mean", "minus the first [95 %]", "over", "p", "p, Holm"]
ONE_SEED = "Settings with one seed are not compared: another seed may put another first."
OVER_SEEDS = "Intervals and p are Student's over the seeds that a setting shares with the first."


def by_setting(jobs: Sequence[JobStatus]) -> dict[str, dict[str, float]]:
    """Values of the objective by setting (``field=value, ...``) and seed."""
    valued = _valued(jobs)
    names = [name for name in _varied(valued) if name != "seed"]
    groups: dict[str, dict[str, float]] = {}
    for job in valued:
        setting = ", ".join(f"{name}={job.settings.get(name, 'default')}" for name in names)
        seed = job.settings.get("seed", job.settings.get("seeds", ""))
        groups.setdefault(setting, {})[seed] = job.value or 0.0
    return groups


def _one_seed(jobs: Sequence[JobStatus]) -> bool:
    """Whether settings differ, and some was run with a single seed."""
    groups = by_setting(jobs)
    single = (len(values) < 2 and "," not in next(iter(values)) for values in groups.values())
    return len(groups) > 1 and any(single)


def settings(jobs: Sequence[JobStatus]) -> list[list[str]]:
    """Rows of :data:`COMPARED`: settings with several seeds, each against the first."""
    groups = {setting: values for setting, values in by_setting(jobs).items() if len(values) > 1}
    if len(groups) < 2:
        return []
    first, *others = groups.values()
    differences = [[values[s] - first[s] for s in values if s in first] for values in others]
    estimates = [over_seeds(values, "") if values else None for values in differences]
    p_values = [estimate.p for estimate in estimates if estimate is not None]
    corrected = iter(correct([p for p in p_values if p is not None]))
    comparisons = [["", "", "", ""]]
    for values, estimate in zip(differences, estimates, strict=True):
        if estimate is None:
            comparisons.append(["no seed in common", "0", "", ""])
            continue
        ends = "" if estimate.low is None else f" [{estimate.low:+.4g}, {estimate.high:+.4g}]"
        holm = None if estimate.p is None else next(corrected)
        comparisons.append(
            [f"{estimate.value:+.4g}{ends}", str(len(values)), p_text(estimate.p), p_text(holm)]
        )
    return [
        [cell_text(setting), str(len(values)), f"{sum(values.values()) / len(values):.6g}", *cells]
        for (setting, values), cells in zip(groups.items(), comparisons, strict=True)
    ]


def history(jobs: Sequence[JobStatus], folder: Path) -> None:
    """Plot the values of a search job by job, and the best so far."""
    valued = [(job, job.value) for job in jobs if job.value is not None]
    numbers = [float(job.number) for job, _ in valued]
    values = [value for _, value in valued]
    so_far = list(accumulate(values, max if valued[0][0].maximise else min))
    label = valued[0][0].objective or ""
    lines = [
        [str(job.number), repr(value), repr(best_value)]
        for (job, value), best_value in zip(valued, so_far, strict=True)
    ]
    curves = [
        Curve("a job", numbers, values, points=True),
        Curve("best so far", numbers, so_far, bare="-"),
    ]
    rows = [["job", label, "best so far"], *lines]
    finding = f"Best {label}: {so_far[-1]:.6g}, in job {numbers[values.index(so_far[-1])]:g}"
    panels_figure(folder, HISTORY, [Panel(curves, "job", label)], rows, finding=finding)


def log(folder: Path, jobs: Sequence[JobStatus], words: Sequence[str]) -> None:
    """Log the table of jobs as one run of the tracker, next to the runs of the arms."""
    first = next((job for job in jobs if job.tracker), None)
    if first is None:
        return
    header, body = rows(jobs)
    spec = RunSpec(
        f"sweep-{folder.name.rpartition('-')[2]}",
        folder.name,
        first.experiment,
        "sweep",
        {
            "command": typed(recorded(["run.py", *words])),
            "reports": [job.report for job in jobs],
        },
        continued=True,
    )
    run = start_run(TrackerConfig(**first.tracker), spec, folder.parents[1] / "wandb")
    run.table("jobs", header, body)
    counts = Counter(job.state for job in jobs)
    values: dict[str, float] = {f"jobs/{state}": number for state, number in counts.items()}
    chosen = best(jobs)
    if chosen is not None:
        values |= {"best/job": chosen.number, "best/value": chosen.value or 0.0}
    run.summary(values)
    run.finish(failed=any(job.state in BAD for job in jobs))
