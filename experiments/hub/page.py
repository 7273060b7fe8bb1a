"""Generate docs/names.md: names outside of this repository, and the definitions of benchmarks."""

from collections import defaultdict
from collections.abc import Iterable

from evals.suites import SUITES, BenchmarkTask
from experiments.config import EvalConfig
from experiments.config.compose import compose
from experiments.config.headers import names
from experiments.hub.names import DATASET, KINDS, Name, known, listed, names_of, of_suite
from experiments.reports.format import cell_text, table
from experiments.reports.pages import GENERATED
from experiments.reports.tables.catalogue import TABLES
from experiments.reports.tables.layout import PAPER

NEWEST = "newest"
FALLBACK = "fallback (conf/mixture)"
OWN_TEXT = "corpus.paths=[FILE]"
"""Stands for a user's own text where an experiment needs one."""

HEADER = ("name", "kind", "revision", "licence", "gated", "used by", "checked by")
COLUMNS = ("column", "tables", "task", "version", "shots", "metric", "filter", "items",
           "known from")  # fmt: skip


def names_page() -> str:
    """The page."""
    day = listed()["checked"]
    parts = [
        "# Names outside of this repository",
        GENERATED,
        f"Data sets, models and addresses that `conf/` and `evals/` name. Checked on {day} against "
        "stored copies of public material, not against the live hub; what is known of each is in "
        "`conf/names.yaml`. A gated name opens after its agreement is accepted on its page, with a "
        f"token (`hf auth login`). Revision {NEWEST}: no commit is fixed. Users are experiments of "
        "`paper/` where nothing else is said.",
        table(HEADER, [_row(*item) for item in sorted(uses().items(), key=_order)]),
        "## What the columns of the paper's tables are",
        "Logs are those in the history of the authors' repository, by commit. Numbers of ours "
        "stand in the same column only under the same task, metric and filter.",
        table(COLUMNS, [_column(task, where) for task, where in columns().items()]),
    ]
    return "\n\n".join(parts) + "\n"


def uses() -> dict[Name, list[str]]:
    """Every name with the experiments that load it, else the suites, else what it is for."""
    found: dict[tuple[str, str, str | None], tuple[Name, list[str]]] = {}

    def add(loaded: Iterable[Name], user: str) -> None:
        for name in loaded:
            key = (name.kind, name.name, name.revision)
            found.setdefault(key, (name, []))[1].append(user)

    for experiment in names():
        add(names_of(compose([f"+exp={experiment}", OWN_TEXT])), experiment)
    for suite in SUITES:
        new = [n for n in of_suite(EvalConfig(suite)) if (n.kind, n.name, n.revision) not in found]
        add(dict.fromkeys(new), f"eval={suite}")
    for kind, name in known().keys() - {key[:2] for key in found}:
        add([Name(kind, name, None, "", **known()[kind, name])], FALLBACK)
    return dict(found.values())


def _order(item: tuple[Name, list[str]]) -> tuple[int, str]:
    return KINDS.index(item[0].kind), item[0].name.lower()


def _row(name: Name, users: list[str]) -> list[str]:
    revision = name.revision[:12] if name.revision else NEWEST
    gated = {True: "yes", False: "no", None: "not known"}[name.gated]
    cells = (
        _link(name), name.kind, "" if name.kind not in (DATASET, "model") else revision,
        name.licence or "not known", gated, ", ".join(u.removeprefix("paper/") for u in users),
        name.how or "not checked",
    )  # fmt: skip
    return [cell_text(cell) for cell in cells]


def _link(name: Name) -> str:
    if name.kind not in (DATASET, "model"):
        return f"<{name.name}>"
    place = "datasets/" if name.kind == DATASET else ""
    return f"[{name.name}](https://huggingface.co/{place}{name.name})"


def columns() -> dict[BenchmarkTask, list[str]]:
    """The benchmarks of the paper's scale with the tables and printed columns that they fill."""
    found: defaultdict[BenchmarkTask, dict[str, None]] = defaultdict(dict)
    for number, layout in TABLES.items():
        for block in layout.blocks:
            for column in block.columns:
                task = column.metric.benchmark
                if block.scale == PAPER and task is not None:
                    printed = column.printed or "not printed"
                    found[task][f"{number} ({printed})"] = None
    return {task: list(where) for task, where in found.items()}


def _column(task: BenchmarkTask, where: list[str]) -> list[str]:
    version = "none" if task.version is None else f"{task.version:g}"
    cells = (task.label, ", ".join(where), task.name, version, str(task.shots), task.metric,
             task.filter, f"{task.items:,}", task.known_from)  # fmt: skip
    return [cell_text(cell) for cell in cells]
