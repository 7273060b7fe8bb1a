"""Records as people have them: blank lines, missing texts, and folders with links."""

import gzip
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import cli, lines, table_of
from conftest import corpus_text

from experiments.config.compose import compose
from experiments.stages import corpus as corpus_stage
from toedit.corpora.documents import read_documents
from toedit.corpora.records import Reading
from toedit.corpora.sources import hub_documents, local_documents
from toedit.corpora.units import corpus_files, make_units
from toedit.errors import UserError


def edit_by_table(path, output, *options) -> int:
    rule = ("--prior", "table", "--preset", "forced", "--threshold", "0.2")
    return cli("edit", path, "--output", output, *rule, *options)


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.zst"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_are_no_records(tmp_path, suffix, end):
    rows = [json.dumps({"text": corpus_text(i), "n": i}) for i in range(7)]
    blanks = ["", " \t", "\u00a0", "\ufeff"]
    with_blanks = ["\ufeff", *(x for i, row in enumerate(rows) for x in (row, blanks[i % 4])), ""]
    for name, content in (("plain", rows), ("blank", with_blanks)):
        (tmp_path / name).mkdir()
        data = "".join(line + end for line in content).encode()
        path = tmp_path / name / f"a.{suffix}"
        if suffix == "jsonl.gz":
            data = gzip.compress(data)
        elif suffix == "jsonl.zst":
            data = pa.compress(data, "zstd", asbytes=True)
        path.write_bytes(data)
        assert edit_by_table(tmp_path / name, tmp_path / f"{name}-out") == 0
    table = table_of(tmp_path / "blank-out")
    assert table.equals(table_of(tmp_path / "plain-out"))
    assert table["id"].to_pylist() == [f"a.{suffix}:{i}" for i in range(7)]
    for rows_per_unit in (1, 2, None):
        units = make_units(corpus_files([tmp_path / "blank"]), rows_per_unit)
        documents = [d for unit in units for d in read_documents(unit)]
        assert [d.metadata["n"] for d in documents] == list(range(7))


def test_lines_are_counted_in_messages_and_empty_lines_of_txt_are_documents(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"text": "a"}\n\n \n{"text": "b"}\nnot json\n')
    units = make_units([path], 2)
    assert [(u.start, u.offset, u.line) for u in units] == [(0, 1, 1), (2, 32, 5)]
    with pytest.raises(UserError, match=r"'a\.jsonl' line 6 is not JSON"):
        list(read_documents(units[1]))
    (tmp_path / "b.txt").write_text("a\n\n b \n\n")
    assert [d.text for d in local_documents([tmp_path / "b.txt"])] == ["a", "", " b ", ""]
    (tmp_path / "c.jsonl").write_text("\n \n\n")
    assert make_units([tmp_path / "c.jsonl"], 1) == []


NULLS = [
    ({"id": "b", "text": None, "n": 1}, "row 1 holds a null in column 'text'; --missing-text"),
    ({"id": "b", "n": 1}, r"row 1 has no column 'text'; its columns: id, n; .*--missing-text"),
    ({"id": "b", "text": float("nan"), "n": 1}, "row 1 holds a null in column 'text'"),
]


@pytest.mark.parametrize(("row", "message"), NULLS)
def test_a_missing_text_is_an_error_kept_or_skipped(tmp_path, capsys, row, message):
    rows = [{"id": "a", "text": corpus_text(1), "n": 0}, row,
            {"id": "c", "text": corpus_text(2), "n": 2}]  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text(lines(rows))
    with pytest.raises(UserError, match=message):
        list(local_documents([path]))
    assert edit_by_table(path, tmp_path / "error") == 2
    assert "'a.jsonl' row 1" in capsys.readouterr().err
    for number in ("1", "2"):
        kept, skipped = tmp_path / f"keep{number}", tmp_path / f"skip{number}"
        again = ("--generations", number, "--missing-text")
        assert edit_by_table(path, kept, *again, "keep") == 0
        assert edit_by_table(path, skipped, *again, "skip") == 0
        assert "1 records skipped" in capsys.readouterr().out
        table = table_of(kept).to_pylist()
        assert table[1] == {"id": "b", "text": None, "n": 1}
        assert [table[0], table[2]] == table_of(skipped).to_pylist()
        assert table[0]["text"] != rows[0]["text"]
        counts = [json.loads((p / "edit_stats.json").read_text()) for p in (kept, skipped)]
        assert [(c["documents"], c["skipped"]) for c in counts] == [(3, 0), (2, 1)]
    assert cli("diff", path, kept) == 0
    assert "2 of 3 documents differ" in capsys.readouterr().out


def test_a_missing_text_far_behind_is_found_before_anything_is_scored(tmp_path, capsys):
    rows = [{"text": corpus_text(i)} for i in range(300)] + [{"text": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=50)
    assert edit_by_table(tmp_path / "a.parquet", tmp_path / "out") == 2
    assert "'a.parquet' row 300 holds a null in column 'text'" in capsys.readouterr().err
    assert {p.name for p in (tmp_path / "out" / ".work").iterdir()} == {
        "lock",
        "run.log",
        "settings.json",
    }
    assert cli("score", tmp_path / "a.parquet", "--output", tmp_path / "scores", "--prior", "table",
               "--missing-text", "skip") == 0  # fmt: skip
    stats = json.loads((tmp_path / "scores" / "score_stats.json").read_text())
    assert (stats["documents"], stats["skipped"]) == (300, 1)


def test_a_file_may_lack_the_text_but_not_all_files(tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    pq.write_table(pa.table({"id": ["a"], "text": [corpus_text(0)]}), folder / "a.parquet")
    pq.write_table(pa.table({"id": ["b"], "n": [1]}), folder / "b.parquet")
    assert edit_by_table(folder, tmp_path / "error") == 2
    assert "'b.parquet' row 0 has no column 'text'" in capsys.readouterr().err
    assert edit_by_table(folder, tmp_path / "keep", "--missing-text", "keep") == 0
    assert table_of(tmp_path / "keep").to_pylist()[1] == {"id": "b", "text": None, "n": 1}
    for policy in ("keep", "skip"):
        options = ("--missing-text", policy, "--text-column", "body")
        assert edit_by_table(folder, tmp_path / f"none-{policy}", *options) == 2
        assert "no record has a column 'body'" in capsys.readouterr().err


def test_pairs_and_chats_without_a_text_are_kept_whole(tmp_path):
    good = {"id": "a", "ask": "Why?", "text": corpus_text(0)}
    pairs = [good, {"id": "b", "ask": None, "text": "kept"}, {"id": "c", "ask": "x", "text": None}]
    (tmp_path / "pairs.jsonl").write_text(lines(pairs))
    options = ("--prompt-column", "ask", "--missing-text")
    assert edit_by_table(tmp_path / "pairs.jsonl", tmp_path / "pairs", *options, "keep") == 0
    assert table_of(tmp_path / "pairs").to_pylist()[1:] == pairs[1:]
    answer = {"role": "assistant", "content": corpus_text(1)}
    asked, silent = {"role": "user", "content": "?"}, {"role": "user", "content": None}
    chats = [{"id": "a", "chat": [asked, answer]}, {"id": "b", "chat": None},
             {"id": "c", "chat": [silent, answer]}]  # fmt: skip
    for name in ("chats.jsonl", "chats.parquet"):
        if name.endswith("jsonl"):
            (tmp_path / name).write_text(lines(chats))
        else:
            pq.write_table(pa.Table.from_pylist(chats), tmp_path / name)
        options = ("--messages-column", "chat", "--missing-text")
        assert edit_by_table(tmp_path / name, tmp_path / f"{name}-keep", *options, "keep") == 0
        table = table_of(tmp_path / f"{name}-keep").to_pylist()
        assert table[1:] == chats[1:]
        assert table[0] != chats[0]
        assert edit_by_table(tmp_path / name, tmp_path / f"{name}-skip", *options, "skip") == 0
        assert table_of(tmp_path / f"{name}-skip").to_pylist() == table[:1]


def test_a_corpus_without_any_text_is_an_error_or_kept(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text(lines([{"text": None}] * 2))
    assert edit_by_table(tmp_path / "a.jsonl", tmp_path / "skip", "--missing-text", "skip") == 2
    assert "hold no document with a text" in capsys.readouterr().err
    assert edit_by_table(tmp_path / "a.jsonl", tmp_path / "keep", "--missing-text", "keep") == 0
    assert table_of(tmp_path / "keep")["text"].to_pylist() == [None, None]


def test_invalid_utf8_in_chats_is_skipped_too(tmp_path):
    chat = [{"role": "assistant", "content": "x"}]
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines([{"chat": chat}]).encode() * 2 + b'{"chat": "\xff"}\n')
    skipped: Counter[str] = Counter()
    reading = Reading(messages_column="chat", invalid_utf8="skip")
    assert [d.id for d in local_documents([path], reading, skipped)] == ["a.jsonl:0", "a.jsonl:1"]
    assert skipped == {"invalid_utf8": 1}


def corpus_of(path, *more: str):
    return compose(["+exp=cpt_bio", "corpus=local", f"corpus.paths=[{path}]", *more]).corpus


def test_experiments_read_the_same_records(tmp_path, capsys):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n\n{"text": null}\n\r\n{"id": "x"}\n{"text": "b"}\n')
    with pytest.raises(UserError, match=r"row 1 holds a null .*corpus\.missing_text"):
        list(corpus_stage._documents(corpus_of(path)))
    skipped: Counter[str] = Counter()
    config = corpus_of(path, "corpus.missing_text=skip")
    documents = list(corpus_stage._documents(config, skipped))
    assert [(d.id, d.text) for d in documents] == [("a.jsonl:0", "a"), ("a.jsonl:3", "b")]
    assert skipped == {"missing_text": 2}
    kept = list(corpus_stage._documents(corpus_of(path, "corpus.missing_text=keep")))
    assert [(d.id, d.text) for d in kept[1:3]] == [("a.jsonl:1", ""), ("x", "")]
    with pytest.raises(UserError, match="allowed: error, keep, skip"):
        corpus_of(path, "corpus.missing_text=drop")
    with pytest.raises(UserError, match="no record has a column 'body'"):
        config = corpus_of(path, "corpus.missing_text=skip", "corpus.text_column=body")
        list(corpus_stage._documents(config))
    hub = list(hub_documents(str(tmp_path), reading=Reading(missing_text="skip"), skipped=skipped))
    assert [d.text for d in hub] == ["a", "b"]
    assert skipped == {"missing_text": 4}


def test_experiments_read_records_that_are_not_valid(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": "x", "text": "caf\xe9"}\n{"id": "y", "text": "b"}\n')
    with pytest.raises(UserError, match="not valid UTF-8"):
        list(corpus_stage._documents(corpus_of(path)))
    replaced = list(corpus_stage._documents(corpus_of(path, "corpus.invalid_utf8=replace")))
    assert [d.text for d in replaced] == ["caf\ufffd", "b"]
    skipped: Counter[str] = Counter()
    kept = list(corpus_stage._documents(corpus_of(path, "corpus.invalid_utf8=skip"), skipped))
    assert ([d.id for d in kept], skipped) == (["y"], {"invalid_utf8": 1})
    with pytest.raises(UserError, match="allowed: error, replace, skip"):
        corpus_of(path, "corpus.invalid_utf8=drop")


def test_a_folder_is_followed_through_links_once(tmp_path, capsys, caplog):
    folder, outside = tmp_path / "in", tmp_path / "outside"
    for place in (folder / "sub", folder / ".git", outside / "deep"):
        place.mkdir(parents=True)
    names = {"z.jsonl": folder, "b.jsonl": folder / "sub", "c.jsonl": outside / "deep",
             "h.jsonl": folder / ".git"}  # fmt: skip
    for name, place in names.items():
        (place / name).write_text(lines([{"id": name, "text": corpus_text(len(name))}]))
    for name in ("n.csv", "m.md", "o.json", "p.xml", ".hidden.jsonl"):
        (folder / name).write_text("x")
    for link, target in {
        "a-link.jsonl": folder / "z.jsonl",  # the same file under another name
        "linked": outside,
        "again": outside / "deep",
        "loop": folder,
        "sub/up": folder / "sub",
        "above": tmp_path,
        "lost.jsonl": folder / "nowhere",
    }.items():
        (folder / link).symlink_to(target)
    files = [str(path.relative_to(folder)) for path in corpus_files([folder])]
    assert files == ["again/c.jsonl", "sub/b.jsonl", "z.jsonl"]
    assert not caplog.records
    assert edit_by_table(folder, tmp_path / "edited", "--dry-run") == 0
    (record,) = caplog.records
    assert record.getMessage() == (
        f"warning: not read in {str(folder)!r}: 1 dangling links (lost.jsonl), "
        "2 hidden (.git, .hidden.jsonl), 1 links to a folder above (above), "
        "4 of unknown suffix (m.md, n.csv, o.json, ...)"
    )
    assert edit_by_table(folder, tmp_path / "edited") == 0
    assert table_of(tmp_path / "edited")["id"].to_pylist() == ["c.jsonl", "b.jsonl", "z.jsonl"]
    caplog.clear()
    documents = list(corpus_stage._documents(corpus_of(folder)))
    assert [d.id for d in documents] == ["c.jsonl", "b.jsonl", "z.jsonl"]
    assert len(caplog.records) == 1
    twice = [folder / "z.jsonl", folder / "a-link.jsonl", folder]
    assert len(corpus_files(twice)) == 3
    assert corpus_files(twice)[0] == folder / "z.jsonl"


def test_odd_values_of_json_come_back(tmp_path):
    deep: object = {"end": True}
    for number in range(900):
        deep = [deep] if number % 2 else {"in": deep}
    rows = [
        {"text": corpus_text(1), "number": 7**7000, "deep": deep, "toedit_scores": 1,
         "toedit_editable": "mine", "metadata": '{"text": 1}', "changes": [], "toedit_tokens": {}},
        {"text": corpus_text(2), "number": -1, "deep": None, "toedit_scores": 2,
         "toedit_editable": "[[0, 3]]", "metadata": "", "changes": [1], "toedit_tokens": {}},
    ]  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text(lines(rows))
    assert edit_by_table(path, tmp_path / "out", "--generations", "2") == 0
    for row, edited in zip(rows, table_of(tmp_path / "out").to_pylist(), strict=True):
        assert edited.pop("id").startswith("a.jsonl:")
        for name in ("number", "deep", "toedit_tokens"):
            edited[name] = edited[name] and json.loads(edited[name])
        assert {**edited, "text": row["text"]} == row
        assert edited["text"] != row["text"]


def test_two_columns_of_our_names_alone_are_kept(tmp_path):
    rows = [{"text": corpus_text(1), "metadata": "x", "toedit_editable": "[[0, 5]]"}]
    (tmp_path / "a.jsonl").write_text(lines(rows))
    assert edit_by_table(tmp_path / "a.jsonl", tmp_path / "out") == 0
    (edited,) = table_of(tmp_path / "out").to_pylist()
    assert (edited["metadata"], edited["toedit_editable"]) == ("x", "[[0, 5]]")
    rows[0]["toedit_editable"] = "[[0, {}]]"  # no spans of ours, in an experiment
    (tmp_path / "b.jsonl").write_text(lines(rows))
    (document,) = local_documents([tmp_path / "b.jsonl"])
    assert document.editable is None
    assert document.metadata["toedit_editable"] == "[[0, {}]]"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a", "n": {"k": 1, "k": 2}}', "the key 'k' has two values; remove one"),
        ('{"text": "a", "text": "b"}', "the key 'text' has two values"),
        ('{"text": "a", "n": %s}' % ("9" * 200_000), "Exceeds the limit"),
        ('{"text": "a", "n": %s}' % ("[" * 9_000 + "]" * 9_000), "maximum recursion depth"),
    ],
)
def test_what_no_record_holds_is_a_line_with_file_and_row(tmp_path, capsys, packed, line, message):
    data = f'{{"text": "x", "n": 1, "n": 1}}\n{line}\n'.encode()
    path = tmp_path / ("mine.jsonl.gz" if packed else "mine.jsonl")
    path.write_bytes(gzip.compress(data) if packed else data)
    assert edit_by_table(path, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert f"{path.name!r} line 2 cannot be read: " in error
    assert message in error
    assert error.count("\n") == 1


def test_times_that_python_lacks_come_back(tmp_path):
    nested = pa.struct([("at", pa.timestamp("s"))])
    table = pa.table({
        "text": [corpus_text(i) for i in range(3)],
        "year": pa.array([12_000 * 366, None, -10**6], pa.date32()),
        "at": pa.array([2**60, 5, None], pa.timestamp("ms", "Mars/Olympus")),
        "inside": pa.array([[{"at": 2**50}], [], None], pa.list_(nested)),
        "pair": pa.array([[2**50, 1], None, [2, 3]], pa.list_(pa.timestamp("s"), 2)),
        "took": pa.array([2**62, 1, None], pa.duration("s")),
        "least": pa.array([-(2**63), 2, 3], pa.timestamp("ns", "UTC")),
        "flag": pa.array([1, 0, None], pa.int8()).cast(pa.bool8()),
        "uuid": pa.array([b"x" * 16, None, b"\xff" * 16], pa.binary(16)).cast(pa.uuid()),
        "late": pa.array([10**6, 2, None], pa.time32("s")),
        "usual": pa.array([1, 2, 3], pa.timestamp("ns")),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    assert edit_by_table(tmp_path / "a.parquet", tmp_path / "out") == 0
    edited = table_of(tmp_path / "out")
    assert edited.drop_columns(["text", "id"]).equals(pq.read_table(tmp_path / "a.parquet")
                                                      .drop_columns("text"))  # fmt: skip
    assert edited["text"].to_pylist() != table["text"].to_pylist()


def test_a_time_that_another_files_unit_does_not_reach_is_kept_as_text(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, value, unit in (("a", 10**11, "s"), ("b", 7, "ns")):  # the year 5138
        column = pa.array([value], pa.timestamp(unit))
        pq.write_table(pa.table({"text": ["x"], "at": column}), folder / f"{name}.parquet")
    assert edit_by_table(folder, tmp_path / "out") == 0
    assert [t[:10] for t in json.loads(f"[{','.join(table_of(tmp_path / 'out')['at'].to_pylist())}]"
                                       )] == ["5138-11-16", "1970-01-01"]  # fmt: skip


@pytest.mark.parametrize("rows", [3, 9000])  # the second is copied in smaller groups
def test_a_column_twice_is_a_line_that_names_the_file(tmp_path, capsys, rows):
    columns = [pa.array(["x"] * rows), pa.array([1] * rows), pa.array([2] * rows)]
    table = pa.Table.from_arrays(columns, names=["text", "n", "n"])
    pq.write_table(table, tmp_path / "twice.parquet", row_group_size=rows)
    assert edit_by_table(tmp_path / "twice.parquet", tmp_path / "out") == 2
    assert "'twice.parquet' has the column or field 'n' twice; rename" in capsys.readouterr().err
    inside = pa.StructArray.from_arrays(columns[1:], names=["k", "k"])
    pq.write_table(pa.table({"text": columns[0], "in": inside}), tmp_path / "twice.parquet")
    assert edit_by_table(tmp_path / "twice.parquet", tmp_path / "out") == 2
    assert "'twice.parquet' has the column or field 'k' twice; rename" in capsys.readouterr().err


def test_a_skipped_line_leaves_ids_as_they_are(tmp_path):
    source = tmp_path / "a.jsonl"
    broken = b'{"id": 2, "text": "caf\xe9"}\n'
    source.write_bytes(b'{"id": 1, "text": "one"}\n' + broken + b'{"id": 3, "text": "three"}\n')
    options = ["--prior", "table", "--invalid-utf8", "skip"]
    assert cli("edit", source, "--output", tmp_path / "out", *options) == 0
    assert table_of(tmp_path / "out")["id"].to_pylist() == [1, 3]
