"""Jobs on a real Slurm: submission, states, reasons, tries, limits, and faults of the cluster."""

import re
import signal
import time
from pathlib import Path

import pytest
from slurm import ask, begin_again, until

from toedit.engines import Engine
from toedit.engines.slurm import (
    TRIES,
    Job,
    Submission,
    array_size,
    batch_script,
    find,
    last_line,
    submit,
)
from toedit.errors import Submitted, UserError

SMALL = {"cpus-per-task": 1, "mem": "50M", "time": 5}


def parts(message: str) -> tuple[str, str, str]:
    """Job id, log and the rest of a message, which is one line."""
    assert "\n" not in message
    (number,) = set(re.findall(r"Slurm job (\d+)", message.partition("; try")[0]))
    return number, re.search(r"log (\S+?)[;,)]", message + ";")[1], message


class Work:
    """Work in a folder that a command of the shell does."""

    def __init__(self, folder: Path, command: str, **options) -> None:
        self.folder, self.command, self.options = folder, command, {**SMALL, **options}
        folder.mkdir(exist_ok=True)

    def ask(self, done: int = 0, **options) -> str:
        """What the same command says."""
        stated = {**self.options, **options}
        log = f"{self.folder}/%A.out"
        work = Submission(self.folder / "slurm_job.json", "the work", stated, log, done)
        script = self.folder / "script"
        script.write_text(batch_script({**stated, "output": f"{self.folder}/%j.out"}, self.command))
        with pytest.raises((Submitted, UserError)) as raised:
            work.submit(script)
        return f"{raised.type.__name__}: {raised.value}"


def ended(message: str) -> str:
    """Waits for the end of the job of a message."""
    number = parts(message)[0]
    until(lambda: not find(number).unfinished)
    return number


@pytest.mark.slow
def test_a_job_that_fails_is_submitted_three_times_and_each_time_somebody_is_told(slurm, tmp_path):
    work = Work(tmp_path / "a", "echo no model here >&2; exit 3")
    numbers = []
    for number in range(TRIES):
        said = work.ask()
        assert said.startswith("Submitted: the work: submitted as Slurm job ")
        if number:
            assert f"try {number + 1} of 3, as Slurm job {numbers[-1]}: FAILED" in said
            assert f"no model here (log {tmp_path}/a/{numbers[-1]}.out)" in said
        numbers.append(ended(said))
    for _ in range(2):
        said = work.ask()
        assert said.startswith(f"UserError: the work: Slurm job {numbers[-1]}: FAILED")
        assert "(NonZeroExitCode)" in said and "no model here" in said
        assert f"delete '{tmp_path}/a/slurm_job.json'" in said
    assert len(set(numbers)) == TRIES
    # Other settings, and work that was done, begin anew; so does one who deletes the file.
    for tries, done in ((1, 0), (2, 0), (1, 1)):
        said = work.ask(done=done, time=6)
        assert f"try {tries} of 3" in said
        ended(said)
    (tmp_path / "a" / "slurm_job.json").unlink()
    assert "try" not in work.ask()


@pytest.mark.slow
def test_a_job_in_the_queue_is_described_and_not_submitted_again(slurm, tmp_path):
    work = Work(tmp_path / "a", "sleep 300")
    number, log, _ = parts(work.ask())
    until(lambda: "RUNNING" in ask("squeue", "-h", "-o", "%T"))
    said = work.ask()
    assert f"the work: Slurm job {number}: RUNNING, log {log}; scancel {number} ends it" in said
    said = work.ask(time=7)
    assert f"settings changed since (time: 5 -> 7): scancel {number} first" in said
    held = Work(tmp_path / "held", "true", hold="")
    number = parts(held.ask())[0]
    until(lambda: "(JobHeldUser)" in held.ask())
    assert f"it is held: scontrol release {number}" in held.ask()
    assert len(ask("squeue", "-h").splitlines()) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "reason"),
    [({"cpus-per-task": 64}, "PartitionConfig"), ({"nodes": 9}, "PartitionConfig"),
     ({"partition": "brief", "time": 60}, "PartitionTimeLimit")],
)  # fmt: skip
def test_a_job_that_can_never_start_says_why_and_what_to_do(slurm, tmp_path, options, reason):
    work = Work(tmp_path / "a", "true", **options)
    number = parts(work.ask())[0]
    until(lambda: f"PENDING ({reason})" in work.ask())
    assert f"it cannot start like this: scancel {number}" in work.ask()
    ask("scancel", number)
    assert f"as Slurm job {number}: CANCELLED, ended without a result" in work.ask()


@pytest.mark.slow
def test_what_sbatch_refuses_it_says_in_its_own_words(slurm, tmp_path):
    said = Work(tmp_path / "a", "true", partition="default").ask()
    assert "sbatch refused the job: invalid partition specified: default; Invalid part" in said
    said = Work(tmp_path / "b", "true", mem="9000G").ask()
    assert "Memory specification can not be satisfied; Requested node config" in said
    assert not (tmp_path / "b" / "slurm_job.json").exists()


@pytest.mark.slow
def test_cancelled_over_its_limit_and_forgotten_by_slurm(slurm, tmp_path):
    late = Work(tmp_path / "late", "echo begun; sleep 300", time=1)
    said = late.ask()
    cancelled = Work(tmp_path / "cancelled", "echo begun; sleep 300")
    number = parts(cancelled.ask())[0]
    until(lambda: find(number).tasks[0][0] == "RUNNING")
    ask("scancel", number)
    until(lambda: not find(number).unfinished)
    assert f"as Slurm job {number}: CANCELLED, ended without a result: slurmstepd" in (
        cancelled.ask()
    )
    gone = Work(tmp_path / "gone", "true")
    (tmp_path / "gone" / "slurm_job.json").write_text('{"id": "424242"}')
    (tmp_path / "gone" / "424242.out").write_text("the last word\n\n")
    assert (
        "as Slurm job 424242: no longer known to squeue, ended without a result: the last word"
        in gone.ask()
    )
    refused = Work(tmp_path / "refused", "srun --mem=9000G true")  # by srun
    number = ended(refused.ask())
    assert re.search(
        rf"as Slurm job {number}: FAILED \(NonZeroExitCode\), ended without a result: srun: error: "
        r"Unable to create step.* \(log /", refused.ask()
    )  # fmt: skip
    until(lambda: not find(parts(said)[0]).unfinished, 150)
    assert re.search(r"TIMEOUT \(TimeLimit\), .*DUE TO TIME LIMIT", late.ask())


@pytest.mark.slow
def test_variables_of_a_job_around_the_driver_do_not_reach_its_jobs(slurm, tmp_path, monkeypatch):
    outer = {"SLURM_JOB_ID": "1", "SLURM_MEM_PER_NODE": "9000", "SLURM_NTASKS": "7",
             "SLURM_CPUS_PER_TASK": "3", "SLURM_EXPORT_ENV": "NONE"}  # fmt: skip
    for name, value in outer.items():
        monkeypatch.setenv(name, value)
    script = tmp_path / "script"
    options = {"time": 5, "mem-per-cpu": "50M", "output": f"{tmp_path}/out"}
    script.write_text(batch_script(options, 'srun bash -c "echo n=$SLURM_NTASKS $PYTHONPATH"'))
    number = submit(script)
    until(lambda: not find(number).unfinished)
    assert find(number).tasks == [("COMPLETED", "")]
    assert re.fullmatch(r"n=1? /\S+\n", (tmp_path / "out").read_text())


@pytest.mark.slow
def test_a_controller_that_is_down_is_one_line_at_once(slurm, tmp_path):
    work = Work(tmp_path / "a", "sleep 300")
    work.ask()
    slurm.end("slurmctld")
    for other in (work, Work(tmp_path / "b", "true")):
        started = time.monotonic()
        said = other.ask()
        assert time.monotonic() - started < 5
        assert re.fullmatch(
            r"UserError: Slurm does not answer .*: Slurmctld\(primary\) at \S+ is DOWN; try again "
            "later", said
        )  # fmt: skip
    slurm.start()
    until(lambda: "RUNNING" in work.ask())


@pytest.mark.slow
def test_a_job_of_a_node_that_dies_runs_again_and_is_waited_for(slurm, tmp_path):
    work = Work(tmp_path / "a", f"echo run >> {tmp_path}/runs; sleep 300", requeue="")
    number = parts(work.ask())[0]
    until(lambda: (tmp_path / "runs").exists())
    time.sleep(13)  # a node that comes back sooner may still be about to begin the job
    slurm.end("slurmd", signal.SIGKILL)
    slurm.start()
    until(lambda: f"Slurm job {number}: PENDING" in work.ask())
    begin_again(number)
    until(lambda: (tmp_path / "runs").read_text() == "run\nrun\n")
    assert f"Slurm job {number}: RUNNING" in work.ask()


@pytest.mark.slow
def test_arrays_are_as_large_as_the_cluster_allows(slurm, tmp_path):
    size = array_size()
    script = tmp_path / "script"
    for last, fits in ((size - 1, True), (size, False)):
        script.write_text(batch_script({**SMALL, "array": f"0-{last}"}, "true"))
        if fits:
            assert len(find(submit(script)).tasks) == size
        else:
            with pytest.raises(UserError, match="Invalid job array specification"):
                submit(script)


def test_what_a_job_says_of_itself():
    waits = Job("7", [("PENDING", "Resources"), ("RUNNING", ""), ("PENDING", "Resources")])
    assert str(waits) == "Slurm job 7: 2 PENDING (Resources), 1 RUNNING"
    assert (waits.unfinished, waits.impossible) == (True, False)
    assert Job("7", [("PENDING", "QOSMaxCpuPerJobLimit"), ("COMPLETED", "")]).impossible
    assert not Job("7", [("PENDING", "QOSMaxCpuPerJobLimit"), ("RUNNING", "")]).impossible
    assert not Job("7", [("COMPLETED", "")]).unfinished
    assert "scontrol release 7" in Job("7", [("REQUEUE_HOLD", "job_requeued_in_held_state")]).advice


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\nb\n\n", "b"), ("ValueError: x\nsrun: error: vm: task 0: Exited", "ValueError: x"),
     ("srun: error: a\nsrun: error: b\n", "srun: error: b"), ("", "the log is empty")],
)  # fmt: skip
def test_the_last_line_of_a_log(tmp_path, text, line):
    (tmp_path / "log").write_text(text)
    assert last_line([tmp_path / "none", tmp_path / "log"]) == line


@pytest.mark.parametrize(
    "fields",
    [{"partition": ""}, {"account": " "}, {"qos": ""}, {"time": ""}, {"partition": "a\nb"},
     {"options": {"x y": "1"}}, {"options": {"--mem": "1"}}, {"options": {"a": "1\n2"}}],
)  # fmt: skip
def test_empty_names_and_odd_options_are_refused(fields):
    with pytest.raises(UserError, match=r"^engine\.\w+"):
        Engine(kind="slurm", **fields)


def test_options_of_a_script_are_quoted_and_may_have_no_value():
    script = batch_script({"comment": "two words", "exclusive": "", "qos": None, "mem": '"1G"'})
    assert script.splitlines()[1:] == [
        "#SBATCH --comment='two words'", "#SBATCH --exclusive", '#SBATCH --mem="1G"'
    ]  # fmt: skip
