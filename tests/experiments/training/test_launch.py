"""Several processes: one's curve, lost processes, shared-out weights, and jobs of Slurm."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_training import SMALL, job

from experiments.config import Config, ModelConfig
from experiments.config.compose import compose
from experiments.config.launch import LaunchConfig
from experiments.config.pretraining import ArchitectureConfig
from experiments.plans import plan
from experiments.store.curves import MetricsLog
from experiments.training import BLOCKS, JOB
from experiments.training.launchers import require_launch, run_training, train_together
from experiments.training.messages import RESULT, STEP, Messages
from experiments.training.model import MODEL, kept_name
from experiments.training.training_job import Job, freeze, read_job
from experiments.training.worker import train
from toedit.errors import UserError
from toedit.priors.loading import load_model

TWO = LaunchConfig("torchrun", devices=2)
STEPS = 100
"""Of a training that is interrupted: more than two processes make while their driver looks away."""


def test_a_job_survives_being_frozen(tmp_path, tiny_model):
    shape = ArchitectureConfig(layers=1, width=32, heads=2, context=64)
    made = replace(job(tmp_path / "a", tiny_model), separator=3, processes=2)
    made = replace(made, model=replace(made.model, scratch=shape))
    assert read_job(freeze(made)) == made


def test_launchers_identify_no_result_and_papers_share_out():
    def labels(*overrides: str) -> set[str]:
        return {stage.label for stage in plan(compose(["+exp=cpt_bio", *overrides]))}

    assert (
        labels()
        == labels("launch=torchrun", "train.micro_batch=1")
        == labels("launch=slurm", "launch.devices=1")
    )
    paper = compose(["+exp=paper/pretrain_toedit"])
    assert (paper.train.fsdp, paper.launch.kind, paper.launch.devices) == (True, "torchrun", 8)
    slurm = compose(["+exp=paper/pretrain_toedit", "launch=slurm", "launch.nodes=2"])
    assert [s.label for s in plan(slurm)] == [s.label for s in plan(paper)]
    whole = compose(["+exp=paper/cpt_bio_llama3", "model=llama3_8b", "launch=fsdp"])
    assert (whole.train.fsdp, whole.train.gradient_checkpointing, whole.model.lora_rank) == (
        True,
        True,
        0,
    )


def test_processes_share_a_batch_and_weights_or_are_refused():
    with pytest.raises(UserError, match=r"block_size \* micro_batch \* processes = 256 \* 2 \* 2"):
        plan(compose(["+exp=cpt_bio", "launch=torchrun"]))
    with pytest.raises(UserError, match=r"train\.fsdp=true .* launch=single .*; use launch=fsdp"):
        plan(compose(["+exp=paper/pretrain_toedit", "launch=single"]))
    TWO.require_shares(replace(SMALL, fsdp=True))
    with pytest.raises(UserError, match="lora_rank must be 0"):
        Config(launch=TWO, train=replace(SMALL, fsdp=True), model=ModelConfig(lora_rank=4))


def test_launchers_are_refused_in_one_line_where_they_cannot_start(monkeypatch):
    with pytest.raises(UserError, match="launch=single is one process"):
        LaunchConfig(devices=2)
    with pytest.raises(UserError, match=r"launch\.rendezvous=HOST:PORT"):
        LaunchConfig("torchrun", nodes=2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match=r"train\.fsdp needs GPUs"):
        require_launch(replace(SMALL, fsdp=True), TWO)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"launch\.devices=4, but this machine has 2 GPUs"):
        require_launch(SMALL, LaunchConfig("torchrun", devices=4))
    require_launch(replace(SMALL, fsdp=True), TWO)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="launch=slurm needs the command sbatch"):
        require_launch(SMALL, LaunchConfig("slurm"))


def test_what_is_told_survives_a_line_cut_short(tmp_path):
    told, heard = Messages(tmp_path), Messages(tmp_path)
    told.write(STEP, [{"loss": 2.0}, 1])
    assert heard.read_new() == [(STEP, [{"loss": 2.0}, 1])]
    with told.path.open("a") as file:
        file.write('["step", [{"lo')
    assert heard.read_new() == []
    told.write(RESULT, {"steps": 1})
    assert heard.read_new() == [(RESULT, {"steps": 1})]
    assert told.ended() == (RESULT, {"steps": 1})


def test_what_a_killed_driver_did_not_hear_is_told_to_the_next(tmp_path, tiny_model):
    own, seen = job(tmp_path / "a", tiny_model), list[tuple[int, float]]()
    told = Messages(own.folder)
    for step, loss in ((1, 3.0), (2, 2.5), (3, 2.4), (2, 2.5), (3, 2.3)):
        told.write(STEP, [{"loss": loss}, step])
    told.write(RESULT, {"steps": 3})
    for _ in range(2):  # as long as the stage has no record
        assert together(own, lambda values, step: seen.append((step, values["loss"]))) == {
            "steps": 3
        }
    assert seen == [(1, 3.0), (2, 2.5), (3, 2.3)] * 2


def test_steps_that_come_again_stand_in_a_curve_once(tmp_path):
    curve = MetricsLog(tmp_path)
    for step, loss in ((1, 3.0), (2, 2.0), (3, 1.5), (2, 1.9), (3, 1.4)):
        curve.append({"loss": loss}, step)
    assert [(row["step"], row["loss"]) for row in curve.read()] == [(1, 3.0), (2, 1.9), (3, 1.4)]


@pytest.mark.slow
def test_two_processes_learn_what_one_does_also_when_continued(tmp_path, tiny_model, no_gpu):
    """Several epochs of the same blocks; the third run is interrupted in the second."""
    config = replace(SMALL, tokens=64 * STEPS, keep_tokens=[512], checkpoint_steps=5)
    curves = []
    for name, devices in (("one", 1), ("two", 2), ("again", 2)):
        own = job(tmp_path / name, tiny_model)
        own = replace(own, train=config, processes=devices)
        run = train if devices == 1 else together
        curve: dict[int, float] = {}

        def log(values, step, curve=curve):
            curve[step] = values["loss"]

        if name == "again":

            def stop(values, step, log=log):
                log(values, step)
                if step == 12:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                run(own, stop)
            assert Messages(own.folder).ended() is None
        metrics = run(own, log)
        assert (metrics["steps"], metrics["tokens"], len(curve)) == (STEPS, 64 * STEPS, STEPS)
        curves.append([curve[step] for step in range(1, STEPS + 1)])
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)
    assert curves[1] == curves[2]
    for name in (MODEL, kept_name(512)):
        one, two, again = (
            load_model(str(tmp_path / d / name), None, "float32") for d in ("one", "two", "again")
        )
        for a, b, c in zip(*(m.parameters() for m in (one, two, again)), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
            assert torch.equal(b, c)


@pytest.mark.slow
def test_adapters_of_two_processes_are_merged_into_what_is_saved(tmp_path, tiny_model, no_gpu):
    own = job(tmp_path / "a", tiny_model, lora_rank=4)
    together(replace(own, processes=2), lambda values, step: None)
    alone = job(tmp_path / "b", tiny_model, lora_rank=4)
    train(alone, lambda values, step: None)
    two, one = (load_model(str(tmp_path / d / MODEL), None, "float32") for d in "ab")
    for a, b in zip(two.parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_mistake_and_a_dead_process_end_in_one_line(tmp_path, tiny_model, no_gpu, capfd):
    own = job(tmp_path / "a", tiny_model)
    own = replace(own, train=replace(SMALL, learning_rate=1e30), processes=2)
    with pytest.raises(UserError, match=r"training diverged: the loss of step \d+ is"):
        together(own, lambda values, step: None)
    (tmp_path / "a" / BLOCKS).write_bytes(b"no blocks")
    with pytest.raises(UserError, match="damaged"):
        together(own, lambda values, step: None)
    assert "Traceback" not in capfd.readouterr().err
    own = long_job(tmp_path / "a", tiny_model)

    def kill(values, step):
        kill_second(tmp_path)

    with pytest.raises(
        UserError, match=r"a process of the training on 2 devices ended.*train\.log"
    ):
        together(own, kill)


@pytest.mark.slow
def test_processes_end_with_their_driver(tmp_path, tiny_model, no_gpu):
    own = long_job(tmp_path / "a", tiny_model, steps=100_000)
    code = (
        "import sys; from experiments.training.launchers import *; "
        "from experiments.training.training_job import read_job; train_together("
        "read_job(sys.argv[1]), LaunchConfig('torchrun', 2, restarts=3), lambda v, s: None)"
    )
    with (tmp_path / "output").open("wb") as output:  # no pipe, which would break with the driver
        driver = subprocess.Popen(
            [sys.executable, "-c", code, str(freeze(own))], stdout=output, stderr=output
        )
    progress = Messages(own.folder)
    until(lambda: progress.steps() or driver.poll() is not None)
    assert driver.poll() is None
    assert ranks_of(tmp_path).keys() == {"0", "1"}
    driver.kill()
    driver.wait()
    until(lambda: not workers_of(tmp_path))
    assert progress.steps()
    assert progress.ended() is None
    assert not workers_of(tmp_path)


@pytest.mark.slow
def test_a_lost_process_costs_the_steps_since_its_checkpoint_and_nothing_else(
    tmp_path, tiny_model, no_gpu
):
    """The second of two is killed, as with its node; both start again and end the same."""
    curves = []
    for name in ("whole", "a"):
        own = long_job(tmp_path / name, tiny_model, steps=300, checkpoint_steps=40)
        written, started = MetricsLog(tmp_path / name), set[str]()

        def log(values, step, written=written, started=started, name=name):
            written.append(values, step)
            if step > 50 and step % 20 == 0 and {"0", "1"} <= (ranks := ranks_of(tmp_path)).keys():
                if not started:
                    kill_second(tmp_path)
                started.add(ranks["0"])

        metrics = train_together(own, replace(TWO, restarts=1), log)
        assert (metrics["steps"], metrics["tokens"]) == (300, 300 * 64)
        curves.append(written.read())
    assert len(started) == 2
    assert [row["step"] for row in curves[1]] == list(range(1, 301))
    assert curves[0] == curves[1]
    weights = [(tmp_path / n / MODEL / "model.safetensors").read_bytes() for n in ("whole", "a")]
    assert weights[0] == weights[1]


def long_job(folder: Path, model, steps: int = 1000, **train) -> Job:
    """A training that is still under way when its driver looks, on two processes."""
    own = job(folder, model)
    np.save(folder / BLOCKS, np.arange(64_000, dtype=np.int32).reshape(2000, 32) % 300)
    return replace(own, train=replace(SMALL, tokens=64 * steps, **train), processes=2)


def together(own: Job, log):
    """On two processes, none of which may be lost."""
    return run_training(own, TWO, log)


def kill_second(folder) -> None:
    """Kills the second process of a job in the folder, where there is one."""
    with suppress(KeyError, ProcessLookupError):
        os.kill(int(ranks_of(folder)["1"]), signal.SIGKILL)


def ranks_of(folder) -> dict[str, str]:
    """Numbers of the worker processes of a job in the folder, by their rank."""
    found = {}
    for process in workers_of(folder):
        try:
            words = Path("/proc", process, "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        named = dict(word.split(b"=", 1) for word in words if b"=" in word)
        if b"RANK" in named:
            found[named[b"RANK"].decode()] = process
    return found


def until(done: Callable[[], Any]) -> None:
    """Waits for something, at most two minutes."""
    deadline = time.monotonic() + 120
    while not done() and time.monotonic() < deadline:
        time.sleep(0.2)


def workers_of(folder) -> list[str]:
    """Processes whose command names a job in the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if str(folder / "a" / JOB).encode() in words:
            found.append(path.parent.name)
    return found
