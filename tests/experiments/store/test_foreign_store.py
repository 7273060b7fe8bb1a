"""A store from somebody else: nothing outside it is touched, and no finished result of it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from simple_stages import simple_stage
from written import evaluation, right, run, three_arms

from experiments import runner
from experiments.analysis.evidence import Evidence
from experiments.config import Config, TrackerConfig
from experiments.store import Store, rows
from experiments.store.__main__ import gc, ls, verify
from experiments.store.export import export
from experiments.store.records import advice, is_label, read_record
from experiments.store.runs import read_run
from toedit.errors import UserError
from toedit.locks import locked

CONFIG = Config(name="test", tracker=TrackerConfig(kind="none"))


@dataclass
class Number:
    value: int


def work(context):
    (context.folder / "result.txt").write_text("7")
    (context.folder / "model").mkdir(exist_ok=True)
    (context.folder / "model" / "weights").write_text("w")
    return {"value": 7}


TRAIN = simple_stage("train", "arm", work)
CHECK = simple_stage("evaluate", "arm", work, inputs={"model": TRAIN})
UNREAD = simple_stage("train", "unread", work, Number(2))


@pytest.fixture()
def store(tmp_path) -> Store:
    """A model, its evaluation, and a result that nothing needs."""
    store = Store(tmp_path / "store")
    runner.execute(CONFIG, [TRAIN, CHECK, UNREAD], store)
    return store


@pytest.fixture()
def outside(tmp_path) -> Path:
    """Files that have nothing to do with the store, named as those that it would remove."""
    folder = tmp_path / "outside"
    for name in ("canary", "record.json", "sub/.canary.tmp", "x.json", "registry"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} is mine")
    return folder


def tree(*folders: Path) -> dict[Path, bytes]:
    files = (path for folder in folders for path in folder.rglob("*"))
    return {p: p.read_bytes() for p in files if p.is_file() and "locks" not in p.parts}


def change(store: Store, stage, **fields) -> None:
    path = store.folder(stage) / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def require_refused(store: Store, before: dict[Path, bytes], *folders: Path) -> str:
    """``gc --delete`` ends in one line, which it returns, and everything is as before."""
    for interrupted in (False, True):
        with pytest.raises(UserError) as error:
            gc(Store(store.root, create=False), True, interrupted)
        assert "\n" not in str(error.value)
        assert tree(*folders) == before
    return str(error.value)


NAMES = [
    "..", ".", "", "../..", "../../outside", "../../evaluate", "/etc", "a/../..", "./model",
    "model/", "a//b", "model", "model/weights", "record.json", "Record.JSON", "x\0", "x" * 300,
    "\ud800", 7, None, ["model"], {}, "out", "out/canary", "here/model/weights", "here/record.json",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:20])
def test_gc_removes_no_scratch_outside_its_stage_and_nothing_of_a_result(store, outside, name):
    folder = store.folder(TRAIN)
    (folder / "out").symlink_to(outside)
    (folder / "here").symlink_to(".")
    change(store, TRAIN, scratch=["none", name])
    before = tree(store.root, outside)
    assert TRAIN.label in require_refused(store, before, store.root, outside)


def test_gc_still_removes_scratch_and_links_that_stay_inside(store):
    folder = store.folder(TRAIN)
    (folder / "half").mkdir()
    (folder / "half" / "big").write_text("x")
    (folder / "last").symlink_to("half")
    change(store, TRAIN, scratch=["half", "last", "never/was"])
    assert gc(store, True, False) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["model", "record.json", "result.txt"]
    assert not store.folder(UNREAD).exists()


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("place", ["train", f"train/unread-{UNREAD.fingerprint}"])
def test_a_kind_or_a_result_that_is_a_link_is_not_followed(store, outside, place, inside, capsys):
    target = (store.root if inside else outside) / "elsewhere"
    shutil.move(store.root / place, target)
    (store.root / place).symlink_to(target)
    before = tree(store.root, outside)
    assert UNREAD.label in require_refused(store, before, store.root, outside) or place == "train"
    with pytest.raises(UserError, match="behind a link"):
        runner.execute(CONFIG, [UNREAD], store)
    forced = Config(name="test", tracker=TrackerConfig(kind="none"), force="train")
    with pytest.raises(UserError, match="behind a link"):
        runner.execute(forced, [UNREAD], store)
    assert verify(store) == 1
    assert f"{CHECK.label}" not in capsys.readouterr().out  # the others are as they were
    after = tree(store.root, outside)
    assert {p: after.get(p) for p in before} == before


@pytest.mark.parametrize(
    "place",
    [
        "attempts", "jobs", "locks", "records", "reports", "rows", "sweeps", "wandb", "jobs/x.json",
        "locks/registry", "reports/x", "rows/evaluate", "records/train.jsonl",
    ],
)  # fmt: skip
def test_no_folder_of_the_store_leads_out(store, outside, place):
    path = store.root / place
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True) if path.is_file() else shutil.rmtree(path, ignore_errors=True)
    path.symlink_to(outside / path.name if "/" in place else outside)
    before = tree(store.root, outside)
    assert repr(str(path)) in require_refused(store, before, store.root, outside)
    for command in (ls, verify, lambda own: export(own, store.root.parent / "target")):
        with pytest.raises(UserError, match="leads out"):
            command(Store(store.root, create=False))
    with pytest.raises(UserError, match="leads out"):
        export(Store(store.root.parent / "other"), store.root)
    assert list(Evidence([store.root]).refused) == [str(store.root / "format.json")]


@pytest.mark.parametrize("name", ["result.txt", "model"])
def test_files_of_a_result_are_read_and_written_through_no_link(store, outside, name, capsys):
    path = store.folder(TRAIN) / name
    shutil.move(path, outside / name)
    path.symlink_to(outside / name)
    assert verify(store) == 1
    (line, last) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{TRAIN.label}: ") and "leads out" in line
    assert last == "3 results checked, 1 damaged"
    shutil.rmtree(store.folder(CHECK))
    with pytest.raises(UserError, match="leads out"):
        runner.execute(CONFIG, [TRAIN, CHECK], store)
    begun = simple_stage("train", "begun", work, Number(3))
    (store.root / begun.label).mkdir()
    (store.root / begun.label / name).symlink_to(outside / name)
    before = tree(outside)
    with pytest.raises(UserError, match="leads out"):
        runner.execute(CONFIG, [begun], store)
    assert tree(outside) == before


def test_a_lock_is_no_link(tmp_path, outside):
    (tmp_path / "lock").symlink_to(outside / "canary")
    with pytest.raises(UserError, match="is a link"), locked(tmp_path / "lock", "it"):
        pass
    assert (outside / "canary").read_text() == "canary is mine"


@pytest.mark.parametrize(
    "label",
    [
        "train", "train/", "/train/x-0123456789ab", "../x-0123456789ab", "./x-0123456789ab",
        "train/x", "train/../x-0123456789ab", "train/x/y-0123456789ab", "train/x-0123456789AB",
        "locks/train-0123456789ab", "reports/x-0123456789ab", ".git/x-0123456789ab",
        "train/\n-0123456789ab", 7, None, ["train/x-0123456789ab"], "evaluate/x-0123456789ab",
    ],
    ids=repr,
)  # fmt: skip
def test_a_label_that_is_none_is_damage(store, label):
    """In a packed record, an input, a job and a run."""
    lines = store.root / "records" / "train.jsonl"
    lines.parent.mkdir()
    lines.write_text(json.dumps({"label": label, "metrics": {}, "identity": {}}) + "\n")
    before = tree(store.root)
    assert f"line 1 of {str(lines)!r}" in require_refused(store, before, store.root)
    lines.unlink()
    if is_label(label):
        return
    change(store, CHECK, inputs={"model": label})
    before = tree(store.root)
    assert CHECK.label in require_refused(store, before, store.root)
    change(store, CHECK, inputs={"model": TRAIN.label})
    texts = dict.fromkeys(("experiment", "process", "begun", "command"), "x")
    for place, content in (
        ("jobs/x.json", {**texts, "stages": [label]}),
        ("reports/x/run.json", {"stages": [{"label": label}]}),
        ("reports/x/run.json", {"stages": {"train/x": label}}),
    ):
        path = store.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        before = tree(store.root)
        assert repr(str(path)) in require_refused(store, before, store.root)
        path.unlink()


DEEP = "[" * 1000 + "]" * 1000
VALUES = ["null", "[]", "{}", '"1"', "7", "[[7]]", '{"a": 7}', "NaN", "-Infinity", "1e999",
          "1" + "0" * 400, "1" + "0" * 5000, DEEP, '{"a":' * 200 + "1" + "}" * 200,
          '"\\ud800"', "\xff", "{"]  # fmt: skip
"""JSON, or nearly, in place of a value."""


def damaged(text: str, field: str, value: str) -> str:
    """An object with another value of a field; ``""`` for the whole."""
    return (
        value if not field else json.dumps({**json.loads(text), field: "@"}).replace('"@"', value)
    )


QUICK = [value if n % 4 == 1 else pytest.param(value, marks=pytest.mark.slow)
         for n, value in enumerate(VALUES)]  # fmt: skip


@pytest.mark.parametrize("value", QUICK, ids=lambda value: value[:9])
def test_files_of_the_store_of_wrong_types_are_one_line(tmp_path, value, capsys):
    root = tmp_path / "store"
    three_arms(Store(root).root)
    (page,) = (root / "reports").glob("*/run.json")
    (record,) = root.glob("evaluate/edited-*/record.json")
    job, old = root / "jobs" / "x.json", root / "reports" / "old" / "results.json"
    texts = dict.fromkeys(("experiment", "process", "begun", "command"), "x")
    for path, content in ((job, {**texts, "stages": []}), (old, {"stages": {}})):
        path.parent.mkdir()
        path.write_text(json.dumps(content))
    gc(Store(root), False, True)
    for path in (root / "format.json", page, record, job, old):
        text = path.read_text()
        for field in ("", *json.loads(text)):
            path.write_bytes(damaged(text, field, value).encode("latin-1"))
            for command in (
                ls, verify, lambda own: gc(own, False, True),
                lambda own: export(own, tmp_path / "out"),
                lambda own: Evidence([own.root]).results("cpt_bio", "evaluate"),
            ):  # fmt: skip
                try:
                    command(Store(root, create=False))
                except UserError as error:
                    assert "\n" not in str(error) and len(str(error)) < 1000
                    assert str(path) in str(error) or path.parent.name in str(error)
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
        path.write_text(text)
    capsys.readouterr()
    assert verify(Store(root)) == 0


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value[:9])
def test_one_damaged_record_hides_no_other(tmp_path, value, capsys):
    root = tmp_path / "store"
    stages = three_arms(Store(root).root)
    lost = stages.pop("evaluate/edited")
    path = root / lost / "record.json"
    path.write_bytes(damaged(path.read_text(), "metrics", value).encode("latin-1"))
    if value in ("{}", '{"a": 7}'):  # of the right type
        return
    assert verify(Store(root)) == 1
    said = capsys.readouterr().out
    assert said.count(str(path)) == 1 and "delete the folder" in said
    assert said.endswith("7 results checked, 1 damaged\n")
    assert ls(Store(root)) == 0
    assert "damaged" in next(o for o in capsys.readouterr().out.splitlines() if o.startswith(lost))
    evidence = Evidence([root])
    assert [own.label for own in evidence.results("cpt_bio", "evaluate")] == [*stages.values()]
    assert evidence.refused == {str(path): "is damaged"}
    with pytest.raises(UserError, match="nothing is removed"):
        gc(Store(root), True, False)


def packed(tmp_path: Path) -> tuple[Path, Path]:
    three_arms(Store(tmp_path / "source").root)
    export(Store(tmp_path / "source"), tmp_path / "packed")
    return tmp_path / "source", tmp_path / "packed"


@pytest.mark.parametrize("value", VALUES[:5] + VALUES[12:], ids=lambda value: value[:9])
def test_a_damaged_line_hides_no_other_and_says_what_to_do(tmp_path, value, capsys):
    source, root = packed(tmp_path)
    path = root / "records" / "evaluate.jsonl"
    first, *others = path.read_text().splitlines()
    path.write_bytes("\n".join([damaged(first, "files", value), *others, ""]).encode("latin-1"))
    if value == "{}":
        return
    assert verify(Store(root)) == 1
    said = capsys.readouterr().out
    assert f"line 1 of {str(path)!r} is damaged" in said
    assert "delete the line and export" in said and "delete the folder" not in said
    path.write_text("\n".join([*others, ""]))  # as it says
    export(Store(source), root)
    assert path.read_text().splitlines() == [first, *others]
    assert verify(Store(root)) == 0


@pytest.mark.parametrize("how", ["rows", "list", "record"])
def test_the_advice_for_packed_results_mends_them(tmp_path, how, capsys):
    import pyarrow.parquet as pq

    source, root = packed(tmp_path)
    path = root / "rows" / "evaluate" / "heldout.parquet"
    lines = root / "records" / "evaluate.jsonl"
    table = pq.read_table(path)
    listed = json.loads(table.schema.metadata[b"results"])
    label = sorted(listed)[0]
    before = {p: p.read_bytes() for p in (path, lines)}
    if how == "rows":
        listed[label]["sha256"] = "0" * 64
    elif how == "list":
        del listed[label]
    if how == "record":
        row, *rest = [json.loads(line) for line in lines.read_text().splitlines()]
        del row["files"]
        lines.write_text("".join(json.dumps(own) + "\n" for own in (row, *rest)))
    else:
        metadata = {b"results": json.dumps(listed).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), path)
    rows._read_pack.cache_clear()
    assert verify(Store(root)) == 1
    line, _ = capsys.readouterr().out.splitlines()
    assert line.startswith(label) and line.endswith(advice(root, label))
    assert f"delete the line of {label} in {str(lines)!r} and export it again" in line
    lines.write_text("".join(
        f"{own}\n" for own in lines.read_text().splitlines() if json.loads(own)["label"] != label
    ))  # fmt: skip
    export(Store(source), root)
    assert verify(Store(root)) == 0
    assert lines.read_bytes() == before[lines]
    assert pq.read_table(path).equals(pq.read_table(source_of(before[path])))


def source_of(content: bytes):
    import pyarrow as pa

    return pa.BufferReader(content)


@pytest.mark.parametrize("listed", ["[]", "7", '{"x": 7}', '{"@": {}}', '{"@": {"columns": 7}}',
                                    '{"@": {"columns": [7], "some": []}}', DEEP,
                                    '{"@": {"columns": ["item"], "some": ["gone"]}}'])  # fmt: skip
def test_a_list_of_rows_of_wrong_types_is_one_line(tmp_path, listed, capsys):
    import pyarrow.parquet as pq

    _, root = packed(tmp_path)
    path = root / "rows" / "evaluate" / "heldout.parquet"
    table = pq.read_table(path)
    label = json.loads((root / "records" / "evaluate.jsonl").read_text().splitlines()[0])["label"]
    metadata = {b"results": listed.replace("@", label).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    assert verify(Store(root)) == 1
    assert capsys.readouterr().out.count("\n") == 4  # three evaluations and the sum
    evidence = Evidence([root])
    for result in evidence.results("cpt_bio", "evaluate"):
        with pytest.raises(UserError):
            result.rows("predictions/heldout.parquet")


def test_rows_that_name_our_own_columns_are_not_exported(tmp_path):
    root = Store(tmp_path / "source").root
    label = evaluation(root, "source", 0, right(0.4, 10), [20.0] * 8)
    run(root, "cpt_bio-1", "cpt_bio", {"evaluate/source": label})
    own = [{"item": "a", "_result": "evaluate/other-0123456789ab"}]
    with pytest.raises(UserError, match="do not fit"):
        rows.pack(tmp_path / "target", {(label, "predictions/x.parquet"): own})


def test_inputs_of_a_record_are_those_of_its_fingerprint(tmp_path):
    """Or a record that names itself would be followed for ever."""
    root = Store(tmp_path).root
    label = evaluation(root, "source", 0, right(0.4, 10), [20.0] * 8)
    run(root, "cpt_bio-1", "cpt_bio", {"evaluate/source": label})
    path = root / label / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "inputs": {"model": label}}))
    evidence = Evidence([root])
    assert evidence.results("cpt_bio", "evaluate") == []
    assert evidence.refused == {str(path): "names other inputs than its fingerprint"}


def test_a_store_behind_links_that_is_moved_or_packed_goes_on(tmp_path, capsys):
    source, root = packed(tmp_path)
    (source / "wandb").mkdir()
    (source / "wandb" / "debug.log").symlink_to("/var/log/none")  # as wandb's own
    (source / "mine").symlink_to(tmp_path)  # holds no result
    links = tmp_path / "links"
    links.mkdir()
    (links / "results").symlink_to(root)
    (links / "store").symlink_to("../source", target_is_directory=True)
    for folder in (links / "results", links / "store"):
        assert (
            verify(Store(folder)) == 0
            and ls(Store(folder)) == 0
            and gc(Store(folder), True, 0) == 0
        )
        assert len(Evidence([folder]).results("cpt_bio", "evaluate")) == 3
    assert export(Store(links / "store"), links / "results") == []
    moved = source.rename(tmp_path / "moved")
    assert verify(Store(moved)) == 0
    (page,) = moved.glob("reports/*/run.json")
    labels = [entry.label for entry in read_run(moved, page).stages]
    assert all(read_record(moved, label) == read_record(root, label) for label in labels)
