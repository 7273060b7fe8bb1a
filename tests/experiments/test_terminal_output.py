"""What commands show in a terminal of 80 or 120 columns, and in a pipe."""

import json
import re

import pytest
from commands import ROWS, Command, lines, run, shown, small_run
from conftest import corpus_text

from experiments.tables import main as tables

LIBRARIES = ("Loading weights", "Writing model shards", "it/s]", "[transformers]")


def longest(text: str) -> int:
    """Characters of the longest line but for those with a path, which is never broken."""
    return max(len(line) for line in shown(text) if "/" not in line or "━" in line)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, tiny_model):
    """A whole run in a terminal of 80 columns: its store, and what was shown."""
    folder = tmp_path_factory.mktemp("terminal")
    corpus = folder / "corpus.jsonl"
    corpus.write_text(lines({"id": f"d{i}", "text": corpus_text(i)} for i in range(50)))
    words = small_run(corpus, tiny_model, folder / "store", "train.tokens=7680")
    return words, folder, run(words, folder / "log", columns=80)


def test_a_run_fits_the_terminal_and_hides_libraries(drawn):
    _, folder, text = drawn
    assert longest(text) <= 80
    assert not [name for name in LIBRARIES if name in text]
    (log,) = (folder / "store" / "reports").glob("*/run.log")
    assert {name for name in LIBRARIES[:2] if name in log.read_text()} == set(LIBRARIES[:2])
    done = re.findall(r"^done  (\w+/\w+)-\w+ in \d+ s$", "\n".join(shown(text)), re.MULTILINE)
    assert len(done) == len(set(done)) == 10
    assert log.read_text().count("\ndone  ") == 10


def test_a_training_shows_bar_rate_time_left_and_that_of_the_run(drawn):
    drawn_lines = [line for line in shown(drawn[2]) if line.startswith("train/source ")]
    seen = [re.search(r"━.* (\d+) % +[\d.]+ steps/s .*run .* left$", line) for line in drawn_lines]
    shares = [int(found[1]) for found in seen if found]
    assert shares == sorted(shares) and shares[-1] > shares[0]


def test_the_end_is_three_blocks_that_use_the_width(drawn):
    words, folder, text = drawn
    end = text[text.index("cpt_bio, seed 0") :]
    wide = run(words, folder / "wide", columns=120)
    wide_end = wide[wide.index("cpt_bio, seed 0") :]
    for page in (end, wide_end):
        titles = re.findall(r"^(Editing|Arms|Files|Next)\b", page.replace("\r", ""), re.MULTILINE)
        assert titles == ["Editing", "Arms", "Files", "Next"]
        assert "|" not in page and "held-out bits per byte" in page
    assert 80 < longest(wide_end) <= 120
    (row,) = [line for line in shown(wide_end) if "held-out bits per byte" in line]
    values = json.loads(next((folder / "store").glob("reports/*/results.json")).read_text())
    assert [f"{values['rows'][0]['arms'][arm]['value']:.4f}" for arm in ("base", "source")] == (
        row.split("byte")[1].split()[:2]
    )
    assert row.endswith("one seed") and "seeds=[0,1,2] would tell" in " ".join(wide_end.split())
    assert "\n  edits/" in wide_end.replace("\r", "") and "-m experiments.tables" in wide_end


def test_a_pipe_gets_plain_lines(drawn, tmp_path):
    words, _, _ = drawn
    text = run(words, tmp_path / "log", COLUMNS="80")
    assert "\x1b" not in text and "\r" not in text and "|" not in text
    assert longest(text) <= 80 and text.count("hit   ") == 10
    again = run([*words, "force=train/edited"], tmp_path / "again")
    assert re.search(r"^run   train/edited-\w+\ndone  train/edited", again, re.MULTILINE)
    assert "Loading weights" not in again


def test_a_list_fits_the_terminal_and_has_a_line_a_row_in_a_pipe(drawn, tmp_path):
    store = drawn[1] / "store"
    stages = {f"{p.parent.parent.name}/{p.parent.name}" for p in store.glob("*/*/record.json")}
    words = {"arguments": ["ls", "--store", str(store)], "module": "experiments.store.__main__"}
    piped = run(**words, log=tmp_path / "piped").splitlines()
    assert {line.split()[0] for line in piped[1:-1]} == stages
    (corpus,) = [line for line in piped if line.startswith("corpus/")]
    assert corpus.endswith(" more")
    narrow = run(**words, log=tmp_path / "narrow", columns=80)
    assert max(map(len, shown(narrow)[:-2])) <= 80  # the last line has a path
    assert stages <= set(narrow.split())


def test_quiet_and_verbose(drawn, tmp_path):
    words, folder, _ = drawn
    forced = [*words, "force=evaluate/edited"]
    (log,) = (folder / "store" / "reports").glob("*/run.log")
    before = log.read_text().count("done  evaluate/edited")
    quiet = run(["--quiet", *forced], tmp_path / "quiet")
    assert re.fullmatch(r"written to \S+\n", quiet)
    verbose = run([*forced, "--verbose"], tmp_path / "verbose")
    assert "Loading weights" in verbose and "done  evaluate/edited" in verbose
    assert log.read_text().count("done  evaluate/edited") == before + 2


def test_a_dry_run_and_an_error_fit(drawn, tmp_path):
    words, _, _ = drawn
    dry = run([*words, "dry_run=true"], tmp_path / "dry", columns=80)
    assert longest(dry) <= 80 and " hit " in dry
    wrong = Command([*words, "train.tokens=12800000"], tmp_path / "wrong", columns=80)
    assert wrong.wait() == 2
    assert longest(wrong.output) <= 80
    assert "error: the text of arm source holds" in " ".join(wrong.output.split())


@pytest.mark.parametrize("columns", [80, None])
def test_an_edit_shows_one_line_and_the_result(tmp_path, tiny_model, columns):
    source = tmp_path / "a.jsonl"
    source.write_text(lines(ROWS))
    words = ["edit", str(source), "--output", str(tmp_path / "out"), "--prior", str(tiny_model)]
    words += ["--preset", "forced", "--threshold", "1e-6"]
    text = run(words, tmp_path / "log", module="toedit.__main__", columns=columns)
    assert columns is None or longest(text) <= columns
    assert "tokens changed" in text and not [name for name in LIBRARIES if name in text]
    assert ("\x1b" in text) == (columns is not None)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "README.md", "changes", "data", "edit_stats.json"
    ]  # fmt: skip
    quiet = run([*words, "--force", "--quiet"], tmp_path / "q", module="toedit.__main__")
    assert quiet == ""


def test_tables_fit(drawn, tmp_path, capsys):
    _, folder, _ = drawn
    for arguments in ([], ["--table", "3"], ["audit"]):
        place = [] if arguments == ["audit"] else ["--store", str(folder / "store")]
        place += [] if arguments == ["audit"] else ["--out", str(tmp_path), "--no-figures"]
        tables([*arguments, *place])
        printed = capsys.readouterr().out.splitlines()
        assert len(printed) > 20
        assert max(len(line) for line in printed if "/" not in line) <= 80
