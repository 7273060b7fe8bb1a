"""SIGKILL at random moments: the same command goes on and ends with the same records and files.

`make test` kills twice, `make test-slow` 20 times, `make soak` as often as TOEDIT_KILLS says, 200
unless told. Each kill waits until a stage of a chosen kind is being computed and strikes after a
random share of the time that this kind took in the undisturbed run. A store takes three kills
before its run may finish.
"""

import json
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from commands import Command, files, records, run, small_run
from conftest import corpus_text

AIMS = ("corpus", "score", "train"), ("edit", "train", "evaluate"), ("score", "edit", "evaluate")
"""Kinds of stages at which the kills of one store aim, in the order in which they come."""


@dataclass
class Undisturbed:
    """The run that all others must equal."""

    corpus: Path
    model: Path
    store: Path
    seconds: dict[str, float] = field(default_factory=dict)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_model) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    corpus = folder / "corpus.jsonl"
    rows = [{"id": f"doc-{i}", "text": corpus_text(i)} for i in range(60)]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = Undisturbed(corpus, tiny_model, folder / "store")
    run(small_run(corpus, tiny_model, found.store), folder / "log")
    for record in records_with_times(found.store):
        kind = record["kind"]
        found.seconds[kind] = max(found.seconds.get(kind, 0.0), record["seconds"])
    return found


def records_with_times(store: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in store.glob("*/*/record.json")]


def computing(output: str) -> str | None:
    """The kind of stage that a command's log says is being computed."""
    said = re.findall(r"^(run|continue|done) +(\w+)/", output, flags=re.MULTILINE)
    return said[-1][1] if said and said[-1][0] != "done" else None


def kill_once(arguments: list[str], log: Path, aim: str, delay: float, group: bool) -> str | None:
    """Starts the command and kills it.

    Returns:
        The kind of stage that was hit; None where the stage was so quick that the run ended first.
    """
    command = Command(arguments, log)
    deadline = time.monotonic() + 120
    while command.running and computing(command.output) != aim:
        assert time.monotonic() < deadline, command.output[-2000:]
        time.sleep(0.001)
    time.sleep(delay)
    command.kill(group)
    code = command.wait()
    assert code in (0, -signal.SIGKILL), command.output[-2000:]
    return None if code == 0 else computing(command.output) or "between stages"


def torment(
    undisturbed: Undisturbed, folder: Path, kills: int, seed: int, aims: Sequence = AIMS
) -> Counter:
    """Kills runs of the experiment and lets each finish; returns how often each kind was hit."""
    rng, struck = random.Random(seed), Counter()
    for number in count():
        if sum(struck.values()) == kills:
            return struck
        assert number < kills + 5, f"most runs ended before they were killed: {struck}"
        store = folder / f"{number}" / "store"
        store.parent.mkdir(parents=True)
        workers = 2 if number % 5 == 4 else 1
        arguments = small_run(
            undisturbed.corpus, undisturbed.model, store, f"engine.workers={workers}"
        )
        for aim in aims[number % len(aims)][: kills - sum(struck.values())]:
            delay = rng.random() * undisturbed.seconds[aim] * 0.9
            group = rng.random() < 0.5  # else the driver alone, whose helpers live on for a moment
            where = kill_once(arguments, store.parent / "log", aim, delay, group)
            if where is None:
                break
            struck[where] += 1
        run(arguments, store.parent / "log")
        assert records(store) == records(undisturbed.store), f"store {number}, seed {seed}"
        assert files(store) == files(undisturbed.store), f"store {number}, seed {seed}"
        shutil.rmtree(store.parent)
    raise AssertionError("unreachable")


def test_two_kills(undisturbed, tmp_path):
    assert sum(torment(undisturbed, tmp_path, 2, seed=random.randrange(2**32)).values()) == 2


@pytest.mark.slow
def test_twenty_kills_hit_every_kind_of_stage(undisturbed, tmp_path):
    struck = torment(undisturbed, tmp_path, 20, seed=random.randrange(2**32))
    assert sum(struck.values()) == 20
    for kind in {"score", "edit", "train", "evaluate"} - set(struck):  # chance left it out
        for attempt in range(5):
            folder = tmp_path / f"{kind}{attempt}"
            struck += torment(undisturbed, folder, 1, random.randrange(2**32), [(kind,)])
            if kind in struck:
                break
    assert {"score", "edit", "train", "evaluate"} <= set(struck), struck


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_soak(undisturbed, tmp_path, capsys):
    kills = int(os.environ.get("TOEDIT_KILLS", "200"))
    started = time.monotonic()
    struck = torment(undisturbed, tmp_path, kills, seed=random.randrange(2**32))
    with capsys.disabled():
        hits = ", ".join(f"{kind} {count}" for kind, count in struck.most_common())
        print(
            f"\n{kills} kills in {time.monotonic() - started:.0f} s, all recovered; hit in: {hits}"
        )
