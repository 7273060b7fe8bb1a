"""Experiments and sweeps on a real Slurm: the bytes of one machine, and nothing is queued twice."""

import json
import re
import signal
import time
from pathlib import Path

import psutil
import pytest
from commands import Command, files, records, small_run, wait_for
from slurm import ARRAY, ask, begin_again, until
from swept import results, table

ON_SLURM = ["engine=slurm", "engine.gpus=0", "engine.cpus=1", "engine.memory_gb=1",
            "engine.workers=4", "engine.partition=main",
            "launch=slurm", "launch.devices=1", "launch.gpus=false", "launch.cpus=1",
            "launch.memory_gb=2", "engine.rows_per_unit=40"]  # fmt: skip
OUTER = {"SLURM_JOB_ID": "1", "SLURM_MEM_PER_NODE": "90000", "SLURM_NTASKS": "7",
         "SLURM_CPUS_PER_TASK": "3", "SLURM_JOB_NAME": "driver"}  # fmt: skip
"""Variables of a job that the driver may run in."""

SWEEP = ["-m", "seed=0,1", "hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1",
         "hydra.launcher.mem_gb=2", "hydra.launcher.timeout_min=90",
         "+hydra.launcher.additional_parameters.comment='two words'"]  # fmt: skip


@pytest.fixture()
def jobs(slurm):
    """Ids of the jobs of this test, finished ones too."""

    def known() -> set[str]:
        return set(ask("squeue", "-h", "-t", "all", "-o", "%F").split())

    before = known()
    return lambda: known() - before


@pytest.mark.slow
def test_an_experiment_on_slurm_has_the_bytes_of_one_machine(
    sweeping, slurm, tmp_path, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    here = sweeping("engine.rows_per_unit=40", store="here", log="here.log")
    rounds = []
    for number in range(6):
        log = f"log{number}"
        command = sweeping(*ON_SLURM, store="there", log=log, **OUTER)
        if command.wait() == 0:
            break
        assert command.process.exitcode == 75, command.output
        rounds.append(command.output.splitlines()[-1])
        until(lambda: not ask("squeue", "-h").strip(), 180)
    else:
        pytest.fail("\n".join(rounds))
    # Scores and the first training; every preset and nothing twice; the training on edits.
    assert [len(set(re.findall(r"submitted as Slurm job (\d+)", said))) for said in rounds] == [
        2, 3, 1
    ]  # fmt: skip
    assert here.wait() == 0, here.output
    assert files(tmp_path / "there") == files(tmp_path / "here")
    assert records(tmp_path / "there") == records(tmp_path / "here")
    for path in (tmp_path / "there").glob("*/*/record.json"):
        record = json.loads(path.read_text())
        if record["kind"] in ("score", "edit", "train"):  # measured where it ran
            assert record["seconds"] > 0, record
            assert record["peak_memory_gb"] > 0.05 and record["hardware"]["cores"] > 0


@pytest.mark.slow
def test_a_sweep_whose_driver_ends_is_waited_for_again_and_cancelled_jobs_are_named(
    sweeping, jobs, tmp_path, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    first = sweeping(*SWEEP, log="first", **OUTER)
    wait_for(lambda: "RUNNING" in ask("squeue", "-h", "-o", "%T"), first, 120)
    time.sleep(1)
    first.signal(signal.SIGTERM, group=False)
    assert first.wait() == 143, first.output
    assert "the same command waits for it" in first.output
    second = sweeping(*SWEEP, log="second", **OUTER)
    wait_for(lambda: "Slurm job" in second.output, second, 120)
    (array,) = jobs()
    ask("scancel", f"{array}_1")
    assert second.wait() == 1, second.output
    assert jobs() == {array}
    (folder,) = (tmp_path / "store" / "sweeps").iterdir()
    done, lost = table(second.output)
    assert (done[2], lost[2]) == ("done", "lost")
    assert re.match(rf"Slurm job {array}_1: CANCELLED, ended without a result: ", lost[-1])
    assert f"{folder}/1/job.log" in lost[-1]
    third = sweeping(*SWEEP, log="third", **OUTER)
    assert third.wait() == 0, third.output
    assert len(jobs()) == 2
    assert [row[2] for row in table(third.output)] == ["cached", "done"]
    until(lambda: not ask("squeue", "-h").strip())
    fourth = sweeping(*SWEEP, log="fourth")
    assert fourth.wait() == 0, fourth.output
    assert len(jobs()) == 2  # nothing to compute, nothing queued
    assert [row[2] for row in table(fourth.output)] == ["cached", "cached"]
    alone = sweeping(*SWEEP[:2], store="alone", log="alone.log")
    assert alone.wait() == 0, alone.output
    assert results(tmp_path / "store") == results(tmp_path / "alone")


@pytest.mark.slow
def test_a_sweep_that_slurm_cannot_run_ends_in_one_line(sweeping, slurm, tmp_path):
    large = sweeping(*SWEEP, "hydra.launcher.cpus_per_task=64", log="large")
    assert large.wait() == 2, large.output
    assert re.match(r"error: Slurm job \d+: 2 PENDING \(PartitionConfig\), logs /.*; it cannot"
                    r" start like this: scancel \d+", large.output.splitlines()[-1])  # fmt: skip
    refused = sweeping(*SWEEP, "hydra.launcher.partition=nowhere", log="refused", store="other")
    assert refused.wait() == 2
    assert refused.output.splitlines()[-1].startswith(
        "error: sbatch refused the job: invalid partition specified: nowhere; Invalid partition"
    )


@pytest.mark.slow
def test_two_identical_commands_at_once_submit_once(jobs, tmp_path, tiny_model):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("".join(f"the sea and the sand {i}\n" for i in range(20)))
    words = small_run(corpus, tiny_model, tmp_path / "store", *ON_SLURM, "+engine.options.hold=''")
    words.append("arms=[edited]")
    both = [Command(words, Path(tmp_path, f"log{n}")) for n in range(2)]
    assert [command.wait() for command in both] == [75, 75]
    (number,) = jobs()
    assert all(f"Slurm job {number}" in command.output for command in both)


@pytest.mark.slow
def test_a_job_of_a_sweep_is_queued_again_at_its_time_limit_and_goes_on(
    sweeping, jobs, tmp_path, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["-m", "seed=3", "train.tokens=6400", "train.checkpoint_steps=5"]
    limit = ["hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=30",
             "hydra.launcher.max_num_timeout=1"]  # fmt: skip
    command = sweeping(*words, *SWEEP[2:], *limit)
    wait_for(lambda: list(tmp_path.glob("store/train/*/checkpoints/*")), command, 60)
    for process in psutil.process_iter(["environ"]):  # it will not be done before its limit
        variables = process.info["environ"] or {}
        if "experiments.run" in process.cmdline() and "SLURM_JOB_ID" in variables:
            process.suspend()
    (array,) = jobs()
    again = ("squeue", "-h", "-t", "PENDING", "-j", f"{array}_0", "-o", "%r")
    wait_for(lambda: "BeginTime" in ask(*again), command, 150)
    assert re.search(rf"Slurm job {array}: RUNNING, logs ", command.output)
    begin_again(f"{array}_0")
    assert command.wait() == 0, command.output
    assert jobs() == {array}
    assert [row[1] for row in table(command.output)] == ["done"]
    alone = sweeping(*words, store="alone", log="alone.log")
    assert alone.wait() == 0, alone.output
    assert results(tmp_path / "store") == results(tmp_path / "alone")


@pytest.mark.slow
def test_a_sweep_larger_than_an_array_outlives_its_driver_and_the_controller(
    sweeping, slurm, jobs, tmp_path
):
    words = ["-m", f"seed={','.join(map(str, range(ARRAY + 1)))}", *SWEEP[2:],
             "+hydra.launcher.additional_parameters.hold=true"]  # fmt: skip
    said = r"Slurm job \d+: [^;]*PENDING \(JobHeldUser\), logs [^;]+/job\.log; it is held: scontrol"
    for number in range(2):
        command = sweeping(*words, log=f"log{number}")
        wait_for(lambda c=command: len(re.findall(said, c.output)) > 1, command, 120)
        if number == 0:
            command.signal(signal.SIGTERM, group=False)
            assert command.wait() == 143, command.output
        assert len(jobs()) == 2  # arrays, also after the same command
    slurm.end("slurmctld")
    assert command.wait() == 2, command.output
    line = command.output.splitlines()[-1]
    assert re.match(r"error: Slurm does not answer whether job \d+ still runs: .* is DOWN", line)
    slurm.start()
    third = sweeping(*words, log="third")
    wait_for(lambda: len(re.findall(said, third.output)) > 1, third, 120)
    assert len(jobs()) == 2
    slurm.clear()
    assert third.wait() == 1, third.output
    rows = table(third.output)
    assert [row[2] for row in rows] == ["lost"] * (ARRAY + 1)
    for row in rows:
        assert re.match(r"Slurm job \d+_\d: CANCELLED, ended without", row[-1]), row[-1]
