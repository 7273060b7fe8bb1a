"""The model a run trains: float32 weights, low-rank adapters where asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.schema import ModelConfig
from toedit.errors import UserError
from toedit.models import load_model, load_tokenizer

ADAPTER = "adapter"
MODEL = "model"


def trainable(config: ModelConfig, recompute: bool = False) -> Any:
    """Loads the base model for training.

    Weights are float32 whatever the optimizer computes in: a learning rate of 1e-5 would round away
    in bfloat16.

    Args:
        config: the model and its adapters.
        recompute: recompute activations in the backward pass to save memory.
    """
    model = load_model(config.model, config.revision, "float32")
    model.config.use_cache = False
    if recompute:
        model.gradient_checkpointing_enable()
    if config.lora_rank:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(
            model,
            LoraConfig(
                r=config.lora_rank,
                lora_alpha=config.lora_alpha,
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            ),
        )
    return model.train()


def separator_id(config: ModelConfig, tokenizer: Any) -> int:
    """Id of the token written between documents.

    Raises:
        UserError: the tokenizer has no such token.
    """
    name = config.separator or tokenizer.eos_token
    index = tokenizer.get_vocab().get(name)
    if index is None:
        raise UserError(f"model.separator={name!r} is no token of the model {config.model!r}")
    return index


def save(model: Any, config: ModelConfig, folder: Path) -> None:
    """Saves weights as safetensors with the tokenizer; adapters both apart and merged."""
    if config.lora_rank:
        model.save_pretrained(folder / ADAPTER)
        model = model.merge_and_unload()
    model.config.use_cache = True
    model.save_pretrained(folder / MODEL)
    load_tokenizer(config.model, config.revision).save_pretrained(folder / MODEL)
