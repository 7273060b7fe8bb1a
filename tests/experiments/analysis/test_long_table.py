"""The long table of observations: what it holds is what the tables are made of."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from written import three_arms

from experiments.analysis import long_table
from experiments.analysis.evidence import Evidence
from experiments.analysis.metrics import FIELDS
from experiments.reports.tables.build import build_all
from experiments.tables import main
from toedit.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "observations.parquet"
    number = long_table.write(Evidence([ROOT / "results"]), path)
    found = pq.read_table(path).to_pydict()
    assert number == len(found["item"])
    return {name: np.array(values, object) for name, values in found.items()}


def test_every_cell_is_a_ratio_of_sums(table):
    """Sums by result, task and metric are the values by seed of all cells."""
    evidence, checked = Evidence([ROOT / "results"]), 0
    scores = table["metric"] == "score"
    for built in build_all(evidence):
        for block in built.blocks:
            for row in block.rows:
                for cell in row.cells.values():
                    for arm, metric in cell.observed:
                        if not (metric.is_score and cell.results):
                            continue
                        for seed, result in row.results.items():
                            own = scores & (table["result"] == result.label)
                            own &= (table["task"] == metric.task) & (
                                table["run"] == result.run.folder.name
                            )
                            above = table["numerator"][own].sum() / table["denominator"][own].sum()
                            assert 100 * above == pytest.approx(cell.seeds[seed])
                            clusters = set(arm[seed].clusters)
                            assert set(table["cluster"][own]) == clusters
                            checked += 1
    assert checked > 100


def test_fields_say_which_model_and_item(table):
    assert list(table) == long_table.SCHEMA.names
    counted = {"near-certain tokens", "near-certain tokens of responses"}
    assert set(table["metric"]) == {"score", *FIELDS, "bits per byte", "log perplexity", *counted}
    key = list(zip(*(table[c] for c in ("run", "result", "task", "item", "metric")), strict=True))
    assert len(set(key)) == len(key)
    assert {0, 1, 2, None} <= set(table["seed"])
    assert None not in set(table["cluster"])


def test_the_command_writes_it(tmp_path, capsys):
    main(["observations", "--store", str(ROOT / "results"), "--out", str(tmp_path)])
    said = capsys.readouterr()
    assert "observations.parquet" in said.out
    assert said.err == ""
    assert pq.ParquetFile(tmp_path / "observations.parquet").metadata.num_rows > 100_000


def test_the_command_names_what_it_leaves_out(tmp_path, capsys):
    stages = three_arms(tmp_path / "store")
    path = tmp_path / "store" / stages["evaluate/edited"] / "record.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"kind": "train"}))
    main(["observations", "--store", str(tmp_path / "store"), "--out", str(tmp_path)])
    line = capsys.readouterr().err
    assert line.startswith("refused: ") and "is not of this folder" in line


def test_an_altered_file_is_refused_and_nothing_is_written(tmp_path):
    stages = three_arms(tmp_path / "store")
    label = stages["evaluate/edited"]
    path = tmp_path / "store" / label / "predictions" / "medqa_en.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="medqa_en"):
        long_table.write(Evidence([tmp_path / "store"]), tmp_path / "out" / "o.parquet")
    assert not list((tmp_path / "out").iterdir())
