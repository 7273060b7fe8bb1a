"""The command in a run and in its records runs again when it is pasted into a shell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import provenance, run

ROOT = Path(__file__).resolve().parents[2]

SMALL = ["+exp=theory", "tracker=none", "theory.draws=2", "theory.rows=20", "theory.features=2",
         "theory.generations=2", "theory.schedules=[{kind: collapse}]"]  # fmt: skip


@pytest.fixture()
def place(tmp_path, monkeypatch):
    """The current folder, in a home with a space, next to a folder of configurations."""
    home = tmp_path / "my home"
    (home / "work").mkdir(parents=True)
    (home / "conf" / "sweep").mkdir(parents=True)
    (home / "conf" / "sweep" / "mine.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params: {seed: '3,4'}\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "work")
    return home / "work"


def executed(monkeypatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/run.py", *words])
    try:
        run.main()
    except SystemExit as stop:
        assert stop.code == 0


def command_lines(store: Path) -> dict[str, str]:
    found = [*store.glob("reports/*/run.json"), *store.glob("simulate/*/record.json")]
    return {str(path): json.loads(path.read_text())["command_line"] for path in found}


def pasted(place: Path, line: str) -> str:
    """What the command prints in a shell, as a dry run."""
    names = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    script = f"{line} dry_run=true print_config=true"
    done = subprocess.run(
        ["sh", "-c", script], cwd=place, env=os.environ | names, capture_output=True, check=False
    )
    assert done.returncode == 0, (line, done.stderr.decode()[-500:])
    return done.stdout.decode()


def test_the_command_of_a_run_is_pasted_into_a_shell(place, monkeypatch):
    notes = "note='a $x `y` \"z\" ; it\\'s 2 < 3'"
    executed(monkeypatch, *SMALL, f"store='{place.parent}/a store'", notes)
    lines = command_lines(place.parent / "a store")
    (line,) = set(lines.values())
    assert len(lines) == 2
    printed = pasted(place, line)
    assert " hit " in printed and " miss " not in printed
    assert 'a $x `y` "z" ; it' in printed and str(place.parent) not in line


def test_the_command_of_a_job_is_that_job_alone_with_its_folder_of_configurations(
    place, monkeypatch
):
    model = f"prior.model='{place.parent}/m'"
    executed(monkeypatch, "--config-dir", "../conf", "+sweep=mine", *SMALL, model)
    (summary,) = place.glob("store/sweeps/*/summary.md")
    text = summary.read_text()
    assert "`python -m experiments.run --config-dir ../conf +sweep=mine" in text
    assert '"$HOME"' in text and str(place.parent) not in text
    lines = command_lines(place / "store")
    assert len(lines) == 4 and len(set(lines.values())) == 2
    assert not any(str(place.parent) in line for line in lines.values())
    (line,) = (line for line in set(lines.values()) if "seed=4" in line)
    printed = pasted(place, line)
    assert "seed: 4" in printed and " miss " not in printed and "Sweep" not in printed


def test_the_home_folder_is_a_variable_of_the_shell_wherever_it_stands():
    words = ["run.py", "corpus.paths=['${oc.env:HOME}/a b.jsonl','${oc.env:HOME}/c']", "note=", ""]
    line = provenance.shell(words)
    done = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {line.partition('experiments.run ')[2]}"],
        env={"HOME": "/h m"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "corpus.paths=['/h m/a b.jsonl','/h m/c']\nnote=\n\n"
