"""Layers, widths and vocabularies of models, the inputs of memory and attention estimates."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from experiments.config.pretraining import ArchitectureConfig
from experiments.config.training import ModelConfig
from toedit.priors import PriorConfig
from toedit.priors.checkpoint import stored_weights
from toedit.priors.loading import EMBEDDED

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Shape:
    """Shape of a decoder.

    Attributes:
        layers: transformer blocks.
        width: of the residual stream.
        vocabulary: rows of the output layer.
        intermediate: width of the feed-forward layers.
        keys: width of the keys, and of the values.
        gated: whether a third matrix gates the feed-forward layer.
        tied: whether input embedding and output layer are one matrix.
    """

    layers: int
    width: int
    vocabulary: int
    intermediate: int
    keys: int
    gated: bool = True
    tied: bool = True

    @property
    def head(self) -> int:
        """Weights of the output layer."""
        return self.vocabulary * self.width

    @property
    def parameters(self) -> int:
        """Weights of all matrices; norms, biases and positions are left out."""
        d, feed = self.width, (3 if self.gated else 2) * self.width * self.intermediate
        layer = 2 * d * d + 2 * d * self.keys + feed
        return self.layers * layer + self.head * (1 if self.tied else 2)

    @property
    def adapter_width(self) -> int:
        """Inputs and outputs of all linear layers but the last: weights of adapters per rank."""
        d, feed = self.width, (3 if self.gated else 2) * (self.width + self.intermediate)
        return self.layers * (4 * d + 2 * (d + self.keys) + feed)

    @property
    def activations(self) -> int:
        """Values per token and layer that the backward pass needs, with attention recomputed.

        For a GPT these are 16 widths, 17 in Korthikanti et al. (2022), equation 2.
        """
        return 8 * self.width + (4 if self.gated else 2) * self.intermediate


PUBLISHED = {
    EMBEDDED: Shape(30, 576, 49152, 1536, 192),
    "allenai/OLMo-1B-hf": Shape(16, 2048, 50304, 8192, 2048),
    "meta-llama/Meta-Llama-3-8B": Shape(32, 4096, 128256, 14336, 1024, tied=False),
    "Qwen/Qwen2.5-0.5B-Instruct": Shape(24, 896, 151936, 4864, 128),
    "stabilityai/stablelm-zephyr-3b": Shape(32, 2560, 50304, 6912, 2560, tied=False),
}
"""Shapes of the models that configurations name."""


def shape_of(model: str, parameters: int, scratch: ArchitectureConfig | None = None) -> Shape:
    """Shape of a model: configured, published, read from its folder, or guessed from its size."""
    if scratch is not None:
        gpt, width = scratch.family == "gpt2", scratch.width
        feed = scratch.intermediate or 4 * width
        body = Shape(scratch.layers, width, 0, feed, width, not gpt, scratch.tied)
        positions = scratch.context * width if gpt else 0
        # The other parameters are the embedding, where the tokenizer decides the vocabulary.
        embedded = max(0, parameters - body.parameters - positions) // width
        return replace(body, vocabulary=scratch.vocabulary or embedded)
    if model in PUBLISHED:
        return PUBLISHED[model]
    path = Path(model) / "config.json"
    if path.is_file() and (shape := _read_shape(path)) is not None:
        return shape
    # Layers of 12 width² weights, one per 64 of width: 124M to 70B follow this within 50 %.
    width = max(64, round((parameters * 64 / 12) ** (1 / 3)))
    return Shape(max(1, width // 64), width, 50_000, 4 * width, width, gated=False)


Sized = TypeVar("Sized", bound=ModelConfig | PriorConfig)


def sized(config: Sized) -> Sized:
    """A model or prior with the number of parameters that its estimates take.

    A folder says itself how many it holds, whatever the configuration says of another model. Of
    other names the configured number counts, and 0 stands for that of a known shape.
    """
    scratch = config.scratch if isinstance(config, ModelConfig) else None
    if isinstance(config, PriorConfig) and config.kind not in ("hf", "vllm"):
        return config
    number = config.parameters
    if scratch is None and config.model != EMBEDDED and (folder := Path(config.model)).is_dir():
        number = stored_weights(folder) or _configured_weights(folder) or number
    elif not number and (scratch is not None or config.model in PUBLISHED):
        number = shape_of(config.model, 0, scratch).parameters
    return config if number == config.parameters else replace(config, parameters=number)


def _configured_weights(folder: Path) -> int:
    """Weights of the shape in a folder's ``config.json``; 0 where it has none."""
    shape = _read_shape(folder / "config.json")
    return 0 if shape is None else shape.parameters


def _read_shape(path: Path) -> Shape | None:
    """The shape in a ``config.json`` of transformers; None where it has other keys."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(fields, dict):
        return None
    layers, width = fields.get("num_hidden_layers"), fields.get("hidden_size")
    if "n_layer" in fields:
        layers, width = fields["n_layer"], fields["n_embd"]
    if not (layers and width):
        return None
    heads = fields.get("num_attention_heads") or 1
    gated = "intermediate_size" in fields
    return Shape(
        layers, width, fields.get("vocab_size", 50_000),
        fields.get("intermediate_size") or fields.get("n_inner") or 4 * width,
        width // heads * (fields.get("num_key_value_heads") or heads),
        gated, fields.get("tie_word_embeddings", True),
    )  # fmt: skip
