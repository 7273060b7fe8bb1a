"""Weights shared out over processes: what a block is, what fits, and that one model comes of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_launch import TWO
from test_training import SMALL, job

from experiments.config.compose import compose
from experiments.config.pretraining import FAMILIES, ArchitectureConfig
from experiments.training import CHECKPOINTS, sharding
from experiments.training import model as training_model
from experiments.training.launchers import train_together
from experiments.training.messages import Messages
from experiments.training.model import MODEL, family_config, kept_name, save
from experiments.training.worker import train
from toedit.priors.loading import load_model


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_recompute_the_same_pass(family):
    """Gradients with dropout are those of a model that keeps its activations."""
    from transformers import AutoModelForCausalLM

    shape = ArchitectureConfig(family, layers=2, width=32, heads=4, context=64, vocabulary=50)
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(family_config(shape, 50)).train()
        assert len(sharding.block_classes(model)) == 1
        if recompute:
            sharding.recompute(model)
        ids = torch.arange(40).reshape(2, 20)
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        gradients.append([weights.grad for weights in model.parameters()])
    for kept, again in zip(*gradients, strict=True):
        assert torch.equal(kept, again)


GPU = 80e9 * 0.9
"""Bytes of a GPU that weights and activations may take."""


@pytest.mark.parametrize(
    ("name", "size", "blocks"),
    [("olmo_1b", 1.18e9, 16), ("llama3_8b", 8.03e9, 32)],
)
def test_models_of_1b_and_8b_fit_eight_gpus(name, size, blocks):
    """Whole weights, on models without memory."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    if name == "olmo_1b":
        config = compose(["+exp=paper/pretrain_toedit"])
        assert config.model.scratch is not None
        shape = family_config(config.model.scratch, 50280)
    else:
        config = compose(["+exp=paper/cpt_bio_llama3", "model=llama3_8b", "launch=fsdp"])
        shape = LlamaConfig(
            vocab_size=128_256, hidden_size=4096, intermediate_size=14_336, num_hidden_layers=32,
            num_attention_heads=32, num_key_value_heads=8,
        )  # fmt: skip
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape)
    (kind,) = sharding.block_classes(model)
    found = [module for module in model.modules() if isinstance(module, kind)]
    count = sum(weights.numel() for weights in model.parameters())
    assert len(found) == blocks
    assert count == pytest.approx(size, rel=0.01)
    unit = max(
        sum(w.numel() for w in module.parameters())
        for module in (found[0], model.get_input_embeddings())
    )
    tokens = config.train.micro_batch * config.train.block_size
    held = 16 * count / config.launch.processes  # float32 weights, gradients, two moments
    gathered = 2 * 2 * unit + 4 * unit  # two units in bfloat16, gradients of one in float32
    # Bytes a token, block and width: a bfloat16 input where blocks are recomputed, else all that a
    # backward pass needs (34 by Korthikanti et al., 2022, and a third matrix four times as wide).
    kept = tokens * blocks * shape.hidden_size * (2 if config.train.gradient_checkpointing else 50)
    logits = tokens * shape.vocab_size * (2 + 4 + 4)
    assert held + gathered + kept + logits < GPU


@pytest.mark.slow
def test_weights_shared_out_learn_the_same_and_are_read_by_one_process(
    tmp_path, tiny_model, no_gpu, monkeypatch
):
    """FSDP on two processes, interrupted and continued; its parts become one model again."""
    config = replace(SMALL, tokens=64 * 32, keep_tokens=[64 * 20], checkpoint_steps=20)
    alone, shared = job(tmp_path / "alone", tiny_model), job(tmp_path / "a", tiny_model)
    curve: dict[int, float] = {}
    shared = replace(
        shared, train=replace(config, fsdp=True, gradient_checkpointing=True), processes=2
    )
    losses: list[float] = []
    train(replace(alone, train=config), lambda values, step: losses.append(values["loss"]))

    def stop(values, step):
        if step == 22:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_together(shared, TWO, stop)
    progress = Messages(shared.folder)
    assert progress.ended() is None
    progress.clear()
    parts = tmp_path / "a" / CHECKPOINTS / "checkpoint-20" / "pytorch_model_fsdp_0"
    assert len(list(parts.glob("*.distcp"))) == 2
    metrics = train_together(shared, TWO, lambda v, step: curve.update({step: v["loss"]}))
    assert sorted(curve) == list(range(21, 33))
    assert [curve[step] for step in range(21, 33)] == pytest.approx(losses[20:], rel=1e-4)
    assert metrics["speed"]["flops_per_second"] > 0

    for name in (MODEL, kept_name(64 * 20)):
        one, two = (load_model(str(tmp_path / d / name), None, "float32") for d in ("alone", "a"))
        assert sorted(p.name for p in (tmp_path / "a" / name).iterdir()) == sorted(
            p.name for p in (tmp_path / "alone" / name).iterdir()
        )
        sizes = [(tmp_path / d / name / "model.safetensors").stat().st_size for d in ("alone", "a")]
        assert sizes[0] == sizes[1]  # tied weights are written once
        for a, b in zip(one.parameters(), two.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)

    kept = load_model(str(tmp_path / "a" / kept_name(64 * 20)), None, "float32")
    model = load_model(str(tiny_model), None, "float32")
    read_checkpoint(parts.parent, model)
    for a, b in zip(kept.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)
    monkeypatch.setattr(training_model, "SHARD_SIZE", "20KB")
    save(model, shared.model, tmp_path, name="shards")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 2
    assert (tmp_path / "shards" / "model.safetensors.index.json").exists()
    again = load_model(str(tmp_path / "shards"), None, "float32")
    ids = torch.arange(30)[None]
    with torch.no_grad():
        assert torch.equal(again(ids).logits, kept(ids).logits)


def read_checkpoint(checkpoint: Path, model) -> None:
    """Reads the weights of a checkpoint of several processes into a model of this one."""
    import torch.distributed.checkpoint as parts
    from accelerate.utils.constants import FSDP_MODEL_NAME

    weights = {"model": model.state_dict()}
    reader = parts.FileSystemReader(checkpoint / f"{FSDP_MODEL_NAME}_0")
    parts.load(weights, storage_reader=reader, no_dist=True)
    model.load_state_dict(weights["model"])
