"""Lists of runs of the version before, whose stages had nothing but names."""

import json
from pathlib import Path

import pytest
from written import RULE, write

from experiments.store.runs import Run, read_run


def listed(root: Path, stages: dict[str, str]) -> Run:
    folder = root / "reports" / "x-1"
    folder.mkdir(parents=True, exist_ok=True)
    found = {"format": 1, "experiment": "x", "plan": "p", "note": "", "command": ["run.py"],
             "finished": "2026-01-01T00:00:00Z", "stages": stages}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(found))
    return read_run(root, folder / "run.json")


@pytest.mark.parametrize(
    ("place", "arm", "seed", "checkpoint"),
    [
        ("evaluate/base", "base", None, None),
        ("evaluate/edited-seed2", "edited", 2, None),
        ("evaluate/synthetic0-seed0-after1000", "synthetic0", 0, 1000),
        ("evaluate/source-after500", "source", None, 500),
        ("score/human-my-seed-model", "human-my-seed-model", None, None),
        ("certain/trained0-all", "trained0-all", None, None),
    ],
)
def test_arm_seed_and_checkpoint_are_read_from_a_name_without_a_record(
    tmp_path, place, arm, seed, checkpoint
):
    (entry,) = listed(tmp_path, {place: "evaluate/gone-123456789abc"}).stages
    assert (entry.arm, entry.seed, entry.checkpoint) == (arm, seed, checkpoint)
    assert (f"{entry.kind}/{entry.name}", entry.label) == (place, "evaluate/gone-123456789abc")


def test_a_name_without_a_seed_has_that_of_what_it_rests_on(tmp_path):
    corpus = write(tmp_path, "corpus", "local", {"paths": ["a"]}, {}, {})
    train = write(tmp_path, "train", "source", {"seed": 5}, {"text": corpus}, {})
    label = write(tmp_path, "evaluate", "source", {"suite": "s"}, {"model": train}, {})
    found = listed(tmp_path, {"evaluate/source": label, "corpus/local": corpus})
    assert [entry.seed for entry in found.stages] == [5, None]
    assert found.seeds == [5]


def test_an_edit_that_draws_nothing_has_no_seed(tmp_path):
    rule = {**RULE, "sampler": "none"}
    corpus = write(tmp_path, "corpus", "local", {"paths": ["a"]}, {}, {})
    nothing = write(tmp_path, "edit", "no_edit", {"rule": rule, "seed": 0}, {"text": corpus}, {})
    drawn = write(tmp_path, "edit", "edited", {"rule": RULE, "seed": 5}, {"text": corpus}, {})
    found = listed(tmp_path, {"edit/no_edit": nothing, "edit/edited": drawn})
    assert [entry.seed for entry in found.stages] == [None, 5]
    assert found.seeds == [5]


def test_many_generations_are_read_once_each(tmp_path, monkeypatch):
    """Every generation reads two results of the one before: 2^30 ways, 30 records."""
    labels = [write(tmp_path, "corpus", "local", {"paths": ["a"]}, {}, {})]
    labels.append(write(tmp_path, "tokens", "local", {}, {"text": labels[0]}, {}))
    for n in range(30):
        inputs = {"one": labels[-1], "two": labels[-2]}
        labels.append(write(tmp_path, "mixture", f"g{n}", {"n": n}, inputs, {}))
    read, text = [], Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda self, **kw: read.append(self) or text(self, **kw))
    listed(tmp_path, {f"mixture/{n}": label for n, label in enumerate(labels)})
    assert len(read) <= len(labels) + 1
