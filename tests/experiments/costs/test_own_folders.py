"""Estimates for a model in a folder of the user: its files say how many parameters it has."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from experiments.config import ModelConfig
from experiments.config.compose import compose
from experiments.costs.estimate import estimate, uncounted
from experiments.costs.report import describe
from experiments.costs.shapes import PUBLISHED, sized
from experiments.plans import plan
from toedit.priors import PriorConfig
from toedit.priors.checkpoint import INDEX, WEIGHTS, stored_weights
from toedit.priors.loading import load_model


@pytest.fixture()
def folder(tmp_path, tiny_model) -> Path:
    path = tmp_path / "model"
    shutil.copytree(tiny_model, path)
    return path


def parameters(folder: Path) -> int:
    """Of the loaded model, each once."""
    return sum(weights.numel() for weights in load_model(str(folder)).parameters())


def test_weights_are_counted_by_the_headers_tied_ones_once(folder):
    known = parameters(folder)
    assert stored_weights(folder) == known
    weights = load_file(folder / WEIGHTS)
    embedding = weights["model.embed_tokens.weight"]
    masks = {"h.0.attn.bias": embedding[None, None]}
    doubled = {**weights, "lm_head.weight": embedding.copy(), **masks}
    save_file(doubled, folder / WEIGHTS)
    assert stored_weights(folder) == known
    config = json.loads((folder / "config.json").read_text())
    untied = json.dumps({**config, "tie_word_embeddings": False})
    (folder / "config.json").write_text(untied)
    assert stored_weights(folder) == known + embedding.size


def test_weights_in_several_files_are_counted(folder):
    known, weights = parameters(folder), load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(weights)
    parts = {"a.safetensors": names[:3], "b.safetensors": names[3:]}
    for file, own in parts.items():
        save_file({name: weights[name] for name in own}, folder / file)
    where = {name: file for file, own in parts.items() for name in own}
    (folder / INDEX).write_text(json.dumps({"weight_map": where}))
    assert stored_weights(folder) == known
    (folder / INDEX).write_text(json.dumps({"weight_map": {"x": "../b.safetensors"}}))
    assert stored_weights(folder) is None


def test_a_folder_counts_and_a_name_of_the_hub_takes_what_is_configured(folder):
    known = parameters(folder)
    for config in (ModelConfig(str(folder)), PriorConfig(model=str(folder))):
        for stated in (0, 134_515_008):
            assert sized(replace(config, parameters=stated)).parameters == known
    (folder / WEIGHTS).write_bytes(b"cut")  # the shape of config.json, without norms
    assert sized(ModelConfig(str(folder))).parameters == pytest.approx(known, rel=0.01)
    (folder / "config.json").write_text("[")
    assert sized(ModelConfig(str(folder), parameters=7)).parameters == 7
    assert sized(ModelConfig("OWNER/NAME", parameters=7)).parameters == 7
    assert sized(ModelConfig("embedded", parameters=7)).parameters == 7
    assert sized(ModelConfig("embedded")).parameters == PUBLISHED["embedded"].parameters
    table = PriorConfig(kind="table", model=str(folder))
    assert sized(table) is table


def test_a_dry_run_counts_the_model_of_a_folder_and_names_stay(folder, tmp_path):
    own = ["+exp=cpt_bio", f"model.model={folder}"]
    stages = plan(compose(own))
    known, costs = parameters(folder), estimate(stages)
    training = [stage for stage in stages if stage.kind == "train"]
    for stage in training:
        assert stage.config.model.parameters == 134_515_008
        assert costs[stage].flops == 6 * known * costs[stage].tokens
        assert costs[stage].disk < 1e7
    for stage in (stage for stage in stages if stage.kind == "evaluate"):
        assert costs[stage].memory < 1e9
    zero = plan(compose([*own, "model.parameters=0"]))
    assert [stage.label for stage in zero] == [stage.label for stage in stages]
    assert list(estimate(zero).values()) == list(costs.values())


def test_a_model_of_unknown_size_is_said_not_to_be_counted(tmp_path):
    settings = ["+exp=cpt_bio", "model.model=OWNER/NAME", "model.parameters=0"]
    config = compose(settings)
    stages = plan(config)
    assert {uncounted(stage) for stage in stages if stage.kind == "train"} == {"OWNER/NAME"}
    said = describe(config, stages, tmp_path / "none", width=200)
    assert "OWNER/NAME: its operations and memory are not counted" in said
    config = compose(["+exp=cpt_bio"])
    assert "not counted" not in describe(config, plan(config), tmp_path / "none", width=200)
