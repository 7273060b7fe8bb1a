"""Hydra's launchers for clusters where there is none, and on a local cluster of Ray."""

import pytest
from swept import computed, results, table


@pytest.mark.slow
@pytest.mark.parametrize("name", ["slurm", "submitit_slurm"])
def test_without_slurm_the_answer_is_one_line(sweeping, name):
    words = ["-m", "seed=0,1", f"hydra/launcher={name}", "hydra.launcher.mem_gb=64"]
    command = sweeping(*words, PATH="/nowhere")
    assert command.wait() == 2
    last = command.output.splitlines()[-1]
    assert last.startswith("error: hydra/launcher=slurm needs the command sbatch on this machine")
    assert "Traceback" not in command.output


@pytest.mark.ray
def test_a_sweep_on_a_local_ray_cluster(sweeping, tmp_path):
    words = ["-m", "seed=0,1"]
    cluster = ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2",
               "+hydra.launcher.ray.init.include_dashboard=false"]  # fmt: skip
    command = sweeping(*words, *cluster)
    assert command.wait() == 0, command.output
    assert [row[2] for row in table(command.output)] == ["done", "done"]
    did = computed(tmp_path / "store")
    assert len(did) == len(set(did)) == len(results(tmp_path / "store"))
    alone = sweeping(*words, store="alone")
    assert alone.wait() == 0
    assert results(tmp_path / "store") == results(tmp_path / "alone")
