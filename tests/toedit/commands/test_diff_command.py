"""Differences between a corpus and its edited version: in the terminal, and as a page."""

import base64
import hashlib
import random
import re
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import cli, lines, table_of
from conftest import corpus_text

from toedit.commands.diff import in_terminal
from toedit.corpora.columns import CHANGE
from toedit.corpora.documents import Reading
from toedit.corpora.sources import local_documents
from toedit.diffs import Difference, Segment, differences, from_changes, from_texts

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


def generation(text: str, draw: random.Random, number: int) -> tuple[str, pa.Table]:
    """A text with some stretches replaced or deleted, and the record of it."""
    edited, rows, position = "", [], 0
    while position < len(text):
        length = draw.randint(1, 4)
        piece = text[position : position + length]
        if draw.random() < 0.3:
            new = draw.choice(["", "é", "xy", "long 𝒳 one", piece])
            rows.append({"id": "d", "start": position, "old": piece, "new": new, "probability": 0.5,
                         "candidates": ["a", "b"], "probabilities": [0.4, 0.1],
                         "generation": number})  # fmt: skip
            edited += new
        else:
            edited += piece
        position += length
    return edited, pa.Table.from_pylist(rows, CHANGE)


def test_changes_of_several_generations_are_composed():
    draw = random.Random(0)
    for _ in range(300):
        source = "".join(draw.choices("ab é\U0001d4b3\n", k=draw.randint(0, 40)))
        text, tables = source, []
        for number in range(draw.randint(1, 4)):
            text, table = generation(text, draw, number)
            tables.append(table)
        segments = from_changes(source, text, tables)
        assert "".join(s.old for s in segments) == source
        assert "".join(s.new for s in segments) == text
        if len(tables) == 1:  # as recorded
            recorded = [(row["old"], row["new"]) for row in tables[0].to_pylist()]
            spans = [s for s in segments if s.probability is not None]
            assert [(s.old, s.new) for s in spans] == recorded
            assert all(s.candidates == [("a", 0.4), ("b", 0.1)] for s in spans)
        elif any(map(len, tables[1:])):
            with pytest.raises(ValueError):
                from_changes(source, text + "x", tables)


def test_a_token_that_changes_twice_keeps_what_was_recorded_of_the_source():
    rows = [{"id": "d", "start": 4, "old": "two", "new": "three", "probability": 0.9,
             "candidates": ["three"], "probabilities": [0.05], "generation": 0},
            {"id": "d", "start": 6, "old": "ree", "new": "in", "probability": 0.1,
             "candidates": [], "probabilities": [], "generation": 1},
            {"id": "d", "start": 9, "old": " four", "new": "", "probability": 0.2,
             "candidates": ["x"], "probabilities": [0.3], "generation": 1}]  # fmt: skip
    tables = [pa.Table.from_pylist(part, CHANGE) for part in (rows[:1], rows[1:])]
    found = from_changes("one two four", "one thin", tables)
    assert [tuple(s) for s in found] == [
        ("one ", "one ", None, ()),
        ("two", "thin", 0.9, [("three", 0.05)]),
        (" four", "", 0.2, [("x", 0.3)]),
    ]


def test_the_output_of_several_generations_says_what_changed_since_the_source(edit, tmp_path):
    source, output = tmp_path / "s.jsonl", tmp_path / "out"
    source.write_text(lines([{"id": f"d{i}", "text": corpus_text(i)[:300]} for i in range(30)]))
    assert edit(source, "--output", output, "--generations", 3, "--generation", 2) == 0
    assert set(table_of(output, "changes")["generation"].to_pylist()) == {2, 3, 4}
    found = list(differences(source, output, COLUMNS))
    assert all(d.recorded for d in found)
    edited = {d.id: d.text for d in local_documents([output / "data"], COLUMNS)}
    assert {d.id: "".join(s.new for s in d.segments) for d in found} == edited
    # An output of an earlier version holds the changes of the last generation, and not which.
    (path,) = (output / "changes").glob("*.parquet")
    last = [row for row in pq.read_table(path).to_pylist() if row["generation"] == 4]
    table = pa.Table.from_pylist(last, CHANGE).drop_columns("generation")
    pq.write_table(table, path)
    old = list(differences(source, output, COLUMNS))
    assert not all(d.recorded for d in old)
    assert {d.id: "".join(s.new for s in d.segments) for d in old} == edited
    assert {d.id: "".join(s.old for s in d.segments) for d in old} == {
        d.id: d.text for d in local_documents([source], COLUMNS)
    }


@pytest.mark.parametrize("words", ["ab", "a"])
def test_long_texts_without_records_are_compared_in_time_linear_in_their_length(words, tmp_path):
    """Words of which none is rare, the worst case of a comparison by common words."""
    draw = random.Random(0)
    texts = [" ".join(draw.choices(words, k=n)) for n in (150_000, 140_000)]
    for name, text in zip(("a", "b"), texts, strict=True):
        (tmp_path / f"{name}.jsonl").write_text(lines([{"id": "x", "text": text}]))
    began = time.process_time()
    (found,) = differences(tmp_path / "a.jsonl", tmp_path / "b.jsonl", COLUMNS)
    assert time.process_time() - began < 10
    assert ["".join(s[k] for s in found.segments) for k in (0, 1)] == texts
    assert not found.recorded


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    hostile = "\x1b[2J\x1b]0;title\x07 \x9b31m \u202eevil\u2069 \b\r\x7f"
    for name, word in (("a", "old"), ("b", "new")):
        row = {"id": "d\x1b[31m", "text": f"{hostile} {word}{hostile} same\r\n\tü 中"}
        (tmp_path / f"{name}.jsonl").write_text(lines([row]))
    for color in ("never", "always"):
        assert cli("diff", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--color", color) == 0
        printed = capsys.readouterr().out
        assert "\\x1b[2J" in printed and "\\u202eevil" in printed and "d\\x1b[31m" in printed
        assert "same\r\n\tü 中" in printed
        colors = re.compile("\x1b\\[(9;31|32|2|0)m")
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]",
                             colors.sub("", printed))  # fmt: skip
    assert cli("diff", tmp_path / "a.jsonl", tmp_path / "x\x1b[2J.jsonl") == 2
    assert "\x1b" not in capsys.readouterr().err


def test_a_page_is_self_contained_and_escapes_its_data(tmp_path, capsys):
    hostile = "</script><script>alert(1)</script>\u2028"
    (tmp_path / "a.jsonl").write_text(lines([{"id": "x", "text": f"old {hostile}"}]))
    (tmp_path / "b.jsonl").write_text(lines([{"id": "x", "text": f"new {hostile}"}]))
    page = tmp_path / "page.html"
    assert cli("diff", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--html", page) == 0
    text = page.read_text()
    assert text.count("</script>") == 2
    assert "unsafe" not in text
    for name in ("script", "style"):
        content = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in text
    assert "http://" not in text
    assert "https://" not in text


CHAT = [
    {"from": "visitor", "value": "What did the study find?"},
    {"from": "expert", "value": None},
    {"from": "expert", "value": "The cells were grown in the medium for two days."},
]


@pytest.mark.parametrize(
    ("record", "options"),
    [
        ({"chat": CHAT},
         ["--messages-column", "chat", "--role-names", "user=visitor,assistant=expert"]),
        ({"question": "What did it find?", "answer": CHAT[2]["value"]},
         ["--prompt-column", "question", "--text-column", "answer"]),
    ],
)  # fmt: skip
def test_what_changed_in_chats_and_pairs(tmp_path, capsys, record, options):
    source, output = tmp_path / "s.jsonl", tmp_path / "out"
    source.write_text(lines([record]))
    rule = ["--prior", "table", "--preset", "forced", "--threshold", "0.1"]
    assert cli("edit", source, "--output", output, *rule, *options) == 0
    assert len(table_of(output, "changes"))
    capsys.readouterr()
    assert cli("diff", source, output) == 0  # with the columns that the edit recorded
    printed = capsys.readouterr().out
    assert "1 of 1 documents differ" in printed and "[-" in printed
    assert "comparing words" not in printed
    _, first, _, second, *_ = printed.splitlines()
    if "chat" in record:
        assert first == "visitor: What did the study find?"
        assert second.startswith("expert: ") and "{+" in second
    else:
        assert first == "question: What did it find?"
        assert second.startswith("answer: ") and "{+" in second
    assert cli("diff", source, output, *options) == 0
    assert capsys.readouterr().out == printed
    assert cli("diff", source, output, "--html", tmp_path / "page.html") == 0
    roles = re.findall(r'\{"role":"(\w+)"\}', (tmp_path / "page.html").read_text())
    assert roles == (["visitor", "expert"] if "chat" in record else ["question", "answer"])


def test_a_shortened_turn_keeps_the_lines_that_part_it_from_the_next():
    text = "x" * 201 + "\n\n"
    segments = [Segment("a", "b"), Segment(text[1:], text[1:]), Segment("sea", "sun")]
    said = in_terminal(Difference("one", segments, True, [(0, "user"), (203, "assistant")]), False)
    assert said.startswith("one (1.94 % of characters changed)\n")
    assert said.endswith(" … \n\nassistant: [-sea-]{+sun+}\n")


def test_turns_divide_the_segments():
    """Of any text and any turns, whose borders may lie in a change."""
    draw = random.Random(1)
    for _ in range(200):
        pieces = ["".join(draw.choices("ab ", k=draw.randint(1, 9))) for _ in range(9)]
        segments = [Segment(p, p if draw.random() < 0.5 else p.upper() + "!") for p in pieces]
        text = "".join(pieces)
        starts = sorted({0, *draw.sample(range(len(text)), k=min(4, len(text)))})
        turns = [(start, f"r{start}") for start in starts]
        found = list(Difference("d", segments, True, turns).by_turn())
        joined = [s for _, part in found for s in part]
        assert "".join(s.old for s in joined) == text
        assert "".join(s.new for s in joined) == "".join(s.new for s in segments)
        assert [s for s in joined if s.changed] == [s for s in segments if s.changed]
        position = 0
        for role, part in found:
            own = [start for start, name in turns if name == role]
            assert own and own[0] <= position  # after a change that reached into it
            position += sum(len(s.old) for s in part)
        assert list(Difference("d", segments, True).by_turn()) == [("", segments)]


def test_ids_that_cannot_be_matched_say_which_column_to_name(tmp_path, capsys):
    rows = [{"key": f"k{i}", "body": f"text {i}"} for i in range(3)]
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(lines(rows))
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--text-column", "body"]
    assert cli("diff", *files) == 2
    said = capsys.readouterr().err
    assert "a.jsonl' has no column 'id' (its others: key), so its ids are file and row" in said
    assert "name the column of ids that both have with --id-column" in said
    assert cli("diff", *files, "--id-column", "key") == 0
    (tmp_path / "a.jsonl").write_text(lines(rows[1:]))
    assert cli("diff", *files, "--id-column", "key") == 2
    assert "is not in" in (said := capsys.readouterr().err) and "--id-column" not in said


def test_an_edit_of_other_columns_needs_no_options_to_be_compared(tmp_path, capsys):
    source, output = tmp_path / "s.jsonl", tmp_path / "out"
    source.write_text(lines([{"key": "k", "body": corpus_text(0), "text": 1}]))
    columns = ["--text-column", "body", "--id-column", "key"]
    assert cli("edit", source, "--output", output, "--prior", "table", "--preset", "forced",
               *columns) == 0  # fmt: skip
    capsys.readouterr()
    assert cli("diff", source, output) == 0
    assert "k (" in (said := capsys.readouterr().out) and "1 of 1 documents differ" in said
    (output / "edit_stats.json").write_text('{"settings": {"text_column": 3, "id_column": []}}')
    assert cli("diff", source, output, *columns) == 0


def test_what_changed_in_texts_that_were_repaired(tmp_path, capsys):
    source, output = tmp_path / "s.txt", tmp_path / "out"
    source.write_bytes(b"The caf\xe9 was open for two days in the summer.\n")
    rule = ["--prior", "table", "--preset", "forced", "--threshold", "0.1"]
    repaired = ["--invalid-utf8", "replace"]
    assert cli("edit", source, "--output", output, *rule, *repaired) == 0
    assert cli("diff", source, output, *repaired) == 0
    assert "1 of 1 documents differ" in capsys.readouterr().out
