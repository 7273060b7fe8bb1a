"""What identifies a stage, and what never does."""

import json
from dataclasses import dataclass, field, make_dataclass

import pytest
from simple_stages import simple_stage

from experiments.config import TrainConfig
from experiments.config.compose import compose
from experiments.config.corpora import TextSource
from experiments.plans import plan
from experiments.runner import describe_stage
from experiments.stage import Stage, identity
from experiments.stages.sources import SourceStage
from toedit.corpora.remote import fixed_addresses

GOLDEN = {
    "corpus/bioasq": "963ccd6eb4ee",
    "score/bioasq": "20177d136a61",
    "edit/released_code": "fb39bcc72603",
    "edit/paper_text": "2ffeb3a2058c",
    "edit/forced": "c7f031060b5c",
    "evaluate/base": "376af27a97f1",
    "train/source": "657d9cdbcc96",
    "evaluate/source": "267f5149de23",
    "train/edited": "768b265eeca1",
    "evaluate/edited": "cc52183c2483",
}


def stage(config, rev=1, **inputs) -> Stage:
    return simple_stage("kind", "name", config=config, inputs=inputs, rev=rev)


def labels(*overrides: str) -> dict[str, str]:
    stages = plan(compose(["+exp=cpt_bio", *overrides]))
    return {f"{s.kind}/{s.name}": s.fingerprint for s in stages}


def changed(*overrides: str) -> set[str]:
    before, after = labels(), labels(*overrides)
    return {name for name in before if before[name] != after.get(name)}


def test_golden_fingerprints():
    """These change only with a stage's revision or its configuration, never with a refactoring."""
    assert labels() == GOLDEN


def test_what_never_identifies_a_result():
    for override in (
        "engine.workers=2",
        "engine.rows_per_unit=3",
        "tracker=none",
        "store=/elsewhere",
        "train.micro_batch=1",
        "train.checkpoint_steps=7",
        "prior.batch_tokens=64",
        "prior.device=cpu",
        "eval.batch_size=4",
        "eval.allow_cut=true",
        "prior.parameters=1",
    ):
        assert changed(override) == set(), override


def test_a_seed_reaches_editing_and_training_only():
    assert changed("seed=1") == {
        "edit/released_code",
        "edit/paper_text",
        "edit/forced",
        "train/source",
        "train/edited",
        "evaluate/source",
        "evaluate/edited",
    }


def test_a_change_reaches_what_depends_on_it_and_no_more():
    assert changed("train.learning_rate=1e-4") == {
        "train/source",
        "train/edited",
        "evaluate/source",
        "evaluate/edited",
    }
    assert changed("eval.heldout_tokens=99") == {
        f"evaluate/{a}" for a in ("base", "source", "edited")
    }
    assert "score/bioasq" in changed("corpus.train_characters=1000")


def test_the_control_is_one_stage_for_every_seed():
    before, after = labels("edit=none"), labels("edit=none", "seed=5")
    assert before["edit/none"] == after["edit/none"]


def test_inapplicable_fields_do_not_count():
    assert identity(TrainConfig(schedule="constant", min_lr_ratio=0.5)) == identity(
        TrainConfig(schedule="constant")
    )
    assert labels("edit.beta=3.0") == labels()


def test_a_new_field_with_a_default_changes_nothing():
    old = make_dataclass("Old", [("a", int, 1), ("b", float, 0.5)])
    new = make_dataclass("New", [("a", int, 1), ("b", float, 0.5), ("c", str, "x")])
    assert stage(old(a=3)).fingerprint == stage(new(a=3)).fingerprint
    assert stage(new(a=3)).fingerprint != stage(new(a=3, c="y")).fingerprint
    assert stage(old()).fingerprint != stage(old(), rev=2).fingerprint


def test_local_files_count_by_content(tmp_path):
    @dataclass
    class Files:
        paths: list[str] = field(default_factory=list, metadata={"identity": "content"})

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jsonl").write_text('{"text": "same"}\n')
    first, second = (stage(Files([str(tmp_path / name)])) for name in ("a", "b"))
    assert first.fingerprint == second.fingerprint
    (tmp_path / "b" / "x.jsonl").write_text('{"text": "other"}\n')
    assert stage(Files([str(tmp_path / "b")])).fingerprint != first.fingerprint


def test_a_local_model_counts_by_content_wherever_it_stands(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    first, second = (labels(f"model.model={tmp_path / name}") for name in ("a", "b"))
    assert first == second
    (tmp_path / "b" / "model.safetensors").write_bytes(b"weights")
    third = labels(f"model.model={tmp_path / 'b'}")
    assert third["train/source"] != second["train/source"]
    assert third["evaluate/base"] != second["evaluate/base"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), {3: 4}, b"x"])
def test_what_has_no_stable_form_is_refused(value):
    with pytest.raises(TypeError, match="cannot identify"):
        identity(value)


def test_credentials_of_an_address_are_no_part_of_the_identity():
    """A link that is signed anew names the same file; another file is another one."""

    def web(address: str) -> Stage:
        return Stage(SourceStage(TextSource("web", files=[address])), "web")

    signed = [
        web(f"https://b.s3.aws.com/a.jsonl?X-Amz-Date={i}&X-Amz-Signature=f{i}a") for i in (1, 2)
    ]
    assert signed[0].fingerprint == signed[1].fingerprint
    assert "f1a" not in json.dumps(signed[0].identity)
    plain, other = web("https://data.org/a.jsonl"), web("https://data.org/b.jsonl")
    private = web("https://ada:magnolia7@data.org/a.jsonl")
    assert len({plain.fingerprint, other.fingerprint, private.fingerprint}) == 3
    assert "magnolia7" not in json.dumps([private.identity, describe_stage(private)])
    assert private.config.source.files == ["https://ada:magnolia7@data.org/a.jsonl"]


def test_a_list_of_files_on_disk_holds_no_credentials(tmp_path):
    source = TextSource("web", files=["https://ada:magnolia7@data.org/a.jsonl?token=q1w2e3r4"])
    for _ in ("begun", "continued"):
        assert fixed_addresses(source.files, tmp_path / "files.json") == source.files
        text = (tmp_path / "files.json").read_text()
        assert "data.org/a.jsonl" in text and "magnolia7" not in text and "q1w2" not in text
