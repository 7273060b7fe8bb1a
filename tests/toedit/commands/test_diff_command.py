"""Differences between a corpus and its edited version: in the terminal, and as a page."""

import re
import time

import pytest
from browser import CHROMIUM, rendered
from commands import cli, lines, table_of
from conftest import corpus_text

from toedit.corpora.documents import Reading
from toedit.corpora.sources import local_documents
from toedit.diffs import differences, from_texts

COLUMNS = Reading(unpack=False)


def test_differences_put_both_texts_back_together(edit, source, tmp_path, capsys):
    output = tmp_path / "out"
    assert edit(source, "--output", output) == 0
    found = {d.id: d for d in differences(source, output, COLUMNS)}
    edited = {d.id: d.text for d in local_documents([output / "data"], COLUMNS)}
    for document in local_documents([source], COLUMNS):
        segments = found[document.id].segments
        assert "".join(s.old for s in segments) == document.text
        assert "".join(s.new for s in segments) == edited[document.id]
    changes = [s for d in found.values() for s in d.segments if s.changed]
    assert len(changes) == len(table_of(output, "changes"))
    assert all(0 < s.probability <= 1 and s.candidates for s in changes)
    assert cli("diff", source, output) == 0
    said = capsys.readouterr().out
    assert "[-" in said
    assert "{+" in said
    assert f"{sum(d.share > 0 for d in found.values())} of 90 documents differ" in said


def test_differences_without_recorded_changes():
    segments = from_texts("one two three", "one 2 three")
    assert [(s.old, s.new) for s in segments if s.changed] == [(" two", " 2")]
    assert "".join(s.new for s in segments) == "one 2 three"


def test_a_page_is_self_contained_and_escapes_its_data(tmp_path, capsys):
    hostile = "</script><script>alert(1)</script>\u2028"
    (tmp_path / "a.jsonl").write_text(lines([{"id": "x", "text": f"old {hostile}"}]))
    (tmp_path / "b.jsonl").write_text(lines([{"id": "x", "text": f"new {hostile}"}]))
    page = tmp_path / "page.html"
    assert cli("diff", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--html", page) == 0
    text = page.read_text()
    assert text.count("</script>") == 1
    assert "http://" not in text
    assert "https://" not in text


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_page_in_a_browser(edit, tmp_path):
    rows = [{"id": f"d{i}", "text": corpus_text(i)[:200]} for i in range(1000)]
    rows[7]["text"] = "</script><img src=x onerror=alert(1)> quick \u2028"
    source, output, page = tmp_path / "s.jsonl", tmp_path / "out", tmp_path / "page.html"
    source.write_text(lines(rows))
    assert edit(source, "--output", output) == 0
    assert cli("diff", source, output, "--html", page) == 0
    found = {d.id: d for d in differences(source, output, COLUMNS)}
    differing = [d for d in found.values() if d.share > 0]
    began = time.monotonic()
    dom = rendered(page, tmp_path / "profile")
    assert time.monotonic() - began < 60
    assert f"{len(differing)} of 1000 documents" in dom
    assert 25 <= dom.count("<article>") < len(differing)  # drawn as one scrolls, never all at once
    first = next(s for s in differing[0].segments if s.changed)
    assert f"p = {first.probability:.3f}"[:7] in dom
    assert dom.count("<del title=") >= 25
    assert dom.count("<ins title=") == dom.count("<del title=")
    top = sorted(d.share for d in differing)[-3]
    dom = rendered(page, tmp_path / "profile", f"#least={100 * top - 0.005:.3f}")
    kept = int(re.search(r"(\d+) of 1000 documents", dom)[1])
    assert kept < len(differing)
    dom = rendered(page, tmp_path / "profile", "#all")
    assert "1000 of 1000 documents" in dom
    assert "<img" not in dom  # text stays text
