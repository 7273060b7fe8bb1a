"""Results that cannot be trusted are refused by name, and never averaged in."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from written import block_of, evaluation, right, run, three_arms

from experiments import tables as command
from experiments.analysis.evidence import Evidence


def _other_metric(folder: Path) -> None:
    record = json.loads((folder / "record.json").read_text())
    record["metrics"]["medqa_en"] = {"items": 60, "acc_norm": 0.5, "acc_norm_stderr": 0.01}
    (folder / "record.json").write_text(json.dumps(record))


def _other_identity(folder: Path) -> None:
    record = json.loads((folder / "record.json").read_text())
    record["identity"]["rev"] = 7
    (folder / "record.json").write_text(json.dumps(record))


def _cut_record(folder: Path) -> None:
    path = folder / "record.json"
    path.write_text(path.read_text()[:100])


def _other_answers(folder: Path) -> None:
    path = folder / "predictions" / "medqa_en.parquet"
    pq.write_table(pa.Table.from_pylist([{"item": "i0", "value": 1.0}]), path)


@pytest.mark.parametrize(
    ("damage", "said", "left"),
    [
        (_other_metric, "medqa_en was measured as acc_norm, not as acc", 3),
        (_other_identity, "has an identity that its fingerprint does not fit", 0),
        (_cut_record, "is damaged", 0),
        (_other_answers, "medqa_en.parquet", 3),
    ],
)
def test_what_cannot_be_trusted_is_refused_by_name(tmp_path, damage, said, left, capsys):
    label = three_arms(tmp_path)["evaluate/edited"]
    damage(tmp_path / label)
    _, block, _, evidence = block_of(tmp_path)
    name, why = next(iter(evidence.refused.items()))
    assert label.partition("/")[2] in name
    assert said in why
    row = block.rows[2]
    assert "MedQA (5 options)" not in row.cells
    assert "Avg" not in row.cells
    assert len(row.cells) == left
    command.main(["--store", str(tmp_path), "--out", str(tmp_path / "out"), "--no-figures"])
    assert said in capsys.readouterr().err
    assert said in (tmp_path / "out" / "ledger.md").read_text()


@pytest.mark.parametrize("kind", ["evaluate", "edit"])
def test_a_result_of_another_revision_is_refused_whatever_rests_on_it(tmp_path, kind):
    label = evaluation(tmp_path, "edited", 0, right(0.9, 1), [9.0] * 8, {kind: 7})
    run(tmp_path, "cpt_bio-5", "cpt_bio", {"evaluate/edited": label})
    _, block, _, evidence = block_of(tmp_path)
    assert block.filled == 0
    assert list(evidence.refused.values()) == [f"is of revision 7 of {kind}, this version has 1"]


def test_a_list_of_another_version_is_refused(tmp_path):
    three_arms(tmp_path)
    run(tmp_path, "cpt_bio-9", "cpt_bio", {}, format=99)
    (tmp_path / "reports" / "cut").mkdir()
    (tmp_path / "reports" / "cut" / "run.json").write_text("{")
    evidence = Evidence([tmp_path])
    assert len(evidence.runs) == 1
    assert sorted(evidence.refused.values()) == [
        "is damaged",
        "is of format 99, this version reads 1 to 2",
    ]
