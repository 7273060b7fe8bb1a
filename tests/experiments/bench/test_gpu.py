"""The check of a GPU, in its small form on the CPU, and parts that fail, die or hang."""

import json
import math
import multiprocessing
import os
import time
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch

from experiments.bench import gpu, gpu_parts
from experiments.bench.gpu import PARTS, run_part
from experiments.bench.gpu_setup import LARGE, SMALL, Figure, Setup
from toedit.editor import edit_texts
from toedit.errors import UserError
from toedit.rules import EditRule

SETTING = "cpu", SMALL
TEXTS = ["Quiet cohorts queried the quorum, quite quickly.", "No question is asked, sequentially."]


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("parity of edits", {"eligible", "changed", "changed differently, share"}),
        ("losses by precision", {"last loss, share of the first", "tokens/s, float32"}),
        ("pre-training GPT-2", {"tokens/s, eager"}),
        ("scoring, 135M", {"tokens/s, eager", "share of the peak, eager"}),
        ("scoring, 8B", {"tokens/s, eager", "matrix product, TFLOP/s"}),
        pytest.param(
            "FSDP on one device", {"files of its sharded checkpoint"}, marks=pytest.mark.slow
        ),
    ],
)
def test_a_part_measures_within_its_budgets(tmp_path, no_gpu, part, names):
    figures = PARTS[part][0](Setup(*SETTING, tmp_path))
    assert names <= set(figures)
    assert [name for name, figure in figures.items() if not figure.within] == []
    assert all(math.isfinite(figure.value) for figure in figures.values())


def test_edits_that_differ_are_counted(table_prior):
    rule = EditRule(threshold=0.2, source_token="excluded")
    first, again, other = (edit_texts(TEXTS, table_prior, rule, seed) for seed in (0, 0, 1))
    same = gpu_parts.differences(first, again)
    assert same["changed differently, share"].value == 0
    assert same["changed"].value == sum(e.stats.changed for e in first) > 0
    drawn = gpu_parts.differences(first, other)
    assert drawn["changed differently, share"].value > 0.02
    assert not drawn["changed differently, share"].within
    assert drawn["eligible on one device only, share"].value == 0
    fewer = edit_texts(TEXTS, table_prior, replace(rule, threshold=0.9))
    assert not gpu_parts.differences(first, fewer)["eligible on one device only, share"].within


def test_a_budget_is_a_range_that_holds_no_nan():
    assert Figure(1.0).within
    assert Figure(1.0, low=1.0, high=1.0).within
    assert not Figure(0.99, low=1.0).within
    assert not Figure(1.01, high=1.0).within
    assert not Figure(math.nan, high=1.0).within


def test_goals_of_speed_are_those_of_a_gpu(tmp_path):
    assert Setup("cuda", LARGE, tmp_path).goal(0.4) == 0.4
    assert Setup("cuda", deepcopy(LARGE), tmp_path).goal(0.4) == 0.4
    assert Setup("cuda", deepcopy(SMALL), tmp_path).goal(0.4) == -math.inf  # as processes get it
    assert Setup("cpu", SMALL, tmp_path).goal(0.4) == -math.inf


def test_all_parts_together_take_less_than_eight_minutes():
    """The command itself takes some seconds to start."""
    assert sum(seconds for _, seconds in PARTS.values()) <= 465


def slow_part(setup: Setup) -> dict[str, Figure]:
    time.sleep(600)
    return {}


def killed(setup: Setup) -> dict[str, Figure]:
    os._exit(7)


def broken(setup: Setup, error: type[Exception]) -> dict[str, Figure]:
    raise error("no kernel image\n  for this device")


def missed(setup: Setup) -> dict[str, Figure]:
    return {"a": Figure(1), "b": Figure(0.1, low=0.4)}


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (torch.OutOfMemoryError, "OutOfMemoryError: no kernel image for this device"),
        (UserError, "no kernel image for this device"),
    ],
)
def test_the_reason_of_a_failure_is_one_line(tmp_path, error, line, capsys):
    receive, send = multiprocessing.Pipe(duplex=False)
    gpu._report(partial(broken, error=error), Setup(*SETTING, tmp_path), send)
    row = {"seconds": 1.0, **receive.recv()}
    assert row["failed"] == line
    assert not gpu.passed(row)
    gpu.show("a part", row)
    assert capsys.readouterr().out == f"a part: {line}, 1 s\n"


def test_a_missed_budget_is_marked(tmp_path, capsys):
    receive, send = multiprocessing.Pipe(duplex=False)
    gpu._report(missed, Setup(*SETTING, tmp_path), send)
    row = {"seconds": 1.0, **receive.recv()}
    assert row["figures"]["b"] == {"value": 0.1, "at_least": 0.4, "within": False}
    assert not gpu.passed(row)
    gpu.show("a part", row)
    assert "b: 0.1, at least 0.4: MISSED" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "line"), [(killed, "ended with exit code 7"), (slow_part, "not done in 40 s")]
)
def test_a_part_that_dies_or_hangs_is_ended(tmp_path, part, line):
    started = time.perf_counter()
    row = run_part(part, Setup(*SETTING, tmp_path), 40)
    assert line in row["failed"]
    assert time.perf_counter() - started < 120


@pytest.mark.slow
def test_the_command_writes_one_record(tmp_path, no_gpu, capsys):
    out, parts = tmp_path / "check.json", ["scoring, 8B", "losses by precision"]
    with pytest.raises(SystemExit) as stop:
        gpu.main(["--device", "cpu", "--small", "--out", str(out), *parts])
    assert stop.value.code == 0
    record = json.loads(out.read_text())
    assert list(record["parts"]) == parts
    assert (record["passed"], record["small"], record["device"]) == (True, True, "cpu")
    assert record["packages"]["torch"] == torch.__version__
    assert all(row["seconds"] > 0 for row in record["parts"].values())
    assert "passed in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "make gpu-check needs a CUDA device and finds none"),
        (["--device", "cpu"], "--device cpu needs --small"),
    ],
)
def test_a_machine_without_a_gpu_is_told_in_a_line(options, line, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=line):
        gpu.main(options)
    assert not list(tmp_path.iterdir())
