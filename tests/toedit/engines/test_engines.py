"""Engines: the same bytes from each, and a scheduler that is told and left alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import ROOT, stand_ins
from conftest import corpus_text
from datatrove.pipeline.base import PipelineStep

from toedit import pipeline
from toedit.corpora.documents import write_documents
from toedit.corpora.units import make_units, manifest_path, write_units
from toedit.document import Document
from toedit.editor import candidates_for
from toedit.engines import Engine
from toedit.engines.local import run_local
from toedit.errors import Submitted, UserError
from toedit.priors import PriorConfig
from toedit.rules import PRESETS

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


FAKES = {
    # Runs the tasks of the array at once, as Slurm would some time later.
    "sbatch": """#!/bin/bash
cp "${@: -1}" "$FAKE_SLURM/script-$$"
echo "$@" > "$FAKE_SLURM/arguments"
last=$(grep -oP '(?<=--array=0-)[0-9]+' "$FAKE_SLURM/script-$$")
if [ -n "$FAKE_HELD" ]; then echo "Submitted batch job 77"; exit 0; fi
for task in $(seq 0 "$last"); do
  SLURM_ARRAY_TASK_ID=$task SLURM_NODELIST=node1 SLURM_JOB_ID=77 bash "$FAKE_SLURM/script-$$" \
    >> "$FAKE_SLURM/output" 2>&1
done
echo "Submitted batch job 77"
""",
    "srun": """#!/bin/bash
while [ "$1" != launch_pickled_pipeline ]; do shift; done
exec "$@"
""",
    "squeue": """#!/bin/bash
[ -n "$FAKE_HELD" ] && echo "77 default toedit PD"
exit 0
""",
    "scontrol": """#!/bin/bash
echo node1
""",
}


@pytest.fixture()
def slurm(tmp_path, monkeypatch) -> Path:
    """Stand-ins for Slurm's commands that run the submitted script on this machine."""
    monkeypatch.setenv("PATH", f"{Path(sys.prefix, 'bin')}:{os.environ['PATH']}")
    for name, value in stand_ins(tmp_path / "slurm", FAKES).items():
        monkeypatch.setenv(name, value)
    return tmp_path / "slurm"


@pytest.mark.slow
def test_slurm_submits_says_so_and_the_same_command_continues(corpus, tmp_path, slurm):
    engine = Engine(kind="slurm", workers=3, cpus=2, gpus=1, partition="short", time="01:00:00",
                    options={"account": "lab", "comment": "two words"})  # fmt: skip
    output = tmp_path / "it's (1), b=c $x"
    with pytest.raises(Submitted, match="submitted 4 tasks as Slurm job 77"):
        run(corpus, output, engine)
    script = next(slurm.glob("script-*")).read_text()
    for line in ("--array=0-3%3", "--cpus-per-task=2", "--gpus=1", "--partition=short",
                 "--time=01:00:00", "--account=lab", "--requeue",
                 "--comment='two words'"):  # fmt: skip
        assert f"#SBATCH {line}" in script
    assert "launch_pickled_pipeline" in script
    output_log = (slurm / "output").read_text()
    assert run(corpus, output, engine) == run(corpus, tmp_path / "local", Engine()), output_log


def test_slurm_is_not_asked_twice_for_what_is_queued(corpus, tmp_path, slurm, monkeypatch):
    monkeypatch.setenv("FAKE_HELD", "1")
    engine = Engine(kind="slurm")
    with pytest.raises(Submitted, match="submitted 4 tasks"):
        run(corpus, tmp_path / "out", engine)
    with pytest.raises(Submitted, match="job 77 is still queued or running"):
        run(corpus, tmp_path / "out", engine)
    assert len(list(slurm.glob("script-*"))) == 1


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
