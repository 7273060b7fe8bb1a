"""Searches: the same trials after any interruption, shared by commands, pruned, never lost."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest
from commands import wait_for
from simple_stages import simple_stage
from swept import results, table

from experiments.config import Config, TrackerConfig, TrainConfig
from experiments.config.compose import SweepJob
from experiments.config.launch import LaunchConfig
from experiments.runner import execute
from experiments.store import Store
from experiments.sweeps import summary
from experiments.sweeps.job import Finished, job_statuses, run_job
from toedit.errors import UserError

optuna = pytest.importorskip("optuna")

from optuna.distributions import (  # noqa: E402
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from experiments.sweeps.search import Search  # noqa: E402
from experiments.sweeps.study import (  # noqa: E402
    ERROR,
    STUDY_FILE,
    RunningTrial,
    open_storage,
    write_importance,
)
from hydra_plugins.optuna_search import OptunaSweeper, distribution  # noqa: E402

OBJECTIVE = "evaluate/source.bits"
SPACE = {"x": FloatDistribution(-2.0, 2.0), "n": IntDistribution(1, 9),
         "word": CategoricalDistribution(["a", "b"])}  # fmt: skip
DISCRETE = {"n": IntDistribution(2, 6, step=2), "word": CategoricalDistribution(["a", "b"])}


def bits(params: dict) -> float:
    return (params.get("x", 0.0) - 0.5) ** 2 + 0.1 * params["n"] + (params["word"] == "a")


def job_of(search: Search, number: int, params: dict) -> SweepJob:
    words = [f"{name}={value}" for name, value in params.items()]
    settings = {**search.settings, "study_name": search.name}
    return SweepJob(search.folder / str(number), number, words, True,
                    settings["direction"] == "maximize", settings)  # fmt: skip


def make(folder: Path, space: dict = SPACE, **more) -> Search:
    settings = {"sampler": {"name": "tpe", "seed": 0, "n_startup_trials": 3},
                "pruner": {"name": "none"}, "direction": "minimize", "n_trials": 8, "n_jobs": 1,
                "storage": None, **more}  # fmt: skip
    return Search(folder, space, settings, OBJECTIVE)


def done(value: float) -> Finished:
    config = Config(name="cpt_bio", objective=OBJECTIVE, tracker=TrackerConfig("none"))
    records = {"evaluate/source": {"metrics": {"bits": value}}}
    return Finished(config, [simple_stage("evaluate", "source")], records, Path("report"), False)


def searched(folder: Path, work=bits, space: dict = SPACE, **more) -> list[int]:
    """Runs a search whose jobs compute a function; returns the numbers in order."""
    search, ran = make(folder, space, **more), []

    def one(number: int, params: dict) -> float | None:
        ran.append(number)
        job = job_of(search, number, params)
        return run_job(job, lambda: done(work(params)), RunningTrial(job))

    search.run(lambda trials: [one(*trial) for trial in trials])
    return ran


def trials(folder: Path) -> list:
    storage = open_storage(folder)
    (name,) = [study.study_name for study in storage.get_all_studies()]
    return optuna.load_study(study_name=name, storage=storage).trials


def history(folder: Path) -> list[tuple]:
    return [(t.number, t.params, t.value) for t in trials(folder)]


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsgaii", "gp", "grid"])
def test_every_sampler_repeats_its_trials_and_an_interrupted_one_chooses_the_same(
    tmp_path, sampler
):
    space = DISCRETE if sampler == "grid" else SPACE
    options = {"name": sampler, "seed": 5}
    if sampler in ("tpe", "gp"):
        options["n_startup_trials"] = 2
    if sampler == "nsgaii":
        options["population_size"] = 3
    settings = {"sampler": options, "n_trials": 6, "space": space}
    whole, parts = tmp_path / "a" / "sweep", tmp_path / "b" / "sweep"
    searched(whole, **settings)
    assert len({str(params) for _, params, _ in history(whole)}) > 4
    count = 0

    def stops(params):
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return bits(params)

    with pytest.raises(KeyboardInterrupt):
        searched(parts, stops, **settings)
    assert [t.state.name for t in trials(parts)] == ["COMPLETE"] * 3 + ["RUNNING"]
    assert searched(parts, **settings) == list(range(6))  # what is done is asked of the store
    assert history(parts) == history(whole)
    assert searched(parts, **settings) == list(range(6))
    assert history(parts) == history(whole)
    if sampler == "grid":
        assert {(p["n"], p["word"]) for _, p, _ in history(whole)} == {
            (n, word) for n in (2, 4, 6) for word in "ab"
        }


def test_more_trials_go_on_where_fewer_ended_and_batches_survive_an_interruption(tmp_path):
    searched(tmp_path / "a" / "s", n_trials=3)
    searched(tmp_path / "a" / "s", n_trials=7)
    searched(tmp_path / "b" / "s", n_trials=7)
    assert history(tmp_path / "a" / "s") == history(tmp_path / "b" / "s")
    folder, calls = tmp_path / "c" / "s", []

    def stops(params):
        calls.append(params)
        if len(calls) == 6:  # the last of the second batch
            raise KeyboardInterrupt
        return bits(params)

    with pytest.raises(KeyboardInterrupt):
        searched(folder, stops, n_trials=7, n_jobs=3)
    searched(folder, n_trials=7, n_jobs=3)
    searched(tmp_path / "d" / "s", n_trials=7, n_jobs=3)
    assert history(folder) == history(tmp_path / "d" / "s")


def test_a_failed_trial_stops_no_other_and_is_run_again_by_the_next_command(tmp_path):
    def fails(params):
        if params["n"] < 6:
            raise UserError("training diverged at https://ada:magnolia7@data.org")
        return bits(params)

    ran = searched(tmp_path, fails)
    assert ran == list(range(8))
    failed = [t for t in trials(tmp_path) if t.state.name == "RUNNING"]
    assert 0 < len(failed) < 8
    assert "training diverged" in failed[0].user_attrs[ERROR]
    assert "magnolia7" not in (tmp_path / STUDY_FILE).read_text()
    states = {status.number: status.state for status in job_statuses(tmp_path)}
    assert states[failed[0].number] == "failed"
    searched(tmp_path)
    assert {t.state.name for t in trials(tmp_path)} == {"COMPLETE"}
    assert not any(t.user_attrs.get(ERROR) for t in trials(tmp_path))


def test_two_commands_divide_the_trials_of_a_study_and_wait_for_each_other(tmp_path):
    ran: dict[str, list[int]] = {}

    def slow(params):
        time.sleep(0.1)
        if params["word"] == "a" and params["n"] > 7:
            raise UserError("fails for both")
        return bits(params)

    def command(name: str) -> None:
        ran[name] = searched(tmp_path, slow, n_trials=12)

    threads = [Thread(target=command, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert sorted(ran["a"] + ran["b"]) == list(range(12))
    assert ran["a"] and ran["b"]
    assert len(trials(tmp_path)) == 12


def test_a_trial_that_another_command_runs_is_no_lost_one(tmp_path):
    seen = []

    def looks(params):
        if len(seen) < 2:
            seen.append([status.state for status in job_statuses(tmp_path)])
        return bits(params)

    searched(tmp_path, looks, n_trials=2)
    assert seen == [["running"], ["done", "running"]]


def test_results_that_changed_are_searched_anew(tmp_path, capsys):
    searched(tmp_path, n_trials=6)
    searched(tmp_path, lambda params: bits(params) + (params["n"] > 4), n_trials=6)
    assert "the search begins anew" in capsys.readouterr().err
    fresh = tmp_path / "other" / tmp_path.name
    searched(fresh, lambda params: bits(params) + (params["n"] > 4), n_trials=6)
    assert history(tmp_path) == history(fresh)


def test_another_space_is_another_study_and_keeps_no_status_of_the_first(tmp_path):
    searched(tmp_path, n_trials=4)
    searched(tmp_path, space=DISCRETE, n_trials=2)
    assert [status.number for status in job_statuses(tmp_path)] == [0, 1]
    assert len(open_storage(tmp_path).get_all_studies()) == 2


def test_a_journal_that_a_full_disk_cut_short_is_mended_and_a_damaged_one_is_one_line(tmp_path):
    searched(tmp_path, n_trials=2)
    path = tmp_path / STUDY_FILE
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":4,"work')
    searched(tmp_path, n_trials=3)
    assert [t.state.name for t in trials(tmp_path)] == ["COMPLETE"] * 3
    path.write_bytes(whole.replace(b'"op_code"', b'"', 1))
    with pytest.raises(UserError, match=r"study.log' is damaged .*; delete it"):
        searched(tmp_path)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"sampler": {"name": "tpee"}}, "hydra/sweeper/sampler='tpee' is unknown; did you mean"),
        ({"sampler": "grid"}, "hydra/sweeper/sampler=NAME"),
        ({"sampler": {"name": "tpe", "sede": 1}}, "sampler=tpe='sede' is unknown; did you mean 's"),
        ({"sampler": {"name": "nsgaii", "population_size": 1}}, "population_size"),
        ({"sampler": {"name": "grid"}}, "x: a grid needs"),
        ({"pruner": {"name": "medain"}}, "did you mean 'median'"),
        ({"direction": ["minimize", "maximize"]}, "hydra.sweeper.direction="),
        ({"n_trials": 0}, "n_trials=0 must be at least 1"),
        ({"storage": "sqlite:///x.db"}, "hydra.sweeper.storage"),
    ],
)
def test_a_search_that_cannot_be_is_refused_in_one_line(tmp_path, more, line):
    with pytest.raises(UserError, match=re.escape(line)):
        make(tmp_path, **more)
    assert not (tmp_path / STUDY_FILE).exists()


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a=int(interval(1, 8))", IntDistribution(1, 8)),
        ("a=interval(0.5, 8)", FloatDistribution(0.5, 8.0)),
        ("a=tag(log, interval(1e-6, 1e-3))", FloatDistribution(1e-6, 1e-3, log=True)),
        ("a=range(2, 65)", IntDistribution(2, 64)),
        ("a=range(2, 9, 3)", IntDistribution(2, 8, step=3)),
        ("a=range(0.5, 2, 0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
        ("a=choice(0.0, x)", CategoricalDistribution([0.0, "x"])),
        ("a=1,2", CategoricalDistribution([1, 2])),
    ],
)
def test_overrides_are_typed_distributions(override, expected):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (parsed,) = OverridesParser.create().parse_overrides([override])
    assert distribution(parsed)[0] == expected


def test_a_study_holds_no_secret_of_its_choices(monkeypatch):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    monkeypatch.setenv("HOME", "/h/ada")
    line = "note=/h/ada/x,'ghp_z9Y8x7W6v5U4t3S2r1Q0',2"
    (parsed,) = OverridesParser.create().parse_overrides([line])
    made, texts = distribution(parsed)
    assert made.choices[0] == "~/x" and "ghp_z9" not in str(made.choices)
    assert [texts[choice] for choice in made.choices] == [
        "/h/ada/x", "'ghp_z9Y8x7W6v5U4t3S2r1Q0'", 2
    ]  # fmt: skip


def test_the_summary_has_the_importance_of_each_field(tmp_path):
    searched(tmp_path, n_trials=12)
    assert summary.write_summary(tmp_path, ["-m", "+exp=cpt_bio"]) == 0
    text = (tmp_path / "summary.md").read_text()
    shares = dict(re.findall(r"^\| (x|n|word) +\| +([\d.]+) \|$", text, flags=re.MULTILINE))
    assert shares.keys() == SPACE.keys()
    assert sum(map(float, shares.values())) == pytest.approx(1.0, abs=0.02)
    assert (tmp_path / "importance.png").stat().st_size > 3000
    searched(tmp_path / "one" / "s", n_trials=1)
    assert write_importance(tmp_path / "one" / "s") == {}


@dataclass
class Trained:
    """A training whose loss is its rate at every step, as far as the runner is concerned."""

    rate: float = 0.0
    train: TrainConfig = field(default_factory=lambda: TrainConfig(
        tokens=40 * 64, block_size=64, batch_tokens=64))  # fmt: skip


def trained(folder: Path, rates: list[float], pruner: dict, **more) -> list:
    """A search whose jobs run a training and its evaluation by the runner."""
    search = make(folder, {"n": IntDistribution(0, 9)}, pruner=pruner, n_trials=len(rates), **more)

    def work(context):
        for step in range(1, 41):
            context.log({"loss": context.stage.config.rate}, step)
        return {"rate": context.stage.config.rate}

    def one(number: int, params: dict) -> float | None:
        job = job_of(search, number, params)
        train = simple_stage("train", "source", work, Trained(rates[number]))
        evaluate = simple_stage("evaluate", "source", lambda c: {"bits": c.metrics["m"]["rate"]},
                                inputs={"m": train})  # fmt: skip
        config = Config(name="x", objective=OBJECTIVE, tracker=TrackerConfig("none"))
        trial = RunningTrial(job)

        def run() -> Finished:
            stages = [train, evaluate]
            store = Store(folder.parent / "store")
            records = execute(config, stages, store, watch=trial.watching(config, stages))
            return Finished(config, stages, records, Path("report"), False)

        return run_job(job, run, trial)

    search.run(lambda batch: [one(*trial) for trial in batch])
    return job_statuses(folder)


@pytest.mark.parametrize(
    ("pruner", "direction"), [("median", "minimize"), ("hyperband", "maximize")]
)
def test_a_bad_training_is_pruned_by_its_losses_and_the_others_are_as_without(
    tmp_path, pruner, direction
):
    rates = [1.0, 1.1, 9.0, 0.9, 8.0, 7.0]
    options = {"median": {"n_startup_trials": 2}, "hyperband": {"max_resource": 40}}[pruner]
    settings = {"pruner": {"name": pruner, **options}, "direction": direction}
    folder = tmp_path / "a" / "s"
    jobs = trained(folder, rates, **settings)
    states = [job.state for job in jobs]
    assert set(states) == {"done", "pruned"}
    if pruner == "median":
        assert states == ["done", "done", "pruned", "done", "pruned", "pruned"]
        assert jobs[2].reason == "pruned at step 2 of 40: loss 9"
    assert summary.write_summary(folder, ["-m"]) == 0
    assert "pruned" in (folder / "summary.md").read_text()
    trained(tmp_path / "b" / "s", rates, {"name": "none"}, direction=direction)
    ours, whole = results(tmp_path / "a" / "store"), results(tmp_path / "b" / "store")
    assert len(ours) < len(whole)
    assert ours.items() <= whole.items()
    for trial in trials(folder):
        assert (trial.state.name == "PRUNED") == (states[trial.number] == "pruned")
    unfinished = [p for p in (tmp_path / "a" / "store" / "train").iterdir()
                  if not (p / "record.json").exists()]  # fmt: skip
    assert len(unfinished) == states.count("pruned")  # may be trained further by another command
    before = trials(folder)
    again = [job.state for job in trained(folder, rates, **settings)]
    assert again == states and trials(folder) == before


def test_slurm_trainings_cannot_be_pruned_which_is_said_before_they_begin(tmp_path):
    search = make(tmp_path, pruner={"name": "median"})
    params = search.study.ask(SPACE).params
    trial = RunningTrial(job_of(search, 0, params))
    config = Config(name="x", objective=OBJECTIVE, launch=LaunchConfig(kind="slurm"))
    with pytest.raises(UserError, match="launch=slurm"):
        trial.watching(config, [simple_stage("evaluate", "source")])


def test_hydra_knows_the_sweeper_and_its_groups(capsys, monkeypatch):
    from experiments.config.explain import explain

    lines = [explain(error(group)) for group in ("hydra/sweeper", "hydra/sweeper/sampler")]
    assert "allowed: basic, optuna" in lines[0] and "gp, grid, nsgaii" in lines[1]
    assert OptunaSweeper.__module__ == "hydra_plugins.optuna_search"


def error(group: str) -> Exception:
    from hydra.errors import MissingConfigException

    return MissingConfigException(f"In 'config': Could not find '{group}/tpee'", "x")


RATE = ["+sweep=optuna_learning_rate", "tracker=none", "hydra.sweeper.n_trials=4",
        "hydra.sweeper.sampler.n_startup_trials=2"]  # fmt: skip


@pytest.mark.slow
def test_two_commands_on_one_store_and_the_kill_of_one_of_them(sweeping, tmp_path):
    """Each trial is computed once; what the killed one had begun, the other runs."""
    first = sweeping(*RATE, log="a")
    second = sweeping(*RATE, log="b")
    wait_for(lambda: "written to" in first.output, first)
    first.kill()
    assert second.wait() == 0, second.output
    rows = table(second.output)
    assert [row[0] for row in rows] == ["0", "1", "2", "3"]
    assert {row[3] for row in rows} <= {"done", "cached"}
    (folder,) = (tmp_path / "store" / "sweeps").iterdir()
    assert [t.state.name for t in trials(folder)] == ["COMPLETE"] * 4
    ended = re.findall(r"^done +(train/\S+)", first.output + second.output, flags=re.MULTILINE)
    assert len(ended) == len(set(ended)) == 4


@pytest.mark.slow
def test_trials_side_by_side_and_pruned_ones(sweeping, tmp_path):
    """Workers of joblib report to the study; unpruned trials have the results of a plain search."""
    words = [*RATE, "hydra.sweeper.n_jobs=2"]
    pruner = ["hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1",
              "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]  # fmt: skip
    command = sweeping(*words, *pruner)
    assert command.wait() == 0, command.output
    states = [row[3] for row in table(command.output)]
    assert "pruned" in states  # also the second of the startup, if the first ended well before it
    assert "done" in states[:2]
    assert "pruned at step" in command.output
    plain = sweeping(*words, store="alone")
    assert plain.wait() == 0, plain.output
    assert {row[3] for row in table(plain.output)} == {"done"}
    (folder,) = (tmp_path / "store" / "sweeps").iterdir()
    (other,) = (tmp_path / "alone" / "sweeps").iterdir()
    for state, mine, theirs in zip(states[:2], trials(folder), trials(other), strict=False):
        assert mine.params == theirs.params  # of the startup, which knows no values
        if state == "pruned":
            continue
        assert mine.intermediate_values == theirs.intermediate_values
        assert mine.value == theirs.value


@pytest.mark.slow
def test_without_optuna_a_search_is_one_line(tmp_path):
    (tmp_path / "optuna.py").write_text("raise ImportError('absent')\n")
    command = [sys.executable, "-m", "experiments.run", "+exp=cpt_bio", "tracker=none",
               "+sweep=optuna_learning_rate", "dry_run=true"]  # fmt: skip
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(command, capture_output=True, text=True, check=False,
                           env=os.environ | {"PYTHONPATH": paths})  # fmt: skip
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "pip install -e '.[sweep]'" in line


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_the_lock_of_a_killed_process_is_waited_for_half_a_minute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s").mkdir()
    Path("s", f"{STUDY_FILE}.lock").touch()
    searched(Path("s"), n_trials=2)
    assert [t.state.name for t in trials(Path("s"))] == ["COMPLETE"] * 2


def test_a_kill_at_any_moment_loses_no_trial(tmp_path):
    """SIGKILL of a process amid asking and telling; the same command has the whole history."""
    context = __import__("multiprocessing").get_context("fork")
    killed, whole = tmp_path / "a" / "s", tmp_path / "b" / "s"
    for lines in (4, 20, 33, 50):
        process = context.Process(target=searched, args=(killed,), kwargs={"n_trials": 40})
        process.start()
        while process.is_alive() and _lines(killed / STUDY_FILE) < lines:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    (killed / f"{STUDY_FILE}.lock").unlink(missing_ok=True)  # else it is waited for half a minute
    searched(killed, n_trials=12)
    searched(whole, n_trials=12)
    assert history(killed)[:12] == history(whole)
    assert json.loads((killed / "11" / "job.json").read_text())["state"] == "done"
