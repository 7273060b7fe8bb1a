"""The Trainer worker: its arguments, adapters, and checkpoints that a kill cut short."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SENTENCES

from experiments.schema import ModelConfig, TrainConfig
from experiments.training.models import MODEL, save, separator_id, trainable
from experiments.training.worker import BLOCKS, WHOLE, Job, arguments, last_checkpoint, train
from toedit.corpora.packing import pack
from toedit.errors import UserError
from toedit.models import load_model, load_tokenizer

SMALL = TrainConfig(
    tokens=512,
    block_size=32,
    batch_tokens=64,
    learning_rate=1e-2,
    warmup_steps=1,
    precision="float32",
)


def job(folder, model, **changes) -> Job:
    folder.mkdir(exist_ok=True)
    config = ModelConfig(model=str(model), **changes)
    blocks = pack(SENTENCES * 4, load_tokenizer(str(model)), 0, SMALL.block_size, SMALL.tokens)
    np.save(folder / BLOCKS, blocks)
    return Job(str(folder), config, SMALL, seed=0)


def test_arguments_are_the_configuration(tmp_path):
    config = TrainConfig(
        tokens=1_000_000_000, block_size=2048, batch_tokens=262144, learning_rate=1e-5,
        warmup_steps=1000, micro_batch=4,
    )  # fmt: skip
    made = arguments(Job(str(tmp_path), ModelConfig(), config, seed=3))
    assert made.max_steps == 3814
    assert made.gradient_accumulation_steps * made.per_device_train_batch_size * 2048 == 262144
    assert (made.warmup_steps, made.learning_rate, made.seed, made.data_seed) == (1000, 1e-5, 3, 3)
    assert (made.bf16, made.weight_decay, made.max_grad_norm) == (True, 0.1, 1.0)
    assert (made.adam_beta1, made.adam_beta2) == (0.9, 0.95)
    assert made.lr_scheduler_kwargs == {"min_lr_rate": 0.1}


def test_training_learns_and_is_repeatable(tmp_path, tiny_model):
    curves = []
    for name in ("a", "b"):
        curve = []
        metrics = train(job(tmp_path / name, tiny_model), lambda v, s, c=curve: c.append(v["loss"]))
        curves.append(curve)
        assert metrics["steps"] == 8
        assert metrics["tokens"] == 512
    assert curves[0] == curves[1]
    assert curves[0][-1] < curves[0][0]
    weights = [(tmp_path / n / MODEL / "model.safetensors").read_bytes() for n in "ab"]
    assert weights[0] == weights[1]


def test_a_diverged_run_ends_in_one_line_and_saves_nothing(tmp_path, tiny_model):
    from dataclasses import replace

    diverging = job(tmp_path / "job", tiny_model)
    diverging.train = replace(SMALL, learning_rate=1e18, max_grad_norm=1e9)
    with pytest.raises(UserError, match=r"diverged.*lower train\.learning_rate"):
        train(diverging, lambda values, step: None)
    assert not (tmp_path / "job" / MODEL).exists()


def test_adapters_train_few_weights_and_merge(tmp_path, tiny_model):
    import torch
    from peft import PeftModel

    config = ModelConfig(model=str(tiny_model), lora_rank=2, lora_alpha=16)
    model = trainable(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.02)
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert 0 < learned < 0.3 * sum(p.numel() for p in model.parameters())
    save(model, config, tmp_path)
    ids = torch.tensor([load_tokenizer(str(tiny_model))(SENTENCES[0]).input_ids])
    merged = load_model(str(tmp_path / MODEL))
    adapted = PeftModel.from_pretrained(load_model(str(tiny_model)), tmp_path / "adapter").eval()
    with torch.no_grad():
        a, b, base = (
            m(ids).logits.log_softmax(-1) for m in (merged, adapted, load_model(str(tiny_model)))
        )
    assert torch.allclose(a, b, atol=1e-3)
    assert not torch.allclose(a, base, atol=1e-2)


def test_checkpoints_cut_short_are_never_continued(tmp_path):
    assert last_checkpoint(tmp_path / "none") is None
    for step, whole in ((4, True), (8, True), (12, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if whole:
            (tmp_path / f"checkpoint-{step}" / WHOLE).write_text("{}")
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-8")
    assert not (tmp_path / "checkpoint-12").exists()


def test_an_unknown_separator_is_named(tiny_model):
    tokenizer = load_tokenizer(str(tiny_model))
    assert separator_id(ModelConfig(), tokenizer) == tokenizer.eos_token_id
    with pytest.raises(UserError, match="is no token of the model"):
        separator_id(ModelConfig(separator="<|nothing|>"), tokenizer)
