"""Rows of many results in one file: nothing lost, nothing altered in silence."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.store import rows
from experiments.store.contents import inventory
from toedit.errors import UserError

NAME = "predictions/task.parquet"
VALUES = {
    "item": st.text(max_size=4),
    "nll": st.floats(allow_nan=False),
    "narrow": st.floats(width=32, allow_nan=False),
    "options": st.lists(st.floats(allow_nan=False), max_size=3),
    "gold": st.none() | st.integers(-9, 9),
}


@st.composite
def results(draw):
    """Rows by label; results differ in their columns and in how many rows they have."""
    found = {}
    for label in draw(st.sets(st.sampled_from([f"evaluate/{n}" for n in "abcdef"]), min_size=1)):
        names = draw(st.sets(st.sampled_from(sorted(VALUES)), min_size=1))
        fields = {name: VALUES[name] for name in sorted(names)}
        last = fields.popitem()  # not every row has it, and where one does it is not None
        some = {} if last[0] == "gold" else dict([last])
        row = st.fixed_dictionaries(fields, optional=some)
        found[label, NAME] = draw(st.lists(row, max_size=4))
    return found


@settings(max_examples=60)
@given(results(), results())
def test_rows_come_back_as_they_were_and_newer_ones_replace_them(tmp_path_factory, first, second):
    root = tmp_path_factory.mktemp("rows")
    for added in (first, second):
        rows.pack(root, added)
    for (label, name), expected in {**first, **second}.items():
        assert rows.read(root, label, name, {name: {}}) == expected


def test_numbers_of_32_bits_take_no_more_room(tmp_path):
    values = np.random.default_rng(0).normal(size=200)
    for name, own in (("narrow", values.astype(np.float32)), ("wide", values)):
        rows.pack(tmp_path, {("evaluate/a", f"{name}.parquet"): [{"x": float(v)} for v in own]})
    folder = tmp_path / "rows" / "evaluate"
    kinds = {path.stem: pq.read_schema(path).field("x").type for path in folder.iterdir()}
    assert kinds == {"narrow": pa.float32(), "wide": pa.float64()}


def test_a_file_of_its_own_goes_first_and_is_compared_with_its_hash(tmp_path):
    rows.pack(tmp_path, {("evaluate/a", NAME): [{"item": "packed"}]})
    path = tmp_path / "evaluate" / "a" / NAME
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"item": ["own"]}), path)
    files = inventory(tmp_path / "evaluate" / "a")
    assert rows.read(tmp_path, "evaluate/a", NAME, files) == [{"item": "own"}]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="has other content"):
        rows.read(tmp_path, "evaluate/a", NAME, files)
    with pytest.raises(UserError, match="its record lists no other"):
        rows.read(tmp_path, "evaluate/a", "other.parquet", files)


def test_damage_is_one_line_and_is_not_written_over(tmp_path):
    for label in ("evaluate/a", "evaluate/b"):
        rows.pack(tmp_path, {(label, NAME): [{"item": "x"}]})
    path = tmp_path / "rows" / "evaluate" / "task.parquet"
    table = pq.read_table(path)
    with pytest.raises(UserError, match="its rows are gone"):
        rows.read(tmp_path, "evaluate/c", NAME, {NAME: {}})
    changed = table.set_column(table.column_names.index("item"), "item", pa.array(["x", "y"]))
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
    assert rows.read(tmp_path, "evaluate/a", NAME, {NAME: {}}) == [{"item": "x"}]
    for act in (
        lambda: rows.read(tmp_path, "evaluate/b", NAME, {NAME: {}}),
        lambda: rows.pack(tmp_path, {("evaluate/c", NAME): []}),
    ):
        with pytest.raises(UserError, match="evaluate/b: its rows are other than"):
            act()
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="damaged"):
        rows.read(tmp_path, "evaluate/a", NAME, {NAME: {}})
    path.unlink()
    with pytest.raises(UserError, match="is gone"):
        rows.read(tmp_path, "evaluate/a", NAME, {NAME: {"bytes": 1, "sha256": ""}})
