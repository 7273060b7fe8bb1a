"""Dictionaries of different keys: nulls where they lack one, or JSON text, which is said."""

import pyarrow as pa
import pytest
from commands import lines, table_of
from conftest import corpus_text
from test_schema import features_of, parquet, passed

from toedit.corpora import schema as schemas
from toedit.corpora.column_types import KEYS

PADDED = {
    "keys differ": (
        [{"a": 1}, {"b": 1.5}, {"a": 2.5}, {}, None],
        [{"a": 1, "b": None}, {"a": None, "b": 1.5}, {"a": 2.5, "b": None},
         {"a": None, "b": None}, None],
    ),
    "keys differ in a list": (
        [[{"a": 1}, {"a": 2}], [{"a": 1}, {"é.ü": [{"k": 1}]}], [], None, [{}, None]],
        [[{"a": 1, "é.ü": None}, {"a": 2, "é.ü": None}],
         [{"a": 1, "é.ü": None}, {"a": None, "é.ü": [{"k": 1}]}], [], None,
         [{"a": None, "é.ü": None}, None]],
    ),
    "many keys": (
        [{f"k{i}": i for i in range(n)} for n in (KEYS, 1)],
        [{f"k{i}": i if i < n else None for i in range(KEYS)} for n in (KEYS, 1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PADDED)
@pytest.mark.parametrize("chunk", [1, 2, 4096])
@pytest.mark.parametrize("reverse", [False, True])
def test_keys_that_dictionaries_lack_are_null(tmp_path, monkeypatch, name, chunk, reverse):
    monkeypatch.setattr(schemas, "CHUNK", chunk)
    before, after = (values[::-1] if reverse else values for values in PADDED[name])
    rows = [{"id": f"{i}", "text": corpus_text(i), "v": v} for i, v in enumerate(before)]
    (tmp_path / "a.jsonl").write_text(lines(rows))
    assert [row["v"] for row in passed(tmp_path / "a.jsonl", tmp_path / "out")] == after
    assert features_of(tmp_path / "out")["v"][:] == after
    again = passed(tmp_path / "out" / "data", tmp_path / "again")
    assert [row["v"] for row in again] == after


REASONS = {
    "types differ": [{"a": 1}, {"a": "x"}, {}],
    "keys of inner dictionaries differ": [[{"f": {"city": "x"}}], [{"f": {"n": 1}}]],
    f"more than {KEYS} keys that differ": [{f"{i}": 1} for i in range(KEYS + 1)],
    "dictionaries without keys": [{}, {}],
    "numbers would be rounded": [{"a": 2**63}, {"a": 1}],
}


@pytest.mark.parametrize("why", REASONS)
@pytest.mark.parametrize("chunk", [1, 4096])
def test_command_and_card_say_which_columns_are_json_text(
    tmp_path, monkeypatch, capsys, why, chunk
):
    monkeypatch.setattr(schemas, "CHUNK", chunk)
    rows = [{"text": corpus_text(0), "v": v, "plain": {"k": 1}} for v in REASONS[why]]
    (tmp_path / "a.jsonl").write_text(lines(rows))
    told = f"written as JSON text: v ({why})"
    for source, output in (("a.jsonl", "out"), ("out/data", "again")):
        found = passed(tmp_path / source, tmp_path / output)
        assert [row["v"] for row in found] == REASONS[why]
        assert told in capsys.readouterr().out.splitlines()
        assert f"{told}; `json.loads` reads one." in (tmp_path / output / "README.md").read_text()


def test_nothing_is_said_of_columns_that_are_no_json_text(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text(lines([{"text": "x", "v": {"a": 1}}, {"text": "y"}]))
    passed(tmp_path / "a.jsonl", tmp_path / "out")
    assert "JSON text" not in capsys.readouterr().out
    assert "JSON text" not in (tmp_path / "out" / "README.md").read_text()


def test_ids_that_are_dictionaries_become_texts_and_stay_the_same(tmp_path):
    rows = [{"id": {"a": 1}, "text": corpus_text(0)}, {"id": {"b": 1}, "text": corpus_text(1)}]
    (tmp_path / "a.jsonl").write_text(lines(rows))
    found = passed(tmp_path / "a.jsonl", tmp_path / "out")
    assert [row["id"] for row in found] == ["{'a': 1}", "{'b': 1}"]
    assert set(table_of(tmp_path / "out", "changes")["id"].to_pylist()) <= {"{'a': 1}", "{'b': 1}"}


def test_keys_that_may_not_be_null_are_null_in_files_that_lack_them(tmp_path):
    for name in "ab":
        kind = pa.list_(pa.struct([pa.field(name, pa.string(), False)]))
        parquet(tmp_path / "in", v=pa.array([[{name: "x"}]], kind))
    found = [row["v"] for row in passed(tmp_path / "in", tmp_path / "out")]
    assert found == [[{"a": "x", "b": None}], [{"a": None, "b": "x"}]]
