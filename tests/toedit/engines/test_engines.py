"""Engines: the same bytes from each, and a scheduler that is told and left alone."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import ROOT
from conftest import corpus_text
from datatrove.pipeline.base import PipelineStep
from slurm import ask, until

from toedit import pipeline
from toedit.corpora.documents import write_documents
from toedit.corpora.units import make_units, manifest_path, write_units
from toedit.document import Document
from toedit.editor import candidates_for
from toedit.engines import Engine
from toedit.engines.local import run_local
from toedit.engines.slurm import find
from toedit.errors import Submitted, UserError
from toedit.priors import PriorConfig
from toedit.rules import PRESETS
from toedit.synthesis import Synthesis

HERE = Path(__file__).resolve().parent
TABLE = PriorConfig(kind="table")
RULE = PRESETS["released_code"]


@pytest.fixture()
def corpus(tmp_path) -> Path:
    path = tmp_path / "corpus.parquet"
    write_documents(path, [Document(f"d{i}", corpus_text(i), {"n": i}) for i in range(20)])
    return path


def run(corpus: Path, output: Path, engine: Engine) -> dict[str, bytes]:
    units = make_units([corpus], 5)
    write_units(manifest_path(output), units)
    steps = [
        pipeline.ReadUnit(str(manifest_path(output))),
        pipeline.ScoreStep(TABLE, candidates_for(RULE), engine.worker_threads),
        pipeline.EditStep(TABLE, RULE),
        pipeline.WriteDocuments(str(output)),
    ]
    pipeline.run_steps(steps, units, output, "test", engine)
    return {p.name: p.read_bytes() for p in sorted((output / pipeline.SHARDS).glob("*"))}


ON_SLURM = {"kind": "slurm", "workers": 2, "memory_gb": 1, "partition": "main",
            "options": {"comment": "two words"}}  # fmt: skip


@pytest.mark.slow
def test_slurm_gives_the_same_bytes_also_of_more_units_than_an_array_may_have(
    corpus, tmp_path, slurm
):
    output = tmp_path / "it's (1), b=c %j $x"
    engine = Engine(**ON_SLURM)
    with pytest.raises(
        Submitted, match=r"4 of 4 units of .*: submitted as Slurm job \d+: 2 "
    ) as said:
        run(corpus, output, engine)
    number = re.search(r"Slurm job (\d+)", str(said.value))[1]
    with pytest.raises(Submitted, match=f"Slurm job {number}: "):
        run(corpus, output, engine)
    until(lambda: not find(number).unfinished, 120)
    logs = "".join(path.read_text() for path in output.glob(".work/slurm_logs/*"))
    assert run(corpus, output, engine) == run(corpus, tmp_path / "local", Engine()), logs
    assert len(list(output.glob(".work/slurm_logs/*"))) == 2


@pytest.mark.slow
def test_synthesis_on_slurm_gives_the_same_bytes_and_a_task_that_fails_says_why(
    corpus, tmp_path, slurm, tiny_model
):
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)

    def write(output: Path, engine: Engine) -> dict[str, bytes]:
        units = make_units([corpus], 10)
        write_units(manifest_path(output), units)
        prior = PriorConfig(kind="hf", model=str(model), max_length=64, overlap=8)
        generate = pipeline.Generate(prior, Synthesis("continue", max_new_tokens=8), threads=1)
        steps = [pipeline.ReadUnit(str(manifest_path(output))), generate,
                 pipeline.WriteDocuments(str(output))]  # fmt: skip
        pipeline.run_steps(steps, units, output, "test", engine)
        return {p.name: p.read_bytes() for p in sorted((output / pipeline.SHARDS).glob("*"))}

    here = write(tmp_path / "here", Engine(threads=1))
    engine = Engine(**ON_SLURM, threads=1)
    model.rename(tmp_path / "gone")
    with pytest.raises(Submitted):
        write(tmp_path / "there", engine)
    until(lambda: not ask("squeue", "-h").strip(), 120)
    (tmp_path / "gone").rename(model)
    with pytest.raises(Submitted, match=r"try 2 of 3, as .* 2 FAILED .*UserError: .*_0\.out\)"):
        write(tmp_path / "there", engine)
    until(lambda: not ask("squeue", "-h").strip(), 120)
    assert write(tmp_path / "there", engine) == here


def test_without_slurm_or_ray_the_answer_is_one_line(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="needs the command sbatch"):
        run(corpus, tmp_path / "out", Engine(kind="slurm"))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'toedit\[ray\]'"):
        run(corpus, tmp_path / "out", Engine(kind="ray"))


@pytest.mark.ray
def test_ray_gives_the_same_bytes(corpus, tmp_path):
    pytest.importorskip("ray", reason="the extra toedit[ray] is not installed")
    ray = run(corpus, tmp_path / "ray", Engine(kind="ray", workers=2, memory_gb=1))
    assert ray == run(corpus, tmp_path / "local", Engine())


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_change_no_byte(corpus, tmp_path, workers):
    many = run(corpus, tmp_path / "many", Engine(workers=workers))
    assert many == run(corpus, tmp_path / "one", Engine())


class Look(PipelineStep):
    """Notes which GPUs its worker sees."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data, rank: int = 0, world_size: int = 1):
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
        (self.folder / f"{rank}").write_text(seen)
        time.sleep(0.2)  # so that no worker takes all
        yield from ()


@pytest.mark.parametrize(("given", "seen"), [("4,5", {"4", "5"}), ("7", {"7"})])
def test_local_workers_have_a_gpu_each(tmp_path, monkeypatch, given, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    (tmp_path / "seen").mkdir()
    run_local(Engine(workers=2), [Look(tmp_path / "seen")], 6, tmp_path / "work")
    found = {path.read_text() for path in (tmp_path / "seen").iterdir()}
    assert found == seen


DRIVER = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from test_engines import run, Engine
if __name__ == "__main__":
    print("begun", flush=True)
    run(Path({corpus!r}), Path({output!r}), Engine(workers=2))
"""


@pytest.mark.slow
def test_a_killed_driver_leaves_no_process_behind(corpus, tmp_path):
    path = [str(folder) for folder in (ROOT, ROOT / "tests", ROOT / "tests" / "assets", HERE)]
    code = DRIVER.format(path=path, corpus=str(corpus), output=str(tmp_path / "out"))
    script = tmp_path / "driver.py"
    script.write_text(code)
    driver = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True,
                              start_new_session=True)  # fmt: skip
    assert driver.stdout.readline() == "begun\n"
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob(".work/progress/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    while members(driver.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not members(driver.pid)


def members(session: int) -> list[str]:
    """Living processes of a session."""
    done = subprocess.run(["ps", "-o", "stat=,args=", "-s", str(session)], capture_output=True,
                          text=True, check=False)  # fmt: skip
    return [line for line in done.stdout.splitlines() if not line.startswith("Z")]
