"""Hydra's launchers for clusters: what is submitted, and what happens when a node is taken away."""

import re
import signal

import pytest
from commands import stand_ins, wait_for
from swept import computed, results, table

FAKES = {
    # Starts the tasks of the array some time later, as Slurm does.
    "sbatch": """#!/bin/bash
cp "${@: -1}" "$FAKE_SLURM/script"
for task in 0 1; do "$FAKE_SLURM/start" $task; done
echo "Submitted batch job 77"
""",
    "start": """#!/bin/bash
SLURM_JOB_ID=77 SLURM_ARRAY_JOB_ID=77 SLURM_ARRAY_TASK_ID=$1 SLURM_NODELIST=node1 \\
  setsid bash "$FAKE_SLURM/script" >> "$FAKE_SLURM/output-$1" 2>&1 < /dev/null &
""",
    "srun": """#!/bin/bash
while [ "${1#-}" != "$1" ]; do case $1 in --output|--error) shift;; esac; shift; done
exec "$@"
""",
    "scontrol": """#!/bin/bash
[ "$1" = requeue ] || { echo node1; exit; }
echo "$2" >> "$FAKE_SLURM/requeued"
"$FAKE_SLURM/start" "${2#*_}"
""",
}
LAUNCHER = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu",
            "hydra.launcher.timeout_min=90", "hydra.launcher.gpus_per_node=1",
            "hydra.launcher.cpus_per_task=8", "hydra.launcher.mem_gb=64"]  # fmt: skip


@pytest.fixture()
def slurm(tmp_path):
    """Stand-ins for Slurm's commands that run the submitted script on this machine."""
    return stand_ins(tmp_path / "slurm", FAKES)


@pytest.mark.slow
def test_a_sweep_on_slurm_and_a_node_that_is_taken_away(sweeping, slurm, tmp_path):
    """Slurm sends USR2 before it takes a node: the job is queued again and goes on."""
    import psutil

    words = ["-m", "seed=0,1", "train.checkpoint_steps=2"]
    command = sweeping(*words, *LAUNCHER, **slurm)

    def training() -> bool:
        return any(
            "run   train/" in p.read_text() for p in tmp_path.glob("store/sweeps/*/*/job.log")
        )

    wait_for(training, command, 240)
    script = (tmp_path / "slurm" / "script").read_text()
    for line in ("--partition=gpu", "--time=90", "--gpus-per-node=1", "--cpus-per-task=8",
                 "--mem=64GB", "--array=0-1%2", "--signal=USR2@120"):  # fmt: skip
        assert re.search(f"^#SBATCH {line}$", script, flags=re.MULTILINE), script
    trainers = [
        process for process in psutil.process_iter(["cmdline"])
        if "submitit.core._submit" in (process.info["cmdline"] or ())
        and str(tmp_path) in " ".join(process.info["cmdline"])
    ]  # fmt: skip
    for process in trainers:
        process.send_signal(signal.SIGUSR2)
    assert command.wait() == 0, command.output
    assert (tmp_path / "slurm" / "requeued").read_text().split()[0].startswith("77_")
    assert [row[2] for row in table(command.output)] == ["done", "done"]
    did = computed(tmp_path / "store")
    assert len(did) == len(set(did)) == len(results(tmp_path / "store"))
    alone = sweeping(*words, store="alone")
    assert alone.wait() == 0, alone.output
    assert results(tmp_path / "store") == results(tmp_path / "alone")


@pytest.mark.slow
def test_without_slurm_the_answer_is_one_line(sweeping):
    command = sweeping("-m", "seed=0,1", *LAUNCHER)
    assert command.wait() == 2
    last = command.output.splitlines()[-1]
    assert last.startswith("error: the launcher cannot begin: ") and "srun" in last
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
