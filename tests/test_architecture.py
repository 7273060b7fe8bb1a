"""The floors: imports point downward only, and each vendor has one door."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS = [
    ("toedit", 0),
    ("evals", 1),
    ("experiments/config/compose.py", 5),
    ("experiments/config", 2),
    ("experiments/costs/estimate.py", 4),
    ("experiments/costs/report.py", 4),
    ("experiments/costs/remaining.py", 4),
    ("experiments/costs/quoted.py", 5),
    ("experiments/costs", 2),
    ("experiments/stage.py", 2),
    ("experiments/provenance.py", 2),
    ("experiments/store", 2),
    ("experiments/tracking.py", 2),
    ("experiments/__init__.py", 2),
    ("experiments/analysis", 2),
    ("experiments/training", 3),
    ("experiments/stages", 3),
    ("experiments/hub/page.py", 5),
    ("experiments/hub/check.py", 5),
    ("experiments/hub", 4),
    ("experiments/plans", 4),
    ("experiments/statistics", 4),
    ("experiments/reports", 4),
    ("experiments/rehearsal", 4),
    ("experiments/runner.py", 4),
    ("experiments/sweeps", 5),
    ("experiments/run.py", 5),
    ("experiments/tables.py", 5),
    ("experiments/bench", 5),
    ("hydra_plugins", 5),
]

DOORS = {
    "hydra": {
        "experiments/run.py",
        "experiments/config/compose.py",
        "experiments/sweeps/slurm.py",
        "hydra_plugins/",
    },
    "omegaconf": {"experiments/config/compose.py", "hydra_plugins/"},
    "optuna": {"experiments/sweeps/study.py"},
    "wandb": {"experiments/tracking.py"},
    "lm_eval": {
        "evals/harness.py",
        "evals/language_models.py",
        "evals/own_tasks.py",
        "experiments/bench/evaluation.py",
    },
    "datatrove": {"toedit/pipeline/", "toedit/engines/"},
    "ray": {"toedit/engines/executors.py"},
    "peft": {"experiments/training/model.py"},
    "rich": {"toedit/progress.py", "toedit/terminal.py"},
    "jinja2": {"experiments/reports/page/__init__.py", "experiments/training/chat.py"},
}


def sources() -> list[Path]:
    folders = ("toedit", "evals", "experiments", "hydra_plugins")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def floor(module_path: str) -> int:
    found = [level for prefix, level in FLOORS if module_path.startswith(prefix)]
    assert found, f"{module_path} is on no floor: add it to FLOORS"
    return found[0]


def imports(path: Path) -> Iterator[str]:
    """Dotted names a file imports, ``from a import b`` as both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(name: str) -> str | None:
    """The path of one of our own modules, None for anything else."""
    path = ROOT / name.replace(".", "/")
    if path.with_suffix(".py").is_file():
        return str(path.with_suffix(".py").relative_to(ROOT))
    if (path / "__init__.py").is_file():
        return str((path / "__init__.py").relative_to(ROOT))
    return None


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downward(path):
    own = str(path.relative_to(ROOT))
    for name in imports(path):
        target = place(name)
        if target is not None and target != own:
            assert floor(target) <= floor(own), f"{own} imports {target}, which is above it"


def test_every_vendor_has_one_door():
    for path in sources():
        own = str(path.relative_to(ROOT))
        for name in imports(path):
            vendor = name.partition(".")[0]
            doors = tuple(DOORS.get(vendor, {own}))
            assert own.startswith(doors), f"{own} imports {vendor}"


def test_reports_lay_out_and_compute_no_statistic():
    """Numbers are compared in ``experiments/analysis`` alone."""
    for path in (ROOT / "experiments" / "reports").rglob("*.py"):
        text = path.read_text()
        for name in imports(path):
            assert not name.startswith(("numpy.random", "scipy", "statistics", "statsmodels")), path
        assert not re.search(r"np\.random|default_rng|\.std\(|\.var\(|np\.quantile", text), path


def test_no_circular_imports():
    graph = {
        str(path.relative_to(ROOT)): {p for p in map(place, imports(path)) if p}
        for path in sources()
    }
    done: set[str] = set()

    def visit(node: str, trail: tuple[str, ...]) -> None:
        assert node not in trail, " -> ".join([*trail, node])
        if node not in done:
            for target in graph[node] - {node}:
                visit(target, (*trail, node))
            done.add(node)

    for node in graph:
        visit(node, ())


def test_no_unsafe_calls():
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                own = f"{path.relative_to(ROOT)}:{node.lineno}"
                bare_eval = name in ("eval", "exec") and isinstance(node.func, ast.Name)
                assert not bare_eval, own
                for keyword in node.keywords:
                    refused = isinstance(keyword.value, ast.Constant) and not keyword.value.value
                    unsafe = keyword.arg in ("trust_remote_code", "shell", "allow_pickle")
                    assert refused or not unsafe, own
        assert "pickle" not in {name.partition(".")[0] for name in imports(path)}, path


FORBIDDEN = {
    "pickles": r"\bpickle\.|joblib\.load|torch\.load\(|pytorch_model|allow_pickle=True",
    "shell strings": r"os\.system|os\.popen|shell=True|subprocess\.getoutput",
    "code of a checkpoint": r"trust_remote_code(?!=False|\": \")",  # or a reason to refuse it
    "code from text": r"(?<![\w.\"'])(eval|exec)\(|yaml\.load\(",
    "secrets": r"(?i)(api_key|hf_token|password)\s*=\s*[\"'][^\"']+[\"']|hf_[A-Za-z]{20,}",
    "home folders": r"/(home|root|Users)/\w",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_of_the_project_holds(what):
    suffixes = {".py", ".yaml", ".yml", ".toml", ".md", ".txt", ".cff"}
    files = [path for folder in ("toedit", "evals", "experiments", "hydra_plugins", "conf", "docs")
             for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]  # fmt: skip
    files += [path for path in ROOT.iterdir() if path.suffix in suffixes]
    assert len(files) > 80
    for path in [*files, ROOT / "Makefile", ROOT / ".ci" / "run"]:
        found = re.search(FORBIDDEN[what], path.read_text())
        assert not found, f"{path.relative_to(ROOT)}: {found[0]}"


@pytest.mark.parametrize(
    ("what", "sample"),
    [
        ("pickles", "torch.load(path)"),
        ("shell strings", "run(line, shell=True)"),
        ("code of a checkpoint", "load(trust_remote_code=True)"),
        ("code from text", "x = eval(text)"),
        ("secrets", "api_key = 'abc'"),
        ("home folders", "/home/me/x"),
    ],
)
def test_the_search_above_finds_what_it_looks_for(what, sample):
    assert re.search(FORBIDDEN[what], sample)


@pytest.mark.parametrize(
    "statement",
    [
        "import experiments.config, experiments.plans.train_on_edits",
        "from experiments.config.compose import compose; compose(['+exp=cpt_bio'])",
        "import experiments.reports.report, experiments.reports.arms, experiments.costs.report",
        "import toedit; from toedit.__main__ import parser; parser()",
    ],
)
def test_composing_and_planning_import_no_torch(statement):
    code = f"import sys; {statement}; sys.exit('torch' in sys.modules or 'wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
