"""Load, build and save the model of a training: float32 weights, optionally LoRA adapters."""

from pathlib import Path
from typing import Any

from experiments.config import ModelConfig
from experiments.config.pretraining import ArchitectureConfig
from experiments.training.chat import chat_template
from toedit.errors import UserError
from toedit.priors.loading import (
    explain_loading,
    load_config,
    load_model,
    load_tokenizer,
    rows_for,
)

ADAPTER = "adapter"
CHAT_TEMPLATE_FILE = "chat_template.jinja"
"""File that transformers reads a tokenizer's chat template from first."""

MODEL = "model"
SHARD_SIZE = "5GB"
"""Largest file of saved weights."""


def trainable(
    config: ModelConfig, recompute: bool = False, tokenizer: str = "", start: str = ""
) -> Any:
    """Load the base model for training, or build one with random weights; add its adapters.

    Weights are float32 in every precision of training: updates by a learning rate of 1e-5 would be
    rounded away in bfloat16.

    Args:
        config: the model and its adapters.
        recompute: recompute activations in the backward pass to save memory.
        tokenizer: folder of the tokenizer of a model trained from scratch.
        start: folder of the weights that such a model starts from; empty for random ones.
    """
    if start:
        model = load_model(start, None, "float32")
    elif config.scratch is not None:
        model = from_scratch(config.scratch, rows_for(load_tokenizer(tokenizer)), tokenizer)
    else:
        model = load_model(config.model, config.revision, "float32")
    model.config.use_cache = False
    if recompute:
        model.gradient_checkpointing_enable()
    if config.lora_rank:
        from peft import LoraConfig, get_peft_model

        require_layers(model, config.lora_targets)
        adapters = LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            target_modules=config.lora_targets or "all-linear",
            task_type="CAUSAL_LM",
        )
        model = get_peft_model(model, adapters)
    return model.train()


def require_layers(model: Any, targets: list[str]) -> None:
    """Raise a UserError for names of linear layers that a model lacks."""
    from torch.nn import Linear

    layers = {
        n.rpartition(".")[2] for n, layer in model.named_modules() if isinstance(layer, Linear)
    }
    missing = [name for name in targets if name not in layers]
    if missing:
        raise UserError(
            f"model.lora_targets: the model has no layer {', '.join(missing)}; its linear layers: "
            f"{', '.join(sorted(layers))}"
        )


def skeleton(config: ModelConfig) -> Any:
    """A pretrained model without weights in memory (device ``meta``)."""
    import torch
    from transformers import AutoModelForCausalLM

    shape = load_config(config.model, config.revision)
    with explain_loading("model", config.model), torch.device("meta"):
        return AutoModelForCausalLM.from_config(shape)


def adapted(model: Any) -> dict[str, Any]:
    """Rank, scale and layers of a model's adapters."""
    config = model.peft_config["default"]
    layers = {
        n.partition(".lora_A")[0].rpartition(".")[2] for n in model.state_dict() if ".lora_A" in n
    }
    return {"rank": config.r, "alpha": config.lora_alpha, "targets": sorted(layers)}


def family_config(shape: ArchitectureConfig, vocabulary: int, end: int | None = None) -> Any:
    """Convert an architecture to a configuration of transformers.

    Args:
        shape: the decoder.
        vocabulary: size of the tokenizer, used where the shape has no vocabulary.
        end: id of the end-of-sequence token.

    Raises:
        UserError: the tokenizer has more tokens than the shape.
    """
    from transformers import GPT2Config, LlamaConfig, OlmoConfig

    rows = shape.vocabulary or vocabulary
    if vocabulary > rows:
        raise UserError(
            f"the tokenizer has {vocabulary} tokens, more than model.scratch.vocabulary={rows}"
        )
    common: dict[str, Any] = {"vocab_size": rows, "tie_word_embeddings": shape.tied,
                              "bos_token_id": end, "eos_token_id": end}  # fmt: skip
    if shape.family == "gpt2":
        if shape.dropout is not None:
            names = ("attn_pdrop", "resid_pdrop", "embd_pdrop")
            common |= dict.fromkeys(names, shape.dropout)
        return GPT2Config(
            n_layer=shape.layers, n_embd=shape.width, n_head=shape.heads,
            n_inner=shape.intermediate, n_positions=shape.context, **common,
        )  # fmt: skip
    kind = {"llama": LlamaConfig, "olmo": OlmoConfig}[shape.family]
    return kind(
        num_hidden_layers=shape.layers, hidden_size=shape.width, num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate or 4 * shape.width,
        max_position_embeddings=shape.context, pad_token_id=None, **common,
    )  # fmt: skip


def from_scratch(shape: ArchitectureConfig, vocabulary: int, tokenizer: str) -> Any:
    """A model with random weights from torch's generator, for the tokenizer in a folder."""
    from transformers import AutoModelForCausalLM

    end = load_tokenizer(tokenizer).eos_token_id if tokenizer else None
    return AutoModelForCausalLM.from_config(family_config(shape, vocabulary, end))


def parameters(shape: ArchitectureConfig, vocabulary: int) -> int:
    """Number of parameters of an architecture, without allocating them."""
    import torch

    with torch.device("meta"):
        model = from_scratch(shape, vocabulary, "")
    return sum(weights.numel() for weights in model.parameters())


def kept_name(tokens: int) -> str:
    """Folder name of the model saved after so many tokens (``train.keep_tokens``)."""
    return f"{MODEL}-{tokens}"


def separator_id(config: ModelConfig, tokenizer: Any) -> int:
    """Id of the token between documents.

    Raises:
        UserError: the tokenizer has no such token.
    """
    name = config.separator or tokenizer.eos_token
    index = tokenizer.get_vocab().get(name)
    if index is None:
        raise UserError(f"model.separator={name!r} is no token of the model {config.model!r}")
    return index


def save(
    model: Any,
    config: ModelConfig,
    folder: Path,
    tokenizer: str = "",
    name: str = MODEL,
    weights: dict[str, Any] | None = None,
) -> None:
    """Save weights as safetensors with the tokenizer; adapters both separately and merged.

    Args:
        model: the model.
        config: its configuration.
        folder: of the training.
        tokenizer: folder of the tokenizer of a model from scratch.
        name: subfolder of the model.
        weights: gathered weights of a sharded model; None for those in ``model``.
    """
    if config.lora_rank:
        model.save_pretrained(folder / ADAPTER)
        model = model.merge_and_unload()
    use_cache, model.config.use_cache = model.config.use_cache, True
    model.save_pretrained(folder / name, state_dict=weights, max_shard_size=SHARD_SIZE)
    model.config.use_cache = use_cache
    if config.scratch:
        model_tokenizer = load_tokenizer(tokenizer)
    else:
        model_tokenizer = load_tokenizer(config.model, config.revision)
    model_tokenizer.save_pretrained(folder / name)
    if config.template:
        template = chat_template(config, model_tokenizer)
        (folder / name / CHAT_TEMPLATE_FILE).write_text(template)
