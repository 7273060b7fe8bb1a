"""The Trainer worker: its arguments, adapters, and checkpoints that a kill cut short."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SENTENCES

from experiments.config import ModelConfig, TrainConfig
from experiments.config.pretraining import FAMILIES, ArchitectureConfig
from experiments.stages.tokenizer import byte_level_bpe
from experiments.stages.train import TrainStage, require_model
from experiments.training.curves import COMPLETE, spikes
from experiments.training.model import (
    MODEL,
    family_config,
    kept_name,
    save,
    separator_id,
    skeleton,
    trainable,
)
from experiments.training.worker import (
    BLOCKS,
    Blocks,
    Job,
    arguments,
    last_checkpoint,
    make_trainer,
    train,
)
from toedit.corpora.packing import pack
from toedit.errors import UserError
from toedit.priors.loading import load_model, load_tokenizer

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
    diverging = job(tmp_path / "job", tiny_model)
    diverging.train = replace(SMALL, learning_rate=1e18, max_grad_norm=1e9)
    with pytest.raises(UserError, match=r"diverged.*lower train\.learning_rate.*checkpoint: none"):
        train(diverging, lambda values, step: None)
    assert not (tmp_path / "job" / MODEL).exists()


def test_adapters_train_few_weights_and_merge(tmp_path, tiny_model):
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
            (tmp_path / f"checkpoint-{step}" / COMPLETE).write_text("{}")
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-8")
    assert not (tmp_path / "checkpoint-12").exists()


def test_an_unknown_separator_is_named(tiny_model):
    tokenizer = load_tokenizer(str(tiny_model))
    assert separator_id(ModelConfig(), tokenizer) == tokenizer.eos_token_id
    with pytest.raises(UserError, match="is no token of the model"):
        separator_id(ModelConfig(separator="<|nothing|>"), tokenizer)


def test_a_diverged_run_names_its_last_good_checkpoint(tmp_path, tiny_model):
    run = job(tmp_path / "job", tiny_model)
    run.train = replace(SMALL, checkpoint_steps=2)
    trainer, curves = make_trainer(run, lambda values, step: None)
    log = curves.on_log

    def poisoned(args, state, control, logs=None, **rest):
        if logs and "loss" in logs and state.global_step == 5:
            logs = {**logs, "loss": float("nan")}
        return log(args, state, control, logs=logs, **rest)

    curves.on_log = poisoned
    with pytest.raises(UserError, match=r"loss of step 5 is nan.*the last good checkpoint: step 2"):
        trainer.train()


def test_models_on_the_way_are_those_of_shorter_runs_and_change_nothing(tmp_path, tiny_model):
    whole, kept = job(tmp_path / "whole", tiny_model), job(tmp_path / "kept", tiny_model)
    kept.train = replace(SMALL, keep_tokens=[128, 256])
    train(whole, lambda values, step: None)
    train(kept, lambda values, step: None)

    def weights(name: str, folder: str) -> bytes:
        return (tmp_path / name / folder / "model.safetensors").read_bytes()

    assert weights("kept", MODEL) == weights("whole", MODEL)
    found = {weights("kept", kept_name(tokens)) for tokens in (128, 256)}
    assert len(found | {weights("whole", MODEL)}) == 3
    with pytest.raises(UserError, match="keep_tokens holds 512"):
        replace(SMALL, keep_tokens=[512])


@pytest.mark.parametrize("family", FAMILIES)
def test_document_masks_hide_other_documents(tmp_path, family):
    """Logits of documents in a block are those of each document alone; heads are not predicted."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    shape = ArchitectureConfig(family, layers=2, width=32, heads=4, context=64, vocabulary=50)
    model = AutoModelForCausalLM.from_config(family_config(shape, 50)).eval()
    model.config.use_cache = False
    block = [5, 6, 7, 0, 8, 9, 0, 10, 11, 12, 13, 0]
    np.save(tmp_path / "blocks.npy", np.array([block]))
    masked, plain = (Blocks([tmp_path / "blocks.npy"], *own)[0] for own in ((0,), ()))
    assert masked["position_ids"].tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 3, 4]
    assert [i for i, label in enumerate(masked["labels"]) if label == -100] == [0, 4, 7]
    with torch.no_grad():
        batch = {key: value[None] for key, value in masked.items()}
        together = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits[0]
        for start, stop in ((0, 4), (4, 7), (7, 12)):
            alone = model(input_ids=batch["input_ids"][:, start:stop]).logits[0]
            assert torch.allclose(together[start:stop], alone, atol=1e-5)
        unmasked = model(input_ids=plain["input_ids"][None]).logits[0]
    assert not torch.allclose(unmasked[5], together[5], atol=1e-3)
    assert torch.allclose(unmasked[:4], together[:4], atol=1e-5)


def test_spikes_stand_out_of_noise():
    noise = np.random.default_rng(0).normal(3, 0.1, 200)
    assert spikes(noise.tolist()) == []
    noise[120] = 5
    assert spikes(noise.tolist()) == [121]
    assert spikes([3.0] * 5) == []


@pytest.mark.slow
def test_compiled_training_comes_to_the_same_losses(tmp_path, tiny_model):
    curves = []
    for compile_ in (False, True):
        run, losses = job(tmp_path / str(compile_), tiny_model), []
        run.train = replace(SMALL, compile=compile_, tokens=256)
        train(run, lambda values, step, losses=losses: losses.append(values["loss"]))
        curves.append(losses)
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)
    names = [sorted(p.name for p in (tmp_path / s / MODEL).iterdir()) for s in ("True", "False")]
    assert names[0] == names[1]
    load_model(str(tmp_path / "True" / MODEL))


def test_every_epoch_learns_the_file_that_is_its_own(tmp_path, tiny_model):
    """Also where a run is interrupted in a later epoch than the first."""

    def losses(name: str, *files: str, stop: int = 0) -> list[float]:
        made, curve = job(tmp_path / name, tiny_model), []
        blocks = np.load(tmp_path / name / BLOCKS)
        paths = {"a": blocks, "b": blocks[::-1]}
        for file in files:
            np.save(tmp_path / name / f"{file}.npy", paths[file])
        made.blocks = [str(tmp_path / name / f"{file}.npy") for file in files]
        made.train = replace(SMALL, tokens=2 * SMALL.tokens, checkpoint_steps=3)

        def log(values, step):
            curve.append(values["loss"])
            if step == stop:
                raise KeyboardInterrupt

        try:
            train(made, log)
        except KeyboardInterrupt:
            return curve + losses(name, *files)
        return curve

    same, other = losses("same", "a", "a"), losses("other", "a", "b")
    assert losses("alone", "a") == same
    assert other[:8] == same[:8]
    assert all(x != y for x, y in zip(other[8:], same[8:], strict=True))
    assert losses("again", "a", "b", stop=13)[13:] == other[12:]  # from the checkpoint of step 12


def test_a_model_from_scratch_starts_where_another_one_ended(tmp_path):
    """With a rate of nearly zero the weights stay those of the start, whatever the seed."""
    shape = ArchitectureConfig(layers=1, width=16, heads=2, context=32, dropout=0.0)
    words = byte_level_bpe(SENTENCES, 300)
    words.save_pretrained(tmp_path / "words")
    model = ModelConfig(scratch=shape)

    def weights(seed: int, rate: float, start: str = "") -> dict[str, torch.Tensor]:
        folder = tmp_path / f"seed{seed}"
        folder.mkdir()
        np.save(folder / BLOCKS, pack(SENTENCES * 4, words, 0, 32, 512))
        settings = replace(SMALL, learning_rate=rate, weight_decay=0.0)
        made = Job(str(folder), model, settings, seed, [], str(tmp_path / "words"), start=start)
        train(made, lambda values, step: None)
        return load_model(str(folder / MODEL)).state_dict()

    first = weights(0, 1e-2)
    other = weights(1, 1e-9)
    further = weights(2, 1e-9, str(tmp_path / "seed0" / MODEL))
    name = "transformer.wte.weight"
    assert torch.allclose(further[name], first[name], atol=1e-6)
    assert not torch.allclose(other[name], first[name], atol=1e-3)


def test_dropout_is_that_of_the_family_unless_it_is_said():
    for given, expected in ((None, 0.1), (0.0, 0.0), (0.3, 0.3)):
        made = family_config(ArchitectureConfig(dropout=given), 400)
        assert {made.attn_pdrop, made.resid_pdrop, made.embd_pdrop} == {expected}
    assert ArchitectureConfig(family="llama", dropout=0.0)
    with pytest.raises(UserError, match="family llama has no dropout"):
        ArchitectureConfig(family="llama", dropout=0.1)


def test_a_model_that_is_not_whole_is_never_trained(tmp_path, tiny_model):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    with pytest.raises(UserError, match=r"its files lack lm_head\.weight"):
        trainable(ModelConfig(model=str(folder)))
    larger = load_tokenizer(str(folder))
    larger.add_tokens([f"<{i}>" for i in range(20)])
    larger.save_pretrained(folder)
    with pytest.raises(UserError, match="has ids up to 403 but its model only 400 tokens"):
        require_model(TrainStage(ModelConfig(model=str(folder)), SMALL))
    (folder / "config.json").write_text(json.dumps({"model_type": "vit"}))
    for load in (skeleton, trainable):
        with pytest.raises(UserError, match="cannot load the model in"):
            load(ModelConfig(model=str(folder)))
