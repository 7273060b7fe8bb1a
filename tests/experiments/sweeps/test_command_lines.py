"""Odd values mean the same in one run, in a sweep, and in the command that a record holds."""

import re
import shlex
import sys
import time
from pathlib import Path
from threading import Barrier, Thread

import pytest

from experiments import provenance, run
from experiments.config.compose import compose, quoted, values_of
from experiments.store.runs import typed
from experiments.sweeps import driver
from toedit.errors import UserError
from toedit.redaction import published

BASE = ["+exp=theory", "dry_run=true", "tracker=none"]
# fmt: off
TYPED = {  # a value of the command line, and what it means
    "/a b/c.jsonl": "/a b/c.jsonl", "'/a b/c'": "/a b/c", "'a,b'": "a,b", r"a\,b": "a,b",
    "'(x) [y] {z}'": "(x) [y] {z}", r"\(x\)": "(x)", '"it\'s"': "it's", r"'it\'s'": "it's",
    "'say \"hi\"'": 'say "hi"', "'key=a,b=c'": "key=a,b=c", "-x": "-x", "--force": "--force",
    "'-1'": "-1", "'ü 中 𝒳'": "ü 中 𝒳", r"'ends in \\'": "ends in \\", r"C:\\x": r"C:\x",
    "'#a;b&c|d>e'": "#a;b&c|d>e", "'$x `y` !z'": "$x `y` !z", "'*?~'": "*?~",
    "'a\nb\tc'": "a\nb\tc",
    "' '": " ", "''": "", "'null'": "null", "'true'": "true", "007": "007", "'1e5'": "1e5",
    r"'\${seed} %'": "${seed} %", "a:b": "a:b",
}
# fmt: on


@pytest.fixture()
def seen(monkeypatch):
    """The notes of the runs, and the commands that their records would hold."""
    found: list[tuple[str, list[str]]] = []
    real = run.run

    def observed(config, **how):
        found.append((config.note, provenance.command()))
        return real(config, **how)

    monkeypatch.setattr(run, "run", observed)
    return found


def test_a_value_is_the_same_in_a_run_a_sweep_and_a_printed_command(seen, monkeypatch, capsys):
    single = {value: compose([*BASE, f"note={value}"]).note for value in TYPED}
    assert single == TYPED
    words = ["-m", *BASE, f"note={','.join(TYPED)}"]
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    assert run.sweep(words) == 0
    assert [note for note, _ in seen] == list(TYPED.values())
    assert published(str(Path.home())) == "~"
    lines = capsys.readouterr().err.strip()
    printed = re.findall(r"^job \d+: ((?:.|\n)*?)$(?=\njob|\Z)", lines, re.MULTILINE)
    assert len(printed) == len(seen)
    for (note, command), line in zip(seen, printed, strict=True):
        assert str(Path.home()) not in " ".join(command)
        again = shlex.split(typed(command))
        assert again[:3] == ["python", "-m", "experiments.run"]
        assert compose(again[3:]).note == note
        if "$" not in line:
            kept = [word for word in shlex.split(line) if not word.startswith("tracker")]
            assert kept == again[3:]


@pytest.mark.parametrize("store", ["a b, (c) = ü", "it's", "-x", "$y #1 %j", "${z}", "tail\\"])
def test_a_sweep_takes_the_store_of_a_run(tmp_path, store, seen, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["-m", *BASE[:1], "tracker=none", f"store={quoted(store)}", "seed=0,1",
             "theory.draws=2", "theory.rows=20", "theory.features=2", "theory.generations=2",
             "theory.schedules=[{kind: collapse}]"]  # fmt: skip
    assert compose(words[1:4]).store == store
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    assert run.sweep(words) == 0
    assert [path.name for path in tmp_path.iterdir()] == [store]
    assert len(list((tmp_path / store).glob("sweeps/theory-sweep-*/*/job.json"))) == 2
    assert len(seen) == 2


def test_a_command_line_is_read_as_hydra_reads_it():
    words = ["-m", "+exp=a,b", "store='x y'", "store='x, z'", "dry_run=yes", "~mix"]
    found = values_of(words)
    assert (found["exp"], found["store"], found["dry_run"]) == ("a,b", "x, z", "yes")
    with driver.sweep_dir([*words, "seed=0"]) as folder:
        assert not folder.is_relative_to("x, z")  # a temporary folder
    assert driver.is_multirun(["++sweep=k"])


@pytest.mark.parametrize("value", ["a=b", "ü", "~/x", "a#b", "'open"])
@pytest.mark.parametrize("flags", [[], ["-m"]])
def test_what_needs_quotes_is_refused_in_one_line_by_both(value, flags, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", *flags, *BASE, f"note={value}"])
    with pytest.raises(SystemExit) as stop:
        run.main()
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot read the argument" in line and "quotes" in line


def test_home_and_current_folder_are_shortened_as_whole_folders(monkeypatch, tmp_path):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path))
    text = f"[{tmp_path}/a,{tmp_path}-b/c,/x{tmp_path}/d,{tmp_path}/work/e,{tmp_path}/workshop]"
    assert published(text) == (f"[~/a,{tmp_path}-b/c,/x{tmp_path}/d,./e,~/workshop]")
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", "/")
    assert published("a/b") == "a/b"


def test_a_name_that_is_missing_in_the_environment_is_one_line():
    from experiments.config.explain import explain_errors

    with pytest.raises(UserError), explain_errors():
        driver.folder_of(["store=${oc.env:NO_SUCH_VARIABLE}/x"])


def test_paths_below_the_home_folder_are_recorded_so_that_they_can_be_given_again(monkeypatch):
    home = str(Path.home())
    typed = ["run.py", *BASE, f"store={home}/s", f"note={home}/n", "name=own"]
    with provenance.command_is(typed):
        words = provenance.command()
    assert words[-3:] == ["store=${oc.env:HOME}/s", "note=~/n", "name=own"]
    assert compose(words[1:-2]).store == f"{home}/s"


def test_jobs_in_threads_have_each_their_own_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "typed"])
    both_began = Barrier(2)
    found = {}

    def job(name: str, seconds: float) -> None:
        with provenance.command_is(["run.py", name]):
            both_began.wait()
            found[name] = provenance.command()
            time.sleep(seconds)

    threads = [Thread(target=job, args=(name, s)) for name, s in (("a", 0.0), ("b", 0.2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"a": ["run.py", "a"], "b": ["run.py", "b"]}
    assert provenance.command() == ["run.py", "typed"]
