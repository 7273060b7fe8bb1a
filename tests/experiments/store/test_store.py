"""Records, locks and logs."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from simple_stages import simple_stage

from experiments.stage import Stage
from experiments.store import Store
from experiments.store.curves import MetricsLog
from toedit.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Numbers:
    a: int = 1


def stage(a: int) -> Stage:
    return simple_stage("kind", "name", config=Numbers(a))


def test_a_record_is_the_only_sign_of_being_done(tmp_path):
    store = Store(tmp_path)
    store.folder(stage(2)).mkdir(parents=True)
    assert store.record(stage(2)) is None
    store.finish(stage(2), {"identity": stage(2).identity, "metrics": {"x": 1}})
    assert store.record(stage(2))["metrics"] == {"x": 1}
    assert store.differences(stage(3)) == ["config.a: 2 -> 3"]
    store.discard(stage(2))
    assert store.record(stage(2)) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"metrics": {}}'])
def test_a_corrupted_record_is_named(tmp_path, content):
    store = Store(tmp_path)
    store.finish(stage(2), {"identity": {}, "metrics": {}})
    (store.folder(stage(2)) / "record.json").write_text(content)
    with pytest.raises(UserError, match="to recompute it"):
        store.record(stage(2))


def test_a_newer_store_is_refused(tmp_path):
    (tmp_path / "format.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="format 99"):
        Store(tmp_path)


def test_a_store_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the store"):
        Store(tmp_path / "file" / "store")


PATH = [str(ROOT), str(ROOT / "tests" / "assets"), str(Path(__file__).parent)]
HOLDER = """
import sys, time
from pathlib import Path
sys.path[:0] = {path!r}
from test_store import Store, stage
with Store({store!r}).lock(stage(5)):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_waits_and_a_dead_one_holds_nothing(tmp_path, capfd):
    code = HOLDER.format(path=PATH, store=str(tmp_path))
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    killer = subprocess.Popen(
        [sys.executable, "-c", f"import time,os; time.sleep(1.5); os.kill({holder.pid}, 9)"]
    )
    started = time.monotonic()
    with Store(tmp_path).lock(stage(5)):
        waited = time.monotonic() - started
    killer.wait()
    holder.wait()
    assert waited > 1
    assert f"process {holder.pid}" in capfd.readouterr().err


def test_a_forked_helper_that_outlives_its_parent_holds_no_lock(tmp_path):
    code = HOLDER.format(path=PATH, store=str(tmp_path))
    code = code.replace("import sys, time", "import os, sys, time").replace(
        "    time.sleep(60)",
        "    if os.fork() == 0:\n        print(os.getpid(), flush=True)\n    time.sleep(60)",
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    child = int(holder.stdout.readline())
    holder.kill()
    holder.wait()
    started = time.monotonic()
    with Store(tmp_path).lock(stage(5)):
        waited = time.monotonic() - started
    os.kill(child, 9)
    assert waited < 5


def test_metrics_of_a_repeated_attempt_replace_the_earlier_ones(tmp_path):
    log = MetricsLog(tmp_path)
    for step in (1, 2, 3):
        log.append({"loss": float(step)}, step)
    with log.path.open("a") as handle:
        handle.write('{"step": 4, "lo')  # a kill in mid-line
    log = MetricsLog(tmp_path)
    log.append({"loss": 20.0}, 2)
    assert log.read() == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 20.0}]
