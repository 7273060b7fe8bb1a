"""A small model from scratch that learns a further domain: one base, one text, one start."""

import json
from pathlib import Path

import pytest
import torch
from commands import run

from experiments.config.compose import compose
from experiments.plans import plan
from toedit.errors import UserError
from toedit.priors.loading import load_model

ARGUMENTS = [
    "+exp=cpt_bio_gpt2", "prior=table", "mixture.domains=[exams,news]",
    "mixture.heldout_domains=[children]", "mixture.vocabulary=400",
    "mixture.tokenizer_characters=50000", "mixture.heldout_characters=5000", "train.tokens=4096",
    "train.block_size=64", "train.batch_tokens=512", "train.micro_batch=4",
    "train.keep_tokens=[]", "model.scratch={layers: 1, width: 32, heads: 2, context: 64}",
    "eval.window=64", "eval.suite=null", "tracker=none", "continued.domains=[news]",
    "continued.tokens=5120", "continued.train.tokens=3584", "continued.train.block_size=64",
    "continued.train.batch_tokens=512", "continued.train.micro_batch=4", "edit=forced",
]  # fmt: skip


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


@pytest.mark.slow
def test_every_arm_starts_from_the_base_of_its_seed_and_learns_its_own_text(tmp_path):
    """At a rate of nearly nothing the weights stay those of the base; losses are of the text."""
    store = tmp_path / "store"
    rate = "continued.train.learning_rate=1e-9"
    run([*ARGUMENTS, rate, f"store={store}", "seeds=[0,1]"], tmp_path / "log")
    assert len(list(store.glob("score/*"))) == 1  # for both seeds
    arms = ("source", "edited", "random_edit", "label_smoothing")
    weights, losses = {}, {}
    for arm in ("base", *arms):
        for seed in (0, 1):
            folder = only(store, f"train/{arm}-seed{seed}-*")
            rows = (folder / "metrics.jsonl").read_text().splitlines()
            losses[arm, seed] = [json.loads(row)["loss"] for row in rows]
            model = load_model(str(folder / "model"))
            weights[arm, seed] = model.transformer.wte.weight.detach()
    for arm in arms:
        for seed in (0, 1):
            assert torch.allclose(weights[arm, seed], weights["base", seed], atol=1e-6)
            assert not torch.allclose(weights[arm, seed], weights["base", 1 - seed], atol=1e-3)
    assert len({tuple(own) for own in losses.values()}) == len(losses)  # each its own text
    found = json.loads((only(store, "reports/*") / "results.json").read_text())
    assert found["reference"] == "source"
    page = (only(store, "reports/*") / "results.md").read_text()
    lengths = "base for 8 steps on 4096 tokens; source, edited, random_edit, label_smoothing for 7"
    assert lengths in page
    assert "A mixture holds 4096 tokens, learned 1 times." in page
    assert set(found["rows"][0]["arms"]) == {"base", *arms}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("controls=[redrawn]", r"controls='redrawn' is unknown"),
        ("continued.train.keep_tokens=[2048]", "keep_tokens is not evaluated"),
        ("continued.train.document_masks=true", r"continued\.train\.document_masks=false"),
        ("continued.train.block_size=128", r"continued\.train\.block_size=128"),
        ("continued.domains=[news,news]", "each once"),
        ("continued.domains=[]", "each once"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_before_anything_runs(change, message):
    with pytest.raises(UserError, match=message) as refused:
        plan(compose([*ARGUMENTS, change]))
    assert "\n" not in str(refused.value)


def test_other_plans_refuse_what_only_this_one_reads():
    with pytest.raises(UserError, match="does not read continued"):
        plan(compose(["+exp=pretrain_ratio", "continued.tokens=4096"]))


def test_the_rules_of_table_5_share_the_scores_of_the_experiment():
    alone = plan(compose(["+exp=cpt_bio_gpt2"]))
    rules = compose(["+exp=cpt_bio_gpt2", "score.below=1.0", "controls=[]", "edit.threshold=0.999"])
    scored = [next(s for s in stages if s.kind == "score") for stages in (alone, plan(rules))]
    assert scored[0].fingerprint == scored[1].fingerprint
