"""Reading, splitting, packing and storing of text."""

import gzip
import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import SENTENCES, corpus_text
from hypothesis import given, settings
from hypothesis import strategies as st

from toedit.corpora.documents import Reading, read_documents, write_documents
from toedit.corpora.packing import pack
from toedit.corpora.prepare import hub_copy
from toedit.corpora.records import NO_COLUMN
from toedit.corpora.scores import read_scores, write_scores
from toedit.corpora.sources import at_commit, drop_repeated_lines, hub_documents, local_documents
from toedit.corpora.split import (
    connected_groups,
    held_out_mask,
    ngram_index,
    ngrams,
    overlapping,
    shuffled,
)
from toedit.corpora.units import Unit, corpus_files, make_units
from toedit.document import Document
from toedit.errors import UserError
from toedit.priors.base import CandidateRange
from toedit.priors.loading import load_tokenizer


@settings(max_examples=30)
@given(st.lists(st.text(max_size=30), max_size=6))
def test_documents_survive_a_shard(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("shard") / "00000.parquet"
    documents = [Document(f"d{i}", text, {"n": i, "t": text}) for i, text in enumerate(texts)]
    assert write_documents(path, documents) == len(texts)
    assert list(read_documents(Unit(str(path), 0, len(texts)))) == documents


def test_units_cover_every_row_once_in_every_format(tmp_path):
    rows = [{"id": f"{i}", "text": corpus_text(i), "year": i} for i in range(25)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=7)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "b.jsonl").write_text(lines)
    with gzip.open(tmp_path / "c.jsonl.gz", "wt") as handle:
        handle.write(lines)
    (tmp_path / "d.txt").write_text("".join(row["text"] + "\n" for row in rows))
    files = corpus_files([tmp_path])
    assert sum(unit.stop for unit in make_units(files)) == 25 * 4
    units = make_units(files, 6)
    assert len(units) == 4 * 5
    documents = [d for unit in units for d in read_documents(unit)]
    assert [d.text for d in documents] == [row["text"] for row in rows] * 4
    assert documents[3].metadata == {"year": 3}
    assert documents[80].id == "d.txt:5"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"body": "x"}\n', "has no column 'text'; its columns: body"),
        ('{"text": 3}\n', "holds int, not text"),
        ("not json\n", "line 1 is not JSON"),
        ("[1]\n", "not a JSON object"),
        ('{"text": "a\\ud800b"}\n', "line 1: character 11 is not valid UTF-8"),
    ],
)
def test_wrong_rows_are_named(tmp_path, content, message):
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        list(local_documents([path]))


def test_files_of_one_name_give_different_ids_and_foreign_metadata_survives(tmp_path):
    for folder, metadata in (("a", "pubmed"), ("b", {"source": "y"})):
        (tmp_path / folder).mkdir()
        row = {"text": folder, "source": "x", "metadata": metadata}
        (tmp_path / folder / "part.jsonl").write_text(json.dumps(row) + "\n")
    documents = list(local_documents([tmp_path]))
    assert [d.id for d in documents] == ["a/part.jsonl:0", "b/part.jsonl:0"]
    assert documents[0].metadata == {"source": "x", "metadata": "pubmed"}
    assert documents[1].metadata == {"source": "x", "metadata": {"source": "y"}}


def test_a_manifest_moves_with_its_folder(tmp_path):
    from toedit.corpora.units import read_units, write_units

    write_documents(tmp_path / "one" / "corpus" / "x.parquet", [Document("d", "text")])
    units = make_units(sorted((tmp_path / "one" / "corpus").glob("*")), 1)
    write_units(tmp_path / "one" / "work" / "manifest.json", units)
    (tmp_path / "one").rename(tmp_path / "two")
    moved = read_units(tmp_path / "two" / "work" / "manifest.json")
    assert [d.text for unit in moved for d in read_documents(unit)] == ["text"]


def test_wrong_files_are_named(tmp_path):
    (tmp_path / "x.csv").write_text("a")
    (tmp_path / "broken.parquet").write_text("a")
    for paths, message in (
        ([tmp_path / "none"], "does not exist"),
        ([tmp_path / "x.csv"], "unknown suffix"),
        ([tmp_path / "broken.parquet"], "is damaged"),
    ):
        with pytest.raises(UserError, match=message):
            list(local_documents(paths))


def test_hub_reader_on_a_local_folder_of_the_same_format(tmp_path):
    rows = [{"id": f"{i}", "body": corpus_text(i), "source": "s"} for i in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train-00000.parquet")
    documents = list(hub_documents(str(tmp_path), reading=Reading("body")))
    assert [d.text for d in documents] == [row["body"] for row in rows]
    assert documents[0].metadata == {"source": "s"}
    with pytest.raises(UserError, match="no column 'text'; its columns: id, body, source"):
        list(hub_documents(str(tmp_path)))


def test_hub_reader_on_a_file_in_an_archive(tmp_path):
    talk = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    rows = [{"id": f"t{i // 2}", "messages": talk} for i in range(6)]  # every id twice
    with ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("data/one/one.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        archive.writestr("data/two/two.jsonl", json.dumps({"text": "x"}))
    address = f"zip://data/one/one.jsonl::{tmp_path}/all.zip"

    def ids(files: str, **reading: str) -> list[str]:
        found = hub_documents(str(tmp_path), files=files,
                              reading=Reading(messages_column="messages", **reading))  # fmt: skip
        return [document.id for document in found]

    assert ids(address) == [row["id"] for row in rows]
    assert ids(address, id_column=NO_COLUMN) == [f"train:{i}" for i in range(6)]
    for wrong in (address.replace("one.jsonl", "1.jsonl"), address.replace("all.zip", "none.zip")):
        with pytest.raises(UserError, match="cannot load the data set"):
            ids(wrong)
    (tmp_path / "all.zip").write_bytes((tmp_path / "all.zip").read_bytes()[:90])
    with pytest.raises(UserError, match="File is not a zip file"):
        ids(address)


def test_the_commit_of_a_data_set_is_also_that_of_its_archive():
    files = "zip://a.jsonl::hf://datasets/lab/zips/b.zip"
    assert at_commit(files, "lab/zips", "77") == "zip://a.jsonl::hf://datasets/lab/zips@77/b.zip"
    assert at_commit(files, "lab/zips", None) == at_commit(files, "lab/zip", "77") == files
    assert at_commit("part-*/*.jsonl", "lab/zips", "77") == "part-*/*.jsonl"


def test_hub_reader_takes_a_column_that_only_a_later_row_has(tmp_path):
    rows = [{"other": i} for i in range(3)] + [{"text": "late", "other": 3}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = list(hub_documents(str(tmp_path), reading=Reading(missing_text="skip")))
    assert [document.text for document in found] == ["late"]


@pytest.mark.parametrize("policy", ["error", "keep", "skip"])
def test_hub_reader_lists_the_columns_where_that_of_the_text_is_missing(tmp_path, policy):
    (tmp_path / "a.jsonl").write_text('{"source": "part-0", "weight": 1}\n' * 3)
    line = r"has no column 'text'; its columns: source, weight; name one with corpus.text_column="
    with pytest.raises(UserError, match=line):
        list(hub_documents(str(tmp_path), reading=Reading(missing_text=policy)))


@pytest.mark.parametrize("read", [hub_documents, lambda name: hub_copy(name, Path(name) / "copy")])
def test_a_data_set_that_is_a_script_is_one_line(tmp_path, read):
    folder = tmp_path / "lab_text"
    folder.mkdir()
    (folder / "lab_text.py").write_text("raise SystemExit")
    with pytest.raises(UserError, match="lab_text' is a script, and no code of a data set is run"):
        list(read(str(folder)))


def test_repeated_lines_go_and_contained_ones_too():
    documents = [
        Document("a", "First line here.\nSecond line.\nline here."),
        Document("b", "SECOND  line.\nThird one."),
        Document("c", "first line here."),
    ]
    kept = list(drop_repeated_lines(documents))
    assert [(d.id, d.text) for d in kept] == [
        ("a", "First line here.\nSecond line."),
        ("b", "Third one."),
    ]
    assert kept[0].metadata == {"lines": 2, "lines_dropped": 1}


def test_shared_13_grams_connect_and_stay_on_one_side():
    words = [f"w{i}" for i in range(60)]
    chain = [" ".join(words[i : i + 20]) for i in (0, 7, 14)]  # neighbours share exactly 13 words
    apart = [" ".join(words[40:52]) + " x", " ".join(words[40:52]) + " y"]  # 12 shared words
    groups = connected_groups([*chain, *apart])
    assert groups[0] == groups[1] == groups[2] == 0
    assert groups[3] != groups[4]
    ids = [f"id{i}" for i in range(5)]
    for share in (0.2, 0.5, 0.8):
        mask = held_out_mask(ids, groups, share)
        assert len(set(mask[:3])) == 1
    texts = [corpus_text(i) for i in range(300)]
    mask = held_out_mask([f"d{i}" for i in range(300)], list(range(300)), 0.3)
    assert 60 < sum(mask) < 120
    assert overlapping(texts[:3], ngram_index(texts[1:2])) == [False, True, False]
    assert len(ngrams("")) == 0
    assert len(ngrams("one two")) == 1
    assert overlapping(["a b", ""], ngram_index([])) == [False, False]


def test_split_and_order_do_not_depend_on_the_order_of_documents():
    ids = [f"d{i}" for i in range(50)]
    forward = dict(zip(ids, held_out_mask(ids, list(range(50)), 0.3), strict=True))
    backward = dict(zip(ids[::-1], held_out_mask(ids[::-1], list(range(50)), 0.3), strict=True))
    assert forward == backward
    assert [ids[i] for i in shuffled(ids)] == [ids[::-1][i] for i in shuffled(ids[::-1])]
    assert list(shuffled(ids)) != list(range(50))


def test_packing_is_one_stream_with_separators(tiny_model):
    tokenizer = load_tokenizer(str(tiny_model))
    blocks = pack(SENTENCES, tokenizer, 0, 16, 70)
    stream = [t for s in SENTENCES for t in [*tokenizer(s).input_ids, 0]]
    assert blocks.shape == (4, 16)
    assert blocks.dtype == np.int32
    assert blocks.reshape(-1).tolist() == stream[:64]
    with pytest.raises(UserError, match=r"lower train\.tokens"):
        pack(SENTENCES, tokenizer, 0, 16, 100_000)


def test_scores_survive_a_shard(tmp_path, table_prior):
    texts = ["a quiz of quick wizards", "", "q", "הi"]
    scores = list(table_prior.score(texts, CandidateRange(3, above=0.2)))
    path = tmp_path / "scores.parquet"
    write_scores(
        path, [("a", scores[0]), ("failed", None), *zip("bcd", scores[1:], strict=True)], 3
    )
    back = list(read_scores(path))
    assert [identity for identity, _ in back] == ["a", "failed", "b", "c", "d"]
    assert back[1][1] is None
    for original, (_, read) in zip(scores, [back[0], *back[2:]], strict=True):
        for name in ("logprobs", "rows", "candidate_ids", "candidate_logprobs"):
            before, after = getattr(original, name), getattr(read, name)
            assert np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
            assert before.shape == after.shape
        assert np.array_equal(original.tokens.has_exact_span, read.tokens.has_exact_span)
