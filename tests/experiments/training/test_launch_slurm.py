"""Training as a job of a real Slurm: submitted once, queued again, its result taken."""

import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from simple_stages import simple_stage
from slurm import ask, begin_again, until
from test_training import SMALL, job

from experiments.config.compose import compose
from experiments.config.launch import LaunchConfig
from experiments.runner import execute
from experiments.stage import Stage
from experiments.store import Store
from experiments.training.launchers import run_training
from experiments.training.messages import ERROR, MEASURED, RESULT, STEP, Messages
from experiments.training.model import MODEL
from experiments.training.slurm_job import training_script
from experiments.training.training_job import Job, freeze
from experiments.training.worker import train
from toedit.errors import Submitted, UserError
from toedit.priors.loading import load_model

LAUNCH = LaunchConfig("slurm", devices=2, gpus=False, cpus=1, memory_gb=4)


def own_job(folder: Path, model: Path) -> Job:
    return replace(job(folder, model), train=replace(SMALL, checkpoint_steps=3), processes=2)


def test_what_slurm_is_asked_for(tmp_path, tiny_model):
    launch = compose([
        "launch=slurm", "launch.nodes=2", "launch.devices=4", "launch.partition=gpu",
        "launch.time=02:00:00", "launch.account=lab", "launch.qos=high",
        "+launch.options.exclusive=''",
    ]).launch  # fmt: skip
    path = freeze(job(tmp_path / "a", tiny_model))
    script = training_script(path, launch)
    for line in ("--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=4", "--cpus-per-task=32",
                 "--partition=gpu", "--time=02:00:00", "--account=lab", "--qos=high", "--exclusive",
                 "--requeue", "--signal=B:USR1@120", "--dependency=singleton"):  # fmt: skip
        assert f"\n#SBATCH {line}\n" in script
    for word in ("--nnodes=2", '"--rdzv-endpoint=$first:$port"', "--nproc-per-node=4",
                 "--max-restarts=3", f"-m experiments.training {path}"):  # fmt: skip
        assert word in script
    assert "--standalone" not in script
    assert "--gpus-per-node" not in training_script(path, LAUNCH)
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize("name", ["it's (1), b=c", '-x "y" $z `w`', "ü #1 %j"])
def test_a_job_in_a_folder_of_any_name(tmp_path, tiny_model, name):
    path = freeze(job(tmp_path / name, tiny_model))
    options = {"comment": "two words", "constraint": '"a|b"'}
    script = training_script(path, replace(LAUNCH, options=options))
    asked = [shlex.split(line)[1] for line in script.splitlines() if line.startswith("#SBATCH")]
    output = str(path.parent / "train.log").replace("%", "%%")
    for option in (f"--output={output}", "--comment=two words", "--constraint=a|b"):
        assert option in asked
    (line,) = (line for line in script.splitlines() if line.startswith("srun"))
    assert shlex.split(line)[-2:] == [str(path), "&"]
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.slow
def test_a_job_near_its_limit_is_queued_again_and_the_same_command_takes_its_result(
    tmp_path, tiny_model, slurm
):
    own, curve, alone = own_job(tmp_path / "a", tiny_model), dict[int, float](), list[float]()

    def same_command(launch: LaunchConfig = LAUNCH) -> dict:
        return run_training(own, launch, lambda v, step: curve.update({step: v["loss"]}))

    with pytest.raises(Submitted, match=r"the training a: submitted as Slurm job \d+: ") as said:
        same_command()
    number = re.search(r"Slurm job (\d+)", str(said.value))[1]
    messages = Messages(own.folder)
    until(lambda: max(messages.steps(), default=0) >= 4, 120)
    ask("scancel", "--batch", "--signal=USR1", number)  # as Slurm does before the limit
    until(lambda: "PENDING" in ask("squeue", "-h", "-j", number, "-o", "%T"))
    begin_again(number)
    for launch in (LAUNCH, LaunchConfig()):
        with pytest.raises(Submitted, match=rf"a at step \d: Slurm job {number}: .*train.log; "):
            same_command(launch)
    until(lambda: messages.ended() is not None, 120)
    until(lambda: not ask("squeue", "-h").strip())
    assert same_command()["steps"] == 8
    assert messages.measured()["seconds"] > 0.1
    train(job(tmp_path / "b", tiny_model), lambda values, step: alone.append(values["loss"]))
    assert [curve[step] for step in range(1, 9)] == pytest.approx(alone, rel=1e-4)
    load_model(str(tmp_path / "a" / MODEL))


@pytest.mark.slow
def test_a_training_that_was_lost_is_submitted_again_and_an_error_is_reported_once(
    tmp_path, tiny_model, slurm
):
    own, seen = own_job(tmp_path / "a", tiny_model), dict[int, float]()
    mark, progress = tmp_path / "a" / ".work" / "slurm_job.json", Messages(own.folder)
    held = replace(LAUNCH, options={"hold": ""})

    def same_command() -> dict:
        slurm.clear()
        return run_training(own, held, lambda v, step: seen.update({step: v["loss"]}))

    mark.parent.mkdir()
    mark.write_text('{"id": "424242"}')
    for step in (1, 2):
        progress.write(STEP, [{"loss": 3.5 - step / 2}, step])
    (tmp_path / "a" / "train.log").write_text("begun\nslurmstepd: error: oom-kill\n\n")
    with pytest.raises(Submitted, match=r"try 1 of 3, as Slurm job 424242: .*: error: oom-kill"):
        same_command()
    assert seen == {1: 3.0, 2: 2.5}
    with pytest.raises(Submitted, match=r"try 2 of 3, as Slurm job \d+: CANCELLED"):
        same_command()
    progress.write(ERROR, "training diverged: the loss of step 3 is nan")
    with pytest.raises(UserError, match="training diverged"):
        same_command()
    with pytest.raises(Submitted, match="the training a: submitted as Slurm job"):
        same_command()
    for step, loss in ((3, 2.2), (4, 2.1), (3, 2.0), (4, 1.9)):  # restarted after step 2
        progress.write(STEP, [{"loss": loss}, step])
    progress.write(MEASURED, {"seconds": 7.0})
    progress.write(RESULT, {"steps": 4})
    assert same_command() == {"steps": 4}
    assert seen == {1: 3.0, 2: 2.5, 3: 2.0, 4: 1.9}


@pytest.mark.slow
def test_what_slurm_works_on_is_neither_forced_nor_begun_elsewhere(tmp_path, slurm, monkeypatch):
    done = []

    def work(context):
        done.append(context.stage.name)
        return {}

    make, store = simple_stage("train", "a", work), Store(tmp_path / "store")
    config = compose(["tracker=none", f"store={store.root}", "force=train/a"])
    mark = store.folder(make) / ".work" / "slurm_job.json"
    mark.parent.mkdir(parents=True)
    number = ask("sbatch", "--parsable", "--hold", "--wrap", "true").strip()
    mark.write_text(f'{{"id": "{number}"}}')
    with pytest.raises(UserError, match=rf"as Slurm job {number}: PENDING .*\(scancel {number}\)"):
        execute(config, [make], store)
    assert mark.exists()
    with monkeypatch.context() as context, pytest.raises(UserError, match="without the command"):
        context.setenv("PATH", "/nowhere")
        execute(config, [make], store)
    assert (mark.exists(), done) == (True, [])
    slurm.clear()
    execute(config, [make], store)
    assert done == ["a"]


def ways_to_run():
    """Names of finished stages, and two ways to run one: submit it, or do it and note its name."""
    done = []

    def submit(context):
        raise Submitted(f"submitted {context.stage.name}")

    def work(context):
        done.append(context.stage.name)
        return {}

    return done, submit, work


def test_arms_are_submitted_together_and_what_needs_them_waits(tmp_path):
    done, submit, work = ways_to_run()

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


def test_stages_that_need_none_of_each_other_are_submitted_in_one_round(tmp_path):
    done, submit, work = ways_to_run()

    scores = simple_stage("score", "text", work)
    edits = [simple_stage("edit", name, submit, inputs={"s": scores}) for name in "abc"]
    after = simple_stage("mixture", "ab", work, inputs={"a": edits[0], "b": edits[1]})
    free = simple_stage("count", "text", work, inputs={"s": scores})
    config = compose(["tracker=none", f"store={tmp_path}"])
    with pytest.raises(Submitted, match="submitted a; submitted b; submitted c"):
        execute(config, [scores, *edits, after, free], Store(tmp_path))
    assert done == ["text", "text"]
