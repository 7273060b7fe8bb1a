"""The examples of docs/extending.md and docs/editing.md, run as they stand there."""

import json
import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import small_run
from conftest import corpus_text

import toedit
from experiments.config.compose import compose
from experiments.run import run as experiment

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the files of the page and a corpus."""
    folder = tmp_path_factory.mktemp("extending")
    blocks = dict(BLOCK.findall(page("extending.md")))
    assert set(blocks) == {"my_sampler.py", "my_prior.py", "my_tasks/colours.yaml",
                           "my_tasks/colours.py", "evaluate.py"}  # fmt: skip
    for name, text in blocks.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    rows = [{"id": f"d{i}", "text": corpus_text(i)} for i in range(20)]
    (folder / "my_corpus.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder


def run(place: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{place}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_prior_of_ones_own_edits_a_corpus(place):
    options = ["--prior", "my_prior:Letters", "--threshold", "0.05", "--workers", "2"]
    said = run(place, "-m", "toedit", "edit", "my_corpus.jsonl", "--output", "letters", *options)
    assert "tokens changed" in said
    assert said.split("\n")[1].split()[0] != "0"
    edited = pq.read_table(next((place / "letters" / "data").iterdir()))
    assert edited["id"].to_pylist() == [f"d{i}" for i in range(20)]


def test_a_sampler_of_ones_own_edits_a_corpus(place):
    """Eight candidates alike: a draw is a change at least seven times in eight."""
    options = ["--sampler", "my_sampler:MinP", "--sampler-arg", "min_p=0.9", "--threshold", "0.05"]
    edit = ["edit", "my_corpus.jsonl", "--output", "min_p", "--prior", "my_prior:Letters", *options]
    run(place, "-m", "toedit", *edit)
    stats = json.loads((place / "min_p" / "edit_stats.json").read_text())
    assert 0.75 <= stats["smoothing"] < 1
    share, n = stats["changed"] / stats["eligible"], stats["eligible"]
    assert abs(share - stats["smoothing"]) < 5 * np.sqrt(0.75 * 0.25 / n)


@pytest.mark.slow
def test_a_task_of_ones_own_is_evaluated(place, tiny_model):
    script = (place / "evaluate.py").read_text().replace('"embedded"', repr(str(tiny_model)))
    (place / "evaluate_tiny.py").write_text(script)
    lines = run(place, "evaluate_tiny.py").splitlines()
    assert [line.split()[0] for line in lines[-2:]] == ["sky", "grass"]


def test_a_folder_of_tasks_has_a_row_in_an_experiment(place, tiny_model, tmp_path):
    more = ["arms=[]", f"eval.tasks={place / 'my_tasks'}"]
    words = small_run(place / "my_corpus.jsonl", tiny_model, tmp_path / "store", *more)
    finished = experiment(compose(words))
    assert "colours, acc % (n 2 of 2)" in (finished.report / "results.md").read_text()
    assert finished.records["evaluate/base"]["metrics"]["colours"]["items"] == 2
    assert "eval.suite=null eval.tasks=my_tasks" in page("extending.md")


def test_a_plugin_that_is_not_there_is_one_line(place):
    from toedit.errors import UserError
    from toedit.plugins import load_plugin

    with pytest.raises(UserError, match="cannot import 'no_such_module'"):
        load_plugin("no_such_module:Thing")
    with pytest.raises(UserError, match="did you mean 'TopP'"):
        load_plugin("toedit.sampling:Topk")


def test_the_library_does_what_the_page_shows(capsys):
    (example,) = re.findall(r"^```python\n(.*?)^```", page("editing.md"), re.MULTILINE | re.DOTALL)
    exec(compile(example, "docs/editing.md", "exec"), {})
    perplexity, *told = capsys.readouterr().out.splitlines()
    assert float(perplexity.split()[0]) > 1
    assert [line for line in told if line.startswith("p >= 0.99, top-k 8")]
    assert [line for line in told if line.startswith("p >= 0.5, top-k 8")]
    assert len(told) > 2  # a line per change


def test_help_lists_the_library():
    text = pydoc.plain(pydoc.render_doc(toedit))
    for name in toedit.__all__:
        assert re.search(rf"\b{name}\b", text), name
        assert name == "PRESETS" or getattr(toedit, name).__doc__, name


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def test_the_notebook_has_no_outputs_and_ten_cells():
    cells = json.loads(page("quickstart.ipynb"))["cells"]
    assert len(cells) == 10
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.slow
def test_the_notebook_runs_as_it_stands(tmp_path, monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("QUICKSTART_STORE", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.reads(page("quickstart.ipynb"), 4)
    folder = {"metadata": {"path": str(ROOT / "docs")}}
    nbclient.NotebookClient(notebook, timeout=1000, resources=folder).execute()
    *_, rules, histogram, _, edits, verdict = (
        "".join(o.get("text", "") + str(list(o.get("data", {}))) for o in cell.get("outputs", []))
        for cell in notebook.cells
    )
    assert rules.count(" eligible, ") == 10
    assert "image/png" in histogram
    assert "forced: " in edits and list(tmp_path.glob("reports/*/edits/forced.html"))
    assert "held-out bits per byte" in verdict and "edited minus source" in verdict
    assert "one seed" in verdict
