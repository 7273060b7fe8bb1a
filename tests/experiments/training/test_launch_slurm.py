"""Training as a job of Slurm: submitted once, asked about, its result taken; stand-in commands."""

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from commands import stand_ins
from simple_stages import simple_stage
from test_training import SMALL, job

from experiments.config.compose import compose
from experiments.config.launch import LaunchConfig
from experiments.runner import execute
from experiments.stage import Stage
from experiments.store import Store
from experiments.training.launchers import run_training
from experiments.training.messages import ERROR, RESULT, STEP, Messages
from experiments.training.model import MODEL
from experiments.training.slurm_job import batch_script, slurm_job_finished
from experiments.training.training_job import Job, freeze
from experiments.training.worker import train
from toedit.errors import Submitted, UserError
from toedit.priors.loading import load_model

LAUNCH = LaunchConfig("slurm", devices=2, gpus=False)

FAKES = {
    # Runs the script at once, as Slurm would some time later, unless it is to be held or lost.
    "sbatch": """#!/bin/bash
cp "${@: -1}" "$FAKE_SLURM/script-$(ls "$FAKE_SLURM" | grep -c script-)"
if [ -z "$FAKE_HELD$FAKE_LOST" ]; then
  SLURM_JOB_ID=77 SLURM_JOB_NODELIST=node1 bash "${@: -1}" > "$FAKE_SLURM/output" 2>&1
fi
echo "77;cluster"
""",
    "srun": """#!/bin/bash
while [[ "$1" == --* ]]; do shift; done
exec "$@"
""",
    "squeue": """#!/bin/bash
[ -n "$FAKE_HELD" ] && echo "77 default toedit PD"
exit 0
""",
    "scontrol": """#!/bin/bash
[ "$1" = requeue ] && echo "$2" > "$FAKE_SLURM/requeued"
echo localhost
""",
}


@pytest.fixture()
def slurm(tmp_path, monkeypatch) -> Path:
    """Stand-ins for Slurm's commands that run the submitted script on this machine."""
    for name, value in stand_ins(tmp_path / "slurm", FAKES).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return tmp_path / "slurm"


def scripts(slurm: Path) -> list[str]:
    return sorted(path.read_text() for path in slurm.glob("script-*"))


def own_job(folder: Path, model: Path) -> Job:
    return replace(job(folder, model), train=replace(SMALL, checkpoint_steps=3), processes=2)


def test_what_slurm_is_asked_for(tmp_path, tiny_model):
    launch = compose([
        "launch=slurm", "launch.nodes=2", "launch.devices=4", "launch.partition=gpu",
        "launch.time=02:00:00", "+launch.options.account=lab",
    ]).launch  # fmt: skip
    path = freeze(job(tmp_path / "a", tiny_model))
    script = batch_script(path, launch)
    for line in ("--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=4", "--cpus-per-task=32",
                 "--partition=gpu", "--time=02:00:00", "--account=lab", "--requeue",
                 "--signal=B:USR1@120", "--dependency=singleton"):  # fmt: skip
        assert f"\n#SBATCH {line}\n" in script
    for word in ("--nnodes=2", '"--rdzv-endpoint=$first:$port"', "--nproc-per-node=4",
                 "--max-restarts=3", f"-m experiments.training {path}"):  # fmt: skip
        assert word in script
    assert "--standalone" not in script
    assert "--gpus-per-node" not in batch_script(path, LAUNCH)
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize("name", ["it's (1), b=c", '-x "y" $z `w`', "ü #1 %j"])
def test_a_job_in_a_folder_of_any_name(tmp_path, tiny_model, name):
    path = freeze(job(tmp_path / name, tiny_model))
    options = {"comment": "two words", "constraint": '"a|b"'}
    script = batch_script(path, replace(LAUNCH, options=options))
    asked = [shlex.split(line)[1] for line in script.splitlines() if line.startswith("#SBATCH")]
    output = str(path.parent / "train.log").replace("%", "%%")
    for option in (f"--output={output}", "--comment=two words", "--constraint=a|b"):
        assert option in asked
    (line,) = (line for line in script.splitlines() if line.startswith("srun"))
    assert shlex.split(line)[-2:] == [str(path), "&"]
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_a_job_near_its_limit_is_queued_again(tmp_path, tiny_model, slurm, monkeypatch):
    (slurm / "srun").write_text("#!/bin/bash\ntouch $FAKE_SLURM/begun\nexec sleep 60\n")
    script = tmp_path / "script"
    script.write_text(batch_script(freeze(job(tmp_path / "a", tiny_model)), LAUNCH))
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    running = subprocess.Popen(["bash", str(script)], start_new_session=True)
    deadline = time.monotonic() + 60
    while not (slurm / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGUSR1)
    while not (slurm / "requeued").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert (slurm / "requeued").read_text() == "77\n"


def test_a_training_is_submitted_once_and_again_after_it_was_lost(
    tmp_path, tiny_model, slurm, monkeypatch, caplog
):
    own, seen = own_job(tmp_path / "a", tiny_model), dict[int, float]()

    def ask() -> dict:
        return run_training(own, LAUNCH, lambda v, step: seen.update({step: v["loss"]}))

    monkeypatch.setenv("FAKE_HELD", "1")
    with pytest.raises(Submitted, match="submitted the training a as Slurm job 77"):
        ask()
    progress = Messages(own.folder)
    progress.write(STEP, [{"loss": 3.0}, 1])
    progress.write(STEP, [{"loss": 2.5}, 2])
    for launch in (LAUNCH, LaunchConfig()):
        with pytest.raises(Submitted, match="still queued or running at step 2 as Slurm job 77"):
            run_training(own, launch, lambda values, step: None)
    assert len(scripts(slurm)) == 1

    monkeypatch.delenv("FAKE_HELD")
    monkeypatch.setenv("FAKE_LOST", "1")
    (tmp_path / "a" / "train.log").write_text("begun\nslurmstepd: error: oom-kill\n\n")
    with pytest.raises(Submitted, match="submitted"):
        ask()
    assert "ended without a result: slurmstepd: error: oom-kill" in caplog.text
    assert (len(scripts(slurm)), seen) == (2, {1: 3.0, 2: 2.5})

    progress.write(ERROR, "training diverged: the loss of step 3 is nan")
    with pytest.raises(UserError, match="training diverged"):
        ask()
    with pytest.raises(Submitted, match="submitted"):
        ask()
    for step, loss in ((3, 2.2), (4, 2.1), (3, 2.0), (4, 1.9)):  # restarted after step 2
        progress.write(STEP, [{"loss": loss}, step])
    progress.write(RESULT, {"steps": 4})
    assert ask() == {"steps": 4}
    assert (len(scripts(slurm)), seen) == (3, {1: 3.0, 2: 2.5, 3: 2.0, 4: 1.9})


def test_what_slurm_works_on_is_neither_forced_nor_begun_elsewhere(tmp_path, slurm, monkeypatch):
    done = []

    def work(context):
        done.append(context.stage.name)
        return {}

    make, store = simple_stage("train", "a", work), Store(tmp_path / "store")
    config = compose(["tracker=none", f"store={store.root}", "force=train/a"])
    mark = store.folder(make) / ".work" / "slurm_job.json"
    mark.parent.mkdir(parents=True)
    mark.write_text('{"id": "77"}')
    monkeypatch.setenv("FAKE_HELD", "1")
    with pytest.raises(UserError, match=r"as Slurm job 77: end it \(scancel 77\)"):
        execute(config, [make], store)
    assert mark.exists()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="job 77 still runs is not known here"):
        slurm_job_finished(Messages(store.folder(make)))
    assert (mark.exists(), done) == (True, [])
    mark.unlink()
    execute(config, [make], store)
    assert done == ["a"]


def test_arms_are_submitted_together_and_what_needs_them_waits(tmp_path):
    done = []

    def submit(context):
        raise Submitted(f"submitted {context.stage.name}")

    def work(context):
        done.append(context.stage.name)
        return {}

    def stages() -> list[Stage]:
        found = []
        for arm in ("source", "edited"):
            trained = simple_stage(
                "train", arm, submit, LaunchConfig(time=arm), arm=arm, tracked=True
            )
            found += [
                trained,
                simple_stage("evaluate", arm, work, inputs={"m": trained}, arm=arm, tracked=True),
            ]
        return [simple_stage("corpus", "text", work), *found]

    config = compose(["tracker=none", f"store={tmp_path}", "launch=slurm", "launch.devices=1"])
    with pytest.raises(Submitted, match="submitted source; submitted edited"):
        execute(config, stages(), Store(tmp_path))
    assert done == ["text"]


@pytest.mark.slow
def test_the_same_command_takes_the_result_of_a_job(tmp_path, tiny_model, slurm):
    own, curve, alone = own_job(tmp_path / "a", tiny_model), dict[int, float](), list[float]()
    with pytest.raises(Submitted):
        run_training(own, LAUNCH, lambda values, step: None)
    metrics = run_training(own, LAUNCH, lambda v, step: curve.update({step: v["loss"]}))
    assert (metrics["steps"], len(scripts(slurm))) == (8, 1), (slurm / "output").read_text()
    train(job(tmp_path / "b", tiny_model), lambda values, step: alone.append(values["loss"]))
    assert [curve[step] for step in range(1, 9)] == pytest.approx(alone, rel=1e-4)
    load_model(str(tmp_path / "a" / MODEL))
    assert sys.executable in scripts(slurm)[0]
