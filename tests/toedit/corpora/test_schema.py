"""What comes out as it went in: nested columns, 64-bit integers, and features of columns."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import cli, lines, table_of
from conftest import corpus_text

from toedit.corpora import schema as schemas
from toedit.corpora.records import AS_JSON

BIG = 1234567890123456789


def passed(path, output, *options) -> list[dict]:
    """The records of an output, JSON columns decoded; edits a text, twice."""
    options = ("--prior", "table", "--preset", "forced", "--threshold", "0.2",
               "--generations", "2", *options)  # fmt: skip
    assert cli("edit", path, "--output", output, *options) == 0
    table = table_of(output)
    texts = [f.name for f in table.schema if f.metadata == AS_JSON]
    return [
        {k: json.loads(v) if k in texts and v is not None else v for k, v in row.items()}
        for row in table.to_pylist()
    ]


def without_text(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "text"} for row in rows]


VALUES = {
    "keys differ deep inside": [{"x": [{"y": {"k": 1}}]}, {"x": [{"y": {"l": 1}}]}, {"x": []}],
    "no keys": [{}, {"a": {}}, {"a": {"b": 1}}],
    "lists of lists": [[[{"a": 1}], []], [[{"b": [{}]}]], [[]]],
    "integers beside floats": [BIG, 1.5, None],
    "large integers beside floats": [2**63, 0.5, -1],
    "integers beside floats in dictionaries": [{"n": BIG}, {"n": 1.5}, {"n": None}],
    "integers beside floats in lists": [[BIG], [1.5, 2], []],
    "integers beyond 64 bits": [2**63, -1, 2**70],
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("files", ["one file", "several files", "several chunks"])
def test_json_values_come_back(tmp_path, monkeypatch, name, files):
    rows = [{"id": f"{i}", "text": corpus_text(i), "v": v} for i, v in enumerate(VALUES[name])]
    folder = tmp_path / "in"
    folder.mkdir()
    if files == "several files":
        for i, row in enumerate(rows):
            (folder / f"{i}.jsonl").write_text(lines([row]))
    else:
        (folder / "a.jsonl").write_text(lines(rows))
        if files == "several chunks":
            monkeypatch.setattr(schemas, "CHUNK", 1)
    found = passed(folder, tmp_path / "out")
    assert without_text(found) == without_text(rows)
    assert table_of(tmp_path / "out").schema.field("v").metadata == AS_JSON
    again = passed(tmp_path / "out" / "data", tmp_path / "again")  # JSON texts of ours are known
    assert without_text(again) == without_text(rows)


def test_dictionaries_of_equal_keys_stay_structs_and_numbers_numbers(tmp_path):
    rows = [
        {"id": "a", "text": "a", "d": {"k": 1, "l": [{"m": 1}]}, "n": 2**60, "f": 1, "o": None},
        {"id": "b", "text": "b", "d": {"l": [], "k": None}, "n": None, "f": 1.5, "o": {"p": 1}},
        {"id": "c", "text": "c", "d": None, "n": 3, "f": None, "o": None},
    ]
    (tmp_path / "a.jsonl").write_text(lines(rows))
    assert without_text(passed(tmp_path / "a.jsonl", tmp_path / "out")) == without_text(rows)
    schema = table_of(tmp_path / "out").schema
    assert pa.types.is_struct(schema.field("d").type)
    assert pa.types.is_struct(schema.field("o").type)
    assert (schema.field("n").type, schema.field("f").type) == (pa.int64(), pa.float64())


def parquet(folder, **columns) -> None:
    folder.mkdir(exist_ok=True)
    number = len(list(folder.iterdir()))
    rows = len(next(iter(columns.values())))
    ids = [f"{number}-{i}" for i in range(rows)]
    texts = [corpus_text(10 * number + i) for i in range(rows)]
    table = pa.table({"id": ids, "text": texts, **columns})
    pq.write_table(table, folder / f"{number}.parquet")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([BIG, 1]), pa.array([1.5, float("inf")])),
        (pa.array([2**64 - 1, None], pa.uint64()), pa.array([-1, 2], pa.int64())),
        (pa.array([{"a": BIG}, None]), pa.array([{"a": 0.5}])),
        (pa.array([{"a": 1, "b": None}, None]), pa.array([{"b": "x", "a": 1}])),
        (pa.array([[{"a": {"k": 1}}], []]), pa.array([[{"a": {"l": "ü"}}]])),
    ],
)
def test_parquet_files_of_different_types_keep_their_values(tmp_path, first, second):
    for values in (first, second):
        parquet(tmp_path / "in", v=values)
    found = [row["v"] for row in passed(tmp_path / "in", tmp_path / "out")]
    assert found == [*first.to_pylist(), *second.to_pylist()]


def test_small_integers_beside_floats_stay_numbers_and_bytes_are_refused(tmp_path, capsys):
    parquet(tmp_path / "in", v=pa.array([2**53, 1]))
    parquet(tmp_path / "in", v=pa.array([0.5, None]))
    assert [r["v"] for r in passed(tmp_path / "in", tmp_path / "out")] == [2**53, 1, 0.5, None]
    assert table_of(tmp_path / "out").schema.field("v").type == pa.float64()
    parquet(tmp_path / "bytes", v=pa.array([{"image": {"bytes": b"\xff"}}]))
    parquet(tmp_path / "bytes", v=pa.array([{"image": {"bytes": b"\xff", "path": "x"}}]))
    assert cli("edit", tmp_path / "bytes", "--output", tmp_path / "o", "--prior", "table") == 2
    assert "0.parquet' has another column 'v' than other files" in capsys.readouterr().err


def test_integers_beside_a_missing_number_in_parquet_and_json(tmp_path):
    parquet(tmp_path / "in", v=pa.array([BIG, None]))
    (tmp_path / "in" / "b.jsonl").write_text(lines([{"id": "b", "text": "x", "v": float("nan")}]))
    found = [row["v"] for row in passed(tmp_path / "in", tmp_path / "out")]
    assert found[:2] == [BIG, None]
    assert str(found[2]) == "nan"


def features_of(output):
    from datasets import load_dataset

    return load_dataset(str(output), split="train", cache_dir=str(output / "cache"))


def labelled(path, names, values, **more) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"id": Value("string"), "text": Value("string"),
                         "label": ClassLabel(names=names), **more})  # fmt: skip
    columns = {"id": [f"{path.stem}{i}" for i in range(len(values))],
               "text": [corpus_text(i) for i in range(len(values))], "label": values}  # fmt: skip
    columns |= {name: [None] * len(values) for name in more}
    path.parent.mkdir(exist_ok=True)
    Dataset.from_dict(columns, features=features).to_parquet(path)


def test_features_survive_nested_ones_too(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Image, Json, List, Value

    features = Features({
        "text": Value("large_string"), "tags": List(ClassLabel(names=["x", "y"])),
        "at": Value("timestamp[us]"), "image": Image(), "small": Value("int8"),
        "chat": List({"role": Value("string"), "content": Value("string"), "more": Json()}),
    })  # fmt: skip
    columns = {
        "text": ["A quiet day.", "A sleepy day."], "tags": [[1, 0], []], "at": [0, 10**9],
        "image": [None, None], "small": [1, None],
        "chat": [[{"role": "user", "content": "?", "more": {"a": 1}},
                  {"role": "assistant", "content": corpus_text(0), "more": {"b": [1, "x"]}}], []],
    }  # fmt: skip
    source = Dataset.from_dict(columns, features=features)
    source.to_parquet(tmp_path / "a.parquet")
    for options in ((), ("--messages-column", "chat")):
        output = tmp_path / f"out{len(options)}"
        passed(tmp_path / "a.parquet", output, *options)
        found = features_of(output)
        assert found.features == {**features, "id": Value("string")}
        assert found["tags"][:] == columns["tags"]
        assert found["at"][:] == source["at"][:]
        turns = found["chat"][0]
        assert [turn["more"] for turn in turns] == [turn["more"] for turn in columns["chat"][0]]
        assert (turns[1]["content"] != corpus_text(0)) == bool(options)


@pytest.mark.parametrize("other", ["same", "none", "json", "none, out of range", "other names"])
def test_features_of_several_files(tmp_path, other, caplog):
    folder = tmp_path / "in"
    labelled(folder / "a.parquet", ["no", "yes"], [1, 0])
    if other in ("same", "other names"):
        names = ["no", "yes"] if other == "same" else ["yes", "no"]
        labelled(folder / "b.parquet", names, [1])
    elif other == "json":
        (folder / "b.jsonl").write_text(lines([{"id": "b0", "text": "x", "label": 1, "new": 2}]))
    else:
        labels = [7 if "range" in other else 1]
        pq.write_table(pa.table({"id": ["b0"], "text": ["x"], "label": labels}),
                       folder / "b.parquet")  # fmt: skip
    passed(folder, tmp_path / "out")
    found = features_of(tmp_path / "out")
    assert found["label"][:] == [1, 0, 7 if "range" in other else 1]
    kept = other in ("same", "none", "json")
    assert getattr(found.features["label"], "names", None) == (["no", "yes"] if kept else None)
    assert ("disagree on the class names" in caplog.text) == (not kept)


def test_features_of_a_data_set_read_through_datasets_survive(tmp_path):
    from datasets import Value

    from toedit.corpora.prepare import hub_copy

    labelled(tmp_path / "set" / "train.parquet", ["no", "yes"], [1, -1], empty=Value("int16"))
    hub_copy(str(tmp_path / "set"), tmp_path / "copy")
    passed(tmp_path / "copy", tmp_path / "out")
    found = features_of(tmp_path / "out").features
    assert found["label"].names == ["no", "yes"]
    assert found["empty"] == Value("int16")


def categories(names: list[str]) -> pa.Array:
    """Texts as pandas writes a categorical column of few categories."""
    return pa.array(names).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string()))


def test_categories_of_two_files_may_be_more_than_the_index_of_one_reaches(tmp_path):
    names = [[f"journal {i}" for i in range(start, start + 90)] for start in (0, 90)]
    for part in names:
        parquet(tmp_path / "in", v=categories(part))
    found = [row["v"] for row in passed(tmp_path / "in", tmp_path / "out")]
    assert found == [*names[0], *names[1]]
    parquet(tmp_path / "one", v=categories(names[0]))
    passed(tmp_path / "one", tmp_path / "alone")
    assert table_of(tmp_path / "alone").schema.field("v").type == categories([]).type


@pytest.mark.parametrize("encoded", [0, 1])
def test_categories_beside_texts_become_texts(tmp_path, encoded):
    values = [pa.array(["ü", None]), pa.array(["b", "c"])]
    values[encoded] = categories(values[encoded].to_pylist())
    for part in values:
        parquet(tmp_path / "in", v=part)
    found = [row["v"] for row in passed(tmp_path / "in", tmp_path / "out")]
    assert found == ["ü", None, "b", "c"]


@pytest.mark.parametrize("kind", [pa.int16(), pa.struct([pa.field("k", pa.string(), False)])])
def test_a_column_that_may_not_be_null_is_null_in_files_that_lack_it(tmp_path, kind):
    values = pa.array([7] if kind == pa.int16() else [{"k": "x"}], kind)
    columns = [pa.field("text", pa.string(), False), pa.field("v", kind, False)]
    table = pa.table([pa.array(["a text"]), values], schema=pa.schema(columns))
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in" / "a.parquet")
    (tmp_path / "in" / "b.txt").write_text("another\n")
    found = [row["v"] for row in passed(tmp_path / "in", tmp_path / "out")]
    assert found == [values[0].as_py(), None]
    passed(tmp_path / "in" / "a.parquet", tmp_path / "alone")
    assert table_of(tmp_path / "alone").schema.field("v").nullable is False
