"""Experiments on Ray: the records and bytes of one machine."""

import pytest
from commands import files, records


@pytest.mark.ray
def test_an_experiment_on_ray_has_the_bytes_of_one_machine(sweeping, no_gpu, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="the extra toedit[ray] is not installed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    units = "engine.rows_per_unit=40"
    on_ray = ["engine=ray", "engine.cpus=1", "engine.workers=2", "engine.memory_gb=1", units]
    there = sweeping(*on_ray, store="there", log="there.log")
    assert there.wait() == 0, there.output
    here = sweeping(units, store="here", log="here.log")
    assert here.wait() == 0, here.output
    assert files(tmp_path / "there") == files(tmp_path / "here")
    assert records(tmp_path / "there") == records(tmp_path / "here")
    kinds = {name.partition("/")[0] for name in records(tmp_path / "there")}
    assert {"score", "edit", "train"} <= kinds
