"""``python -m experiments.tables``: files, help, mistakes, traces, and what is not there."""

import csv
import json
import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from written import block_of, three_arms

from experiments import tables as command
from experiments.reports.tables import files
from experiments.reports.tables.catalogue import TABLES
from toedit.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def test_empty_cells_name_the_command_and_its_cost(tmp_path, capsys):
    three_arms(tmp_path)
    arguments = ["--store", str(tmp_path), "--out", str(tmp_path / "out"), "--table", "3,5,8"]
    command.main(arguments)
    printed = capsys.readouterr().out
    said = " ".join(printed.split())
    assert "python -m experiments.run +exp=paper/cpt_bio_llama3 (cost: dry_run=true" in said
    assert "+exp=cpt_bio +sweep=threshold (cost: a job: " in said
    assert "Empty: 64. Filled by python -m experiments.run +exp=cpt_bio +sweep=k" in said
    assert "\nEmbedded scale: Biomedicine" in printed
    written = (tmp_path / "out" / "table03.md").read_text()
    assert "### Embedded scale: Biomedicine" in written and "\n| " in written


def test_files_hold_every_cell(tmp_path):
    three_arms(tmp_path)
    built, block, _, _ = block_of(tmp_path)
    rows = list(csv.DictReader(StringIO(files.cells_csv(built))))
    rows = [row for row in rows if row["column"] != "Avg"]
    assert len(rows) == built.total
    filled = [row for row in rows if row["value"]]
    assert len(filled) == built.filled == block.filled == 12
    assert all(row["results"].startswith("evaluate/") for row in filled)
    tests = list(csv.DictReader(StringIO(files.comparisons_csv(built))))
    assert len(tests) == len(built.comparisons.planned)


def test_latex_is_well_formed(tmp_path):
    three_arms(tmp_path, (0, 1, 2))
    built, _, _, _ = block_of(tmp_path)
    text = files.tex(built)
    depth = 0
    for line in text.replace(r"\{", "").replace(r"\}", "").splitlines():
        depth += line.count("{") - line.count("}")
        assert depth >= 0
    assert depth == 0
    assert text.count(r"\begin{") == text.count(r"\end{")
    widths = {line.count("&") - line.count(r"\&") for line in text.splitlines() if "&" in line}
    assert widths == {len(block.columns) for block in built.blocks}
    assert not re.search(r"(?<!\\)[%#&_](?!begin)", re.sub(r" & ", " ", text).replace("{%", "{"))
    assert r"\textbf{" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX is installed")
def test_latex_compiles(tmp_path):
    three_arms(tmp_path / "store")
    built, _, _, _ = block_of(tmp_path / "store")
    head = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "a.tex").write_text(f"{head}\n{files.tex(built)}\n\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]


def test_tables_import_nothing_heavy(tmp_path):
    three_arms(tmp_path, (0, 1, 2))
    code = (
        "import sys; from experiments.tables import main; "
        f"main(['--store', {str(tmp_path)!r}, '--out', {str(tmp_path / 'out')!r}]); "
        "assert not {'torch', 'transformers', 'lm_eval', 'wandb'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)
    assert len(list((tmp_path / "out").glob("table*.md"))) == len(TABLES) + 3


def test_help_lists_tables_and_cells(capsys):
    command.main(["--help"])
    said = capsys.readouterr().out
    assert "usage: python -m experiments.tables" in said
    for number, table in TABLES.items():
        assert f"{number:>2}  {table.title}" in said
    assert "paper/cpt_bio_llama3" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--table", "10000"], "there is no such table"),
        (["--table", "x"], "there is no such table"),
        (["--format", "html"], "allowed: md, tex, csv"),
        (["--store", "/nowhere"], "no results at '/nowhere'"),
        (["trace", "3.biomedicine.ToEdit.PubMedQA", "--store", "/nowhere"], "no results at"),
    ],
)
def test_mistakes_are_one_line(arguments, said, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert said in error
    assert error.count("\n") == 1


def test_a_number_is_traced_to_its_record(tmp_path, capsys):
    labels = three_arms(tmp_path)
    for name in ("3.biomedicine-embedded.ToEdit.PubMedQA_yes/no", "3.biomedicine.ToEdit.PubMedQA"):
        command.main(["trace", name, "--store", str(tmp_path)])
        said = capsys.readouterr().out
        assert str(tmp_path / labels["evaluate/edited"] / "record.json") in said
        assert re.search(rf"^  (no seed|seed \d+): {labels['evaluate/edited']}$", said, re.M)
        assert "commit c0ffee" in said
        assert "run-7" in said
        assert "printed 65.00, for another model" in said and "ours minus it" not in said
        assert ("holds no number of ours" in said) == (name == "3.biomedicine.ToEdit.PubMedQA")
        assert "temperature" in said
        record = json.loads((tmp_path / labels["evaluate/edited"] / "record.json").read_text())
        digest = record["files"]["predictions/pubmedqa_yesno.parquet"]["sha256"]
        assert digest in said
    command.main(["trace", "3.biomedicine-embedded.ToEdit", "--store", str(tmp_path)])
    assert capsys.readouterr().out.count("scale: embedded") == 5
    with pytest.raises(SystemExit):
        command.main(["trace", "3.biomedicine.ToEdt.PubMedQA", "--store", str(tmp_path)])
    assert "nearest: 3.biomedicine-embedded.ToEdit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("examples.json", lambda edit: {"edited": [edit]}),
        ("results.json", lambda edit: {"examples": {"edited": [edit]}}),  # as before
    ],
)
def test_words_hold_edits_and_quotations(tmp_path, capsys, name, kept):
    three_arms(tmp_path)
    folder = next((tmp_path / "reports").iterdir())
    edit = {"id": "d", "before": "a ", "old": "red", "new": "blue", "after": " car|",
            "probability": 0.99, "drawn_probability": 0.001}  # fmt: skip
    (folder / name).write_text(json.dumps(kept(edit)))
    arguments = ["--store", str(tmp_path), "--out", str(tmp_path / "out"), "--table", "10,12,18"]
    command.main(arguments)
    said = capsys.readouterr().out
    assert re.search(r"\ba +red +0.9900 +blue +0.001 +car\|", " ".join(said.split()))
    written = (tmp_path / "out" / "table12.md").read_text()
    assert re.search(r"\| +a +\| +red +\| +0.9900 +\| +blue +\| +0.001 +\|", written)
    assert "car\\|" in written
    assert "Common Crawl" in said
    assert "ToEdit" in said


def test_an_interrupted_run_is_listed(tmp_path, capsys):
    three_arms(tmp_path)
    failed = tmp_path / "train" / "edited-0123456789ab"
    failed.mkdir(parents=True)
    (failed / ".failed.json").write_text(json.dumps({"when": "then", "error": "loss is NaN"}))
    (tmp_path / "score" / "x-0123456789ac").mkdir(parents=True)
    command.main(["--store", str(tmp_path), "--out", str(tmp_path / "out"), "--no-figures"])
    said = capsys.readouterr().err
    assert "train/edited-0123456789ab (failed then: loss is NaN)" in said
    assert "score/x-0123456789ac (interrupted" in said
    with pytest.raises(UserError):
        command._stores([tmp_path / "elsewhere"])
