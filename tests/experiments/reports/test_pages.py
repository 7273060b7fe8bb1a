"""Pages that are made from records and experiments' files are those that can be made now."""

import re
from pathlib import Path

import pytest

from experiments.analysis.claims import read_claims
from experiments.analysis.evidence import Evidence
from experiments.config.headers import header, names
from experiments.reports import claims
from experiments.reports.pages import experiments_page, results_page
from experiments.reports.tables.build import build_all

ROOT = Path(__file__).resolve().parents[3]
MAKE = "make them again: python -m experiments.tables docs"


def test_the_list_of_experiments_is_that_of_their_files():
    assert (ROOT / "docs" / "experiments.md").read_text() == experiments_page(), MAKE


def test_the_page_of_results_is_that_of_the_records(monkeypatch):
    monkeypatch.chdir(ROOT)
    evidence = Evidence([Path("results")])
    page = results_page(build_all(evidence), evidence)
    assert not evidence.refused
    assert evidence.runs
    assert (ROOT / "docs" / "results.md").read_text() == page, MAKE


def test_the_page_of_results_begins_with_the_claims():
    lines = (ROOT / "docs" / "results.md").read_text().splitlines()
    first = lines[: lines.index("### What the verdicts rest on")]
    screen = [line for line in first if line.startswith("|")]
    assert [cell.strip() for cell in screen[0].split("|")[1:-1]] == list(claims.HEADER)
    assert len(screen) == len(read_claims()[0]) + 2
    assert max(map(len, screen)) <= 100


INTERVAL = r"[+×-]?[\d.]+(?:e-\d+)? \[[^\[\]]+, [^\[\]]+\](?:, p [<≤]? ?[\d.e-]+)?"


@pytest.mark.parametrize(
    ("name", "least"), [("training", 16), ("pretraining", 21), ("statistics", 11)]
)
def test_intervals_that_a_page_quotes_are_those_of_the_records(name, least):
    pages = (ROOT / "results" / "reports").glob("*/results.md")
    known = "\n".join(re.sub(r" +", " ", path.read_text()) for path in pages)
    # Trends stand there as value, interval and p in columns of their own.
    known += re.sub(r"(\S) \| (\[[^\]]+\]) \| (\S+) \|", r"\1 \2, p \3 |", known)
    found = re.findall(INTERVAL, (ROOT / "docs" / f"{name}.md").read_text())
    assert len(found) >= least
    assert [one for one in found if one not in known] == [], "of which run?"


def test_every_experiment_says_what_it_is_costs_and_is_told_by_the_paper():
    for name in names():
        found = header(name)
        assert found.title
        assert found.commands, name
        assert any(f"+exp={name}" in line for line in found.commands)
        assert found.cost, name
        assert "Paper" in found.sections, name
        if name.startswith("paper/"):
            assert "Result" not in found.sections, f"{name} was never run"


def test_nothing_in_the_records_names_a_machine():
    for path in (ROOT / "results").rglob("*.json*"):
        text = path.read_text()
        assert "/home/" not in text, path
        assert "/root/" not in text, path
        assert "/tmp/" not in text, path
