"""Sweeps: what jobs note, what the summary says of them, and that nothing is done twice or lost."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from commands import wait_for
from simple_stages import simple_stage
from swept import computed, results, table

from experiments.config import Config, TrackerConfig
from experiments.config.compose import SweepJob, compose, sweep_jobs
from experiments.stage import Stage
from experiments.sweeps import driver, summary
from experiments.sweeps.job import (
    STATUS_FILE,
    Finished,
    JobStatus,
    Planned,
    State,
    job_statuses,
    run_job,
)
from experiments.sweeps.objective import main_metrics, objective_value, require_objective
from toedit.errors import Submitted, UserError

WORDS = ["-m", "+exp=cpt_bio", "seed=0,1,2"]


def heldout(bits: float) -> dict:
    return {"metrics": {"heldout": {"bits_per_byte": bits, "worst": "none", "bad": float("nan")}}}


def evaluated(name: str, arm: str, seed: int) -> Stage:
    return simple_stage("evaluate", name, arm=arm, seed=seed)


STAGES = [evaluated("edited-seed0", "edited", 0), evaluated("edited-seed1", "edited", 1),
          evaluated("source-seed0", "source", 0)]  # fmt: skip
RECORDS = {"evaluate/edited-seed0": heldout(1.0), "evaluate/edited-seed1": heldout(2.0),
           "evaluate/source-seed0": heldout(9.0)}  # fmt: skip
BITS = "evaluate/edited.heldout.bits_per_byte"


def finished(value: float = 1.0, cached: bool = False) -> Finished:
    config = Config(name="cpt_bio", objective=BITS, tracker=TrackerConfig("none"))
    stages = [evaluated("edited", "edited", 0)]
    return Finished(config, stages, {"evaluate/edited": heldout(value)}, Path("report"), cached)


def swept(folder: Path, works: list) -> list:
    """Runs jobs as a launcher would, one after the other."""
    for number, work in enumerate(works):
        job = SweepJob(folder / str(number), number, [f"seed={number}"], True, False)
        run_job(job, work)
    return job_statuses(folder)


def raising(error: BaseException):
    def work():
        raise error

    return work


def test_an_objective_is_the_mean_over_seeds():
    assert objective_value(BITS, STAGES, RECORDS) == 1.5
    one = BITS.replace("edited", "edited-seed1")
    assert objective_value(one, STAGES, RECORDS) == 2.0


@pytest.mark.parametrize(
    ("objective", "line"),
    [
        (
            "evaluate/edited.heldout.bits_per_bite",
            "no 'bits_per_bite'; did you mean 'bits_per_byte'",
        ),
        ("evaluate/edited.held", "no 'held'; did you mean 'heldout'"),
        ("evaluate/edited.heldout", "is no number"),
        ("evaluate/edited.heldout.worst", "is no number"),
        ("evaluate/edited.heldout.bad", "is nan"),
    ],
)
def test_an_objective_that_is_not_there_is_named(objective, line):
    with pytest.raises(UserError, match=re.escape(line)):
        objective_value(objective, STAGES, RECORDS)


def test_the_stage_of_an_objective_is_looked_for_before_anything_runs():
    from experiments.plans import plan

    stages = plan(compose(["+exp=cpt_bio", "seeds=[0,1]"]))
    require_objective(BITS, stages)
    with pytest.raises(UserError, match="no stage 'evaluate/edit' here; did you mean 'evaluate/"):
        require_objective("evaluate/edit.heldout.bits_per_byte", stages)


def test_a_sweep_has_one_folder_whatever_runs_its_jobs():
    own = driver.folder_of(WORDS)
    assert own.parent == Path("store/sweeps")
    assert own.name.startswith("cpt_bio-sweep-")
    for more in (["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], ["tracker=none"],
                 ["dry_run=true"]):  # fmt: skip
        assert driver.folder_of([*WORDS, *more]) == own
    assert driver.folder_of([*WORDS, "store=there"]) == Path("there/sweeps", own.name)
    assert driver.folder_of([*WORDS, "edit.k=4"]) != own
    assert driver.is_multirun(["+exp=cpt_bio", "+sweep=k"])
    assert not driver.is_multirun(["+exp=cpt_bio", "seed=1"])


def test_every_end_of_a_job_is_told(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path, [
            finished, lambda: finished(0.5, cached=True), raising(UserError("edit.k=0 is wrong")),
            raising(ZeroDivisionError("x")), raising(Submitted("job 7")),
            raising(KeyboardInterrupt()),
        ])  # fmt: skip
    (tmp_path / "6").mkdir()
    first = json.loads((tmp_path / "0" / STATUS_FILE).read_text())
    killed = {**first, "number": 6, "state": "running"}
    (tmp_path / "6" / STATUS_FILE).write_text(json.dumps(killed))
    found = job_statuses(tmp_path, [[f"seed={n}"] for n in range(8)])
    assert [note.state for note in found] == [
        "done", "cached", "failed", "failed", "submitted", "interrupted", "lost", "not begun",
    ]  # fmt: skip
    assert found[2].reason == "edit.k=0 is wrong"
    assert "ZeroDivisionError" in Path(found[3].log).read_text()  # ours: with its traceback
    assert not found[2].log
    text = summary.markdown("name", found, WORDS)
    assert "8 jobs: 1 done, 1 cached, 2 failed, 1 lost, 1 interrupted, 1 submitted, 1 not" in text
    assert "edit.k=0 is wrong |" in text
    assert "\nSmallest evaluate/edited.heldout.bits_per_byte: job 1, 0.5.\n" in text
    assert "error: job 2: edit.k=0 is wrong" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("works", "code"),
    [
        ([finished, finished], 0),
        ([finished, raising(UserError("x"))], 1),
        ([finished, raising(Submitted("x"))], 75),
        ([raising(UserError("x")), raising(Submitted("x"))], 1),
    ],
)
def test_the_exit_code_says_whether_all_is_done(tmp_path, works, code):
    swept(tmp_path, works)
    assert summary.write_summary(tmp_path, WORDS) == code


def test_a_sweep_that_goes_on_has_no_summary_of_before_and_its_command_is_whole(tmp_path):
    swept(tmp_path, [finished])
    summary.write_summary(tmp_path, [*WORDS, "tracker=none", "store=there"])
    text = (tmp_path / summary.SUMMARY).read_text()
    assert "tracker=none store=there`" in text
    with pytest.raises(KeyboardInterrupt):
        driver.run_sweep(WORDS, tmp_path, lambda _: raising(KeyboardInterrupt())())
    assert not (tmp_path / summary.SUMMARY).exists()


def test_settings_are_compared_over_the_seeds_they_share(tmp_path):
    from scipy import stats

    values = {"0.9": (1.0, 1.4, 1.1), "0.99": (0.7, 1.2, 0.6)}
    found = [
        JobStatus(
            number, [f"edit.threshold={t}", f"seed={seed}"], State.DONE, objective=BITS, value=value
        )
        for number, (t, seed, value) in enumerate(
            (t, seed, value) for t, own in values.items() for seed, value in enumerate(own)
        )
    ]
    text = summary.markdown("name", found, WORDS)
    rows = summary.settings(found)
    assert [row[0] for row in rows] == ["edit.threshold=0.9", "edit.threshold=0.99"]
    test = stats.ttest_rel(values["0.99"], values["0.9"])
    assert rows[1][3].startswith("-0.3333 [")
    assert rows[1][4] == "3"
    assert float(rows[1][5]) == pytest.approx(test.pvalue, rel=0.02)
    assert "## Settings, over seeds" in text
    assert summary.ONE_SEED not in text
    assert summary.settings(found[:4]) == []  # one seed of the second says nothing
    assert summary.ONE_SEED in summary.markdown("name", found[:4], WORDS)


def valued(*jobs: tuple[list[str], float | None]) -> list:
    return [
        JobStatus(
            n, overrides, State.FAILED if value is None else State.DONE, objective=BITS, value=value
        )
        for n, (overrides, value) in enumerate(jobs)
    ]


def test_settings_that_share_no_seed_are_not_compared():
    found = valued(*((["exp=x", f"lr={lr}", f"seed={seed}"], value) for lr, seed, value in (
        (1, 0, 1.0), (1, 1, 1.2), (1, 2, None), (2, 0, None), (2, 2, 0.5), (2, 3, 0.7)
    )))  # fmt: skip
    rows = summary.settings(found)
    assert [row[0] for row in rows] == ["lr=1", "lr=2"]
    assert rows[1][3:] == ["no seed in common", "0", "", ""]
    assert "no seed in common" in summary.markdown("name", found, WORDS)


def test_a_setting_that_failed_leaves_the_others_compared():
    found = valued(*(([f"lr={lr}", f"seed={seed}"], value) for lr, seed, value in (
        (1, 0, 1.0), (1, 1, 1.2), (2, 0, 0.5), (2, 1, 0.8), (3, 0, 0.4), (3, 1, None)
    )))  # fmt: skip
    assert [row[0] for row in summary.settings(found)] == ["lr=1", "lr=2"]
    assert summary.ONE_SEED in summary.markdown("name", found, WORDS)


def test_seeds_within_a_job_and_jobs_that_only_plan_are_no_single_seeds():
    averaged = valued((["lr=1", "seeds=[0,1]"], 1.0), (["lr=2", "seeds=[0,1]"], 2.0))
    assert summary.ONE_SEED not in summary.markdown("name", averaged, WORDS)
    planned = valued((["lr=1", "seed=0"], 0.0), (["lr=1", "seed=1"], 0.0),
                     (["lr=2", "seed=0"], 0.0), (["lr=2", "seed=1"], 0.0))  # fmt: skip
    for note in planned:
        note.objective = None
    assert summary.settings(planned) == []


def test_a_dry_sweep_counts_what_jobs_share_once(tmp_path):
    def plans(**seconds: float):
        return lambda: Planned(seconds)

    found = swept(tmp_path, [plans(score=60.0, edit=30.0), plans(score=60.0, other=20.0)])
    text = summary.markdown("name", found, WORDS)
    assert "To compute: 3 stages, each once, in 110\N{NO-BREAK SPACE}s one after another." in text


def test_the_history_of_a_search_is_kept_and_drawn(tmp_path):
    swept(tmp_path, [lambda v=v: finished(v) for v in (3.0, 1.0, 2.0)])
    summary.write_summary(tmp_path, WORDS)
    rows = (tmp_path / "history.csv").read_text().splitlines()
    assert rows == [f"job,{BITS},best so far", "0,3.0,3.0", "1,1.0,1.0", "2,2.0,1.0"]
    assert (tmp_path / "history.png").stat().st_size > 5000


def test_only_settings_that_differ_stand_in_the_table(tmp_path):
    for number in (0, 1):
        overrides = ["+exp=cpt_bio", f"seed={number}"]
        run_job(SweepJob(tmp_path / str(number), number, overrides, True, False), finished)
    header, rows = summary.rows(job_statuses(tmp_path))
    assert header == ["job", "seed", "state", "seconds", BITS, "what"]
    assert [row[1] for row in rows] == ["0", "1"]


def test_without_an_objective_the_table_shows_the_metrics_of_each_arm(tmp_path):
    text = simple_stage("corpus", "c")
    trained = {"model": simple_stage("train", "t")}

    def stages():
        for arm in ("source", "edited"):
            for seed in (0, 1):
                name = f"{arm}-seed{seed}"
                yield simple_stage("evaluate", name, inputs=trained, arm=arm, seed=seed)
                early = {"arm": arm, "seed": seed, "checkpoint": 5}
                yield simple_stage("evaluate", f"{name}-after5", inputs=trained, **early)
        yield simple_stage("evaluate", "base", arm="base")

    def run(number):
        records = {f"evaluate/{s.name}": heldout(7.0 if s.checkpoint else number + (s.seed or 0))
                   for s in stages()}  # fmt: skip
        config = Config(name="cpt_bio", tracker=TrackerConfig("none"))
        return Finished(config, list(stages()), records, Path("report"), False)

    jobs = swept(tmp_path, [lambda: run(1.0), lambda: run(2.0), raising(UserError("no"))])
    header, rows = summary.rows(jobs)
    assert header[3:6] == ["seconds", "source, bits per byte", "edited, bits per byte"]
    assert [row[4:6] for row in rows] == [["1.5", "1.5"], ["2.5", "2.5"], ["", ""]]

    edits = [simple_stage("edit", name, inputs={"text": text}) for name in "abcdef"]
    records = {f"edit/{s.name}": {"metrics": {"changed_per_10k": n}} for n, s in enumerate(edits)}
    shown = main_metrics(edits, records)  # where nothing is trained
    assert list(shown) == [f"{name}, changed / 10k tokens" for name in "adef"]
    assert list(shown.values()) == [0, 3, 4, 5]


@pytest.mark.slow
def test_a_failed_job_stops_no_other_and_finished_ones_are_not_run_again(sweeping, tmp_path):
    words = ["-m", "edit.threshold=0.9,2.0,0.99", "arms=[edited]"]
    command = sweeping(*words)
    assert command.wait() == 1, command.output
    rows = table(command.output)
    assert [row[1:3] for row in rows] == [["0.9", "done"], ["2.0", "failed"], ["0.99", "done"]]
    assert "edit.threshold=2.0 is not a probability" in rows[1][-1]
    assert "Traceback" not in command.output
    assert command.output.count("done  score/") == 1  # one pass for all
    for record in (tmp_path / "store").glob("edit/*/record.json"):
        argv = json.loads(record.read_text())["argv"]
        assert argv[0] == "run.py" and "edit.threshold=" in " ".join(argv)  # of that job alone
        assert "-m" not in argv
    before = results(tmp_path / "store")
    again = sweeping(*words)
    assert again.wait() == 1
    assert [row[2] for row in table(again.output)] == ["cached", "failed", "cached"]
    assert results(tmp_path / "store") == before
    assert sweep_jobs(next((tmp_path / "store" / "sweeps").iterdir())) is not None


@pytest.mark.slow
def test_what_no_job_of_a_sweep_can_mend_is_told_in_one_line(sweeping, tmp_path):
    for words, line in (
        (["-m", "edit=forced,nothing"], "unknown choice for edit 'nothing'"),
        (["-m", "edit.treshold=0.9,1"], "unknown field 'edit.treshold'"),
        (["+sweep=thresholds"], "unknown choice for sweep 'thresholds'; did you mean 'threshold'"),
        (["-m", "seed=0,1", "hydra/launcher=jobs"], "hydra/launcher"),
    ):
        command = sweeping(*words)
        assert command.wait() == 2, command.output
        assert command.output.splitlines()[-1].startswith("error: "), command.output
        assert line in command.output.splitlines()[-1]
        assert "Traceback" not in command.output
    command = sweeping("-m", "seed=0,1", "force=score")
    assert command.wait() == 1
    assert "in a sweep would recompute what its jobs share" in command.output


def test_a_dry_sweep_leaves_nothing_behind(sweeping, tmp_path):
    command = sweeping("-m", "seed=0,1", "dry_run=true")
    assert command.wait() == 0, command.output
    assert [row[2] for row in table(command.output)] == ["planned", "planned"]
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_jobs_side_by_side_share_their_stages(sweeping, tmp_path):
    """A lock sees to it: with two workers every stage is computed by one of them."""
    words = ["-m", "edit.threshold=0.9,0.99", "seed=0,1"]
    both = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    command = sweeping(*words, *both)
    assert command.wait() == 0, command.output
    assert [row[3] for row in table(command.output)] == ["done"] * 4
    did = computed(tmp_path / "store")
    assert len(did) == len(set(did)) == len(results(tmp_path / "store"))
    alone = sweeping(*words, store="alone")
    assert alone.wait() == 0
    assert results(tmp_path / "store") == results(tmp_path / "alone")


@pytest.mark.slow
def test_a_killed_worker_is_told_and_the_same_command_goes_on(sweeping, tmp_path):
    """The process of a job dies, as with a node or for want of memory."""
    import psutil

    words = ["-m", "seed=0,1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    command = sweeping(*words)
    logs = tmp_path / "store" / "sweeps"
    wait_for(
        lambda: any("run   train/" in p.read_text() for p in logs.glob("*/0/job.log")), command
    )
    for child in psutil.Process(command.process.pid).children(recursive=True):
        if "loky" in " ".join(child.cmdline()):
            child.send_signal(signal.SIGKILL)
    assert command.wait() == 1, command.output
    assert [row[2] for row in table(command.output)] == ["lost", "lost", "not begun"]
    assert "killed or lost" in command.output
    assert "Traceback" not in command.output
    again = sweeping(*words)
    assert again.wait() == 0, again.output
    assert [row[2] for row in table(again.output)] == ["done", "done", "done"]


@pytest.mark.slow
def test_two_same_sweeps_on_one_store(sweeping, tmp_path):
    words = ["-m", "seed=0,1"]
    first, second = sweeping(*words, log="a"), sweeping(*words, log="b")
    assert first.wait() == second.wait() == 0
    ends = sorted([row[2] for row in table(run.output)] for run in (first, second))
    assert ends == [["cached", "cached"], ["done", "done"]]
    assert "waiting for the sweep" in first.output + second.output


@pytest.mark.slow
def test_two_different_sweeps_on_one_store(sweeping, tmp_path):
    first = sweeping("-m", "seed=0,1", log="a")
    second = sweeping("-m", "seed=1,0", log="b")
    assert first.wait() == second.wait() == 0
    did = re.findall(r"^done +(\S+)", first.output + second.output, flags=re.MULTILINE)
    assert len(did) == len(set(did)) == len(results(tmp_path / "store"))


@pytest.mark.slow
def test_a_full_disk_fails_jobs_and_loses_nothing(sweeping, tmp_path):
    words = ["-m", "seed=0,1"]
    command = sweeping(*words, file_size=100_000)
    assert command.wait() == 1, command.output
    assert [row[2] for row in table(command.output)] == ["failed", "failed"]
    assert "the disk is full" in table(command.output)[0][-1]
    assert "Traceback" not in command.output
    again = sweeping(*words)
    assert again.wait() == 0, again.output
    alone = sweeping(*words, store="alone")
    assert alone.wait() == 0
    assert results(tmp_path / "store") == results(tmp_path / "alone")


SEARCH = ["+sweep=optuna_learning_rate", "hydra.sweeper.n_trials=5", "tracker=none"]


@pytest.mark.slow
def test_a_search_that_was_interrupted_ends_at_the_same_best_trial(sweeping, tmp_path):
    command = sweeping(*SEARCH)
    wait_for(lambda: command.output.count("written to") == 2, command)
    command.signal(signal.SIGINT)
    assert command.wait() == 130
    assert "interrupted" in command.output
    again = sweeping(*SEARCH)
    assert again.wait() == 0, again.output
    states = [row[3] for row in table(again.output)]
    assert states[:2] == ["cached", "cached"] and states[-1] == "done"
    alone = sweeping(*SEARCH, store="alone")
    assert alone.wait() == 0

    def history(store: str) -> str:
        (path,) = (tmp_path / store).glob("sweeps/*/history.csv")
        return path.read_text()

    assert history("store") == history("alone")
    best = re.findall("^Smallest .*: job .*", again.output, flags=re.MULTILINE)
    assert best == re.findall("^Smallest .*: job .*", alone.output, flags=re.MULTILINE) != []


@pytest.mark.slow
def test_a_sweep_is_one_run_of_the_tracker_beside_those_of_its_arms(sweeping, tmp_path):
    command = sweeping("-m", "seed=0,1", "tracker=wandb", "arms=[edited]", WANDB_MODE="offline")
    assert command.wait() == 0, command.output
    names = [path.name for path in (tmp_path / "store" / "wandb").glob("wandb/offline-run-*")]
    assert len([name for name in names if "-sweep-" in name]) == 1
    assert len(names) == 4  # base, an arm a seed, the sweep
    media = list((tmp_path / "store" / "wandb").glob("wandb/*sweep*/files/media/table/*.json"))
    (path,) = media
    found = json.loads(path.read_text())
    assert found["columns"][:3] == ["job", "seed", "state"]
    assert [row[1:3] for row in found["data"]] == [["0", "done"], ["1", "done"]]
    assert asked_for(tmp_path / "store" / "wandb" / "wandb") > 0


def asked_for(runs: Path) -> int:
    """Sends offline runs to a server on this machine, as docs/scaling.md says; how often it was
    asked for something before it was taken away."""
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.path)
            self.send_error(403)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    Thread(target=server.serve_forever, daemon=True).start()
    address = {"WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}",
               "WANDB_API_KEY": "0" * 40, "WANDB_MODE": "online"}  # fmt: skip
    command = [sys.executable, "-m", "wandb", "sync", *map(str, runs.glob("offline-run-*"))]
    with suppress(subprocess.TimeoutExpired):  # it tries again and again
        subprocess.run(command, env=os.environ | address, timeout=60, capture_output=True, cwd=runs)
    server.shutdown()
    return len([path for path in asked if path.endswith("graphql")])


def test_what_a_sweep_writes_holds_no_secret_and_no_home(tmp_path, monkeypatch, capsys):
    """The file that Hydra writes, the status of a job and what it prints."""
    key, home = "ghp_z9Y8x7W6v5U4t3S2r1Q0", tmp_path / "ada"
    monkeypatch.setenv("HOME", str(home))
    override = f"note='{key} of {home}/notes'"
    with driver.sweep_dir([*WORDS, f"store={home}/store"]) as folder:
        folder.mkdir(parents=True, exist_ok=True)
        plan = folder / "multirun.yaml"
        plan.write_text(f"hydra:\n  overrides:\n    task: [{override}]\n  cwd: {home}/code\n")

        def failing() -> Finished:
            raise UserError(f"no file {home}/a of https://ada:magnolia7@data.org/b")

        run_job(SweepJob(folder / "0", 0, [override], True, False), failing)
        assert key in plan.read_text()  # as long as the sweep reads it
    for path in (plan, folder / "0" / STATUS_FILE):
        text = path.read_text()
        assert "***" in text and "~/" in text
        assert key not in text and str(home) not in text and "magnolia7" not in text
    assert key not in capsys.readouterr().err
