"""What the parts of ``make gpu-check`` run on: shapes and lengths for a GPU, and tiny ones."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from experiments.config import TrainConfig
from experiments.config.pretraining import ArchitectureConfig


@dataclass(frozen=True)
class Figure:
    """A measured number, and the lowest or highest value that it may have."""

    value: float
    low: float = -math.inf
    high: float = math.inf

    @property
    def within(self) -> bool:
        """Whether the number is within its budget; NaN is not."""
        return bool(self.low <= self.value <= self.high)


@dataclass(frozen=True)
class Size:
    """Shapes and lengths.

    Attributes:
        shapes: of the priors whose speed is measured; the first is that of ``cpt_bio``'s model.
        gpt2: the model of pre-training.
        window: tokens of a window of scoring; ``batch_tokens`` of a batch.
        matmul: width of the square matrices whose product is timed.
        train: continual pre-training; its tokens are those of the text.
        epochs: over the text, until the prior of the parity is almost certain of many tokens; the
            precisions are compared over four.
        pretrain: pre-training.
        edited: documents whose edits are compared.
        compiled: whether to measure speed with ``torch.compile``, too.
    """

    shapes: dict[str, dict[str, Any]]
    gpt2: ArchitectureConfig
    window: int
    batch_tokens: int
    matmul: int
    train: TrainConfig
    epochs: int
    pretrain: TrainConfig
    edited: int
    compiled: tuple[bool, ...]


LARGE = Size(
    shapes={
        "135M": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
                 "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
                 "tie_word_embeddings": True},
        "8B": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
               "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
               "tie_word_embeddings": False},
    },
    gpt2=ArchitectureConfig("gpt2", 12, 768, 12, None, 1024, 50257),
    window=2048, batch_tokens=65536, matmul=8192,
    train=TrainConfig(tokens=4 * 8192, block_size=256, batch_tokens=8192, micro_batch=32,
                      learning_rate=1e-3, checkpoint_steps=10**9),
    epochs=48,
    pretrain=TrainConfig(tokens=16 * 262144, block_size=1024, batch_tokens=262144, micro_batch=32,
                         learning_rate=6e-4, checkpoint_steps=10**9),
    edited=32, compiled=(False, True),
)  # fmt: skip
_TINY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 1024}  # fmt: skip
SMALL = Size(
    shapes={"135M": {**_TINY, "tie_word_embeddings": True},
            "8B": {**_TINY, "tie_word_embeddings": False}},
    gpt2=ArchitectureConfig("gpt2", 2, 64, 2, None, 64, 1024),
    window=128, batch_tokens=512, matmul=256,
    train=TrainConfig(tokens=4 * 512, block_size=64, batch_tokens=512, micro_batch=8,
                      learning_rate=1e-2, checkpoint_steps=10**9),
    epochs=32,
    pretrain=TrainConfig(tokens=4 * 256, block_size=64, batch_tokens=256, micro_batch=2,
                         learning_rate=6e-4, checkpoint_steps=10**9),
    edited=4, compiled=(False,),
)  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """What a part runs on: a device, sizes, and an empty folder."""

    device: str
    size: Size
    folder: Path

    def goal(self, value: float) -> float:
        """A lowest value that holds for the large sizes on a GPU only."""
        return value if self.device == "cuda" and self.size != SMALL else -math.inf

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device == "cuda":
            torch.cuda.synchronize()
