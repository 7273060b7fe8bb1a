"""Synthesis as a stage: any number of workers writes the same, copies are dropped, seeds known."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import Command, files, records, run

from evals.domains import passages


def arguments(model: Path, store: Path, *more: str) -> list[str]:
    return [
        "+exp=synthesize", f"store={store}", f"prior.model={model}", "prior.max_length=64",
        "prior.overlap=8", "mixture.domains=[exams]", "mixture.heldout_domains=[children]",
        "synthesis.mode=continue", "synthesis.documents=24", "synthesis.extract=24",
        "synthesis.max_new_tokens=16", "synthesis.min_characters=1", "synthesis.batch=4",
        "synthesis.temperature=5",
        "engine.rows_per_unit=8", "tracker=none", *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_workers_and_kills_change_no_text(tiny_model, tmp_path):
    run(arguments(tiny_model, tmp_path / "one"), tmp_path / "log")
    (folder,) = (tmp_path / "one" / "synthesize").glob("*")
    rows = pq.read_table(folder / "synthetic.parquet").to_pylist()
    metrics = json.loads((folder / "record.json").read_text())["metrics"]
    assert metrics["asked"] == 24
    assert len(rows) == 24 - metrics["too_short"] - metrics["near_duplicates"]
    assert {row["seed_id"] for row in rows} <= {p.id for p in passages("exams")}
    assert len({row["text"] for row in rows}) == len(rows)

    again = arguments(tiny_model, tmp_path / "two", "engine.workers=2")
    command = Command(again, tmp_path / "log")
    while command.running and not list((tmp_path / "two").glob("synthesize/*/shards/*.parquet")):
        pass
    command.kill()
    run(again, tmp_path / "log")
    assert records(tmp_path / "two") == records(tmp_path / "one")
    assert files(tmp_path / "two") == files(tmp_path / "one")
