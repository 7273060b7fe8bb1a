"""Configuration of a model and its training."""

import math
from dataclasses import dataclass, field

from experiments.config.checks import runtime
from experiments.config.pretraining import ArchitectureConfig
from toedit.errors import LARGEST, UserError, require_choice, require_positive, require_within
from toedit.priors.loading import EMBEDDED
from toedit.user_paths import local_path

SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("float32", "bfloat16")
OWN = "own"
"""Value of ``model.template`` for the chat template of the model's tokenizer."""


@dataclass
class ModelConfig:
    """The model to train.

    Attributes:
        model: ``embedded``, a folder, or a hub id.
        revision: commit of a hub model.
        separator: token between documents; null for the tokenizer's end-of-sequence token.
        lora_rank: rank of low-rank adapters; 0 trains every weight.
        lora_alpha: scale of the adapters.
        lora_targets: layers with adapters, by the last part of their name; empty for all linear
            layers.
        template: chat template (``experiments/training/templates``, or ``own`` for the
            tokenizer's) of conversations, of which responses alone are learned; null for plain
            text.
        parameters: number of parameters, for cost estimates; of a folder they are counted there.
        scratch: shape of a model that is trained from random weights, instead of ``model``.
    """

    model: str = field(default=EMBEDDED, metadata={"identity": "model"})
    revision: str | None = None
    separator: str | None = None
    lora_rank: int = 0
    lora_alpha: int = 16
    lora_targets: list[str] = field(default_factory=list)
    template: str | None = field(default=None, metadata={"identity": "template"})
    parameters: int = runtime(0)
    scratch: ArchitectureConfig | None = None

    def __post_init__(self) -> None:
        require_within("model", self, 0, 65536, "lora_rank")
        require_positive("model", self, "lora_alpha")
        require_within("model", self, 0, LARGEST, "parameters")
        self.model = local_path(self.model, "model.model=")

    def inapplicable(self) -> set[str]:
        """Fields of adapters without adapters; the base model of a model from random weights."""
        base = {"model", "revision"} if self.scratch else set()
        return base | (set() if self.lora_rank else {"lora_alpha", "lora_targets"})


@dataclass
class TrainConfig:
    """A training run; weights are always float32.

    Attributes:
        tokens: tokens to train on, from the start of the packed stream of an arm.
        block_size: tokens in a sequence.
        batch_tokens: tokens in an optimizer step.
        learning_rate: peak learning rate of AdamW.
        schedule: ``cosine``, ``linear`` or ``constant``, after a linear warmup.
        min_lr_ratio: last learning rate of the cosine, as a share of the peak.
        warmup_steps: steps of warmup; null to use ``warmup_ratio``.
        warmup_ratio: the same as a share of all steps.
        weight_decay: decoupled weight decay.
        beta1: AdamW.
        beta2: AdamW.
        max_grad_norm: gradients are clipped to this norm.
        precision: ``bfloat16`` (autocast) or ``float32``.
        micro_batch: sequences in a forward pass of one device.
        fsdp: shard weights, gradients and optimizer states across the processes.
        checkpoint_steps: steps between checkpoints.
        gradient_checkpointing: recompute activations to save memory.
        compile: use ``torch.compile``, which is faster on a GPU.
        document_masks: no token attends to other documents.
        keep_tokens: numbers of tokens after which the model is saved for evaluation, rounded down
            to multiples of ``batch_tokens``.
    """

    tokens: int = 1_000_000
    block_size: int = 1024
    batch_tokens: int = 8192
    learning_rate: float = 1e-5
    schedule: str = "cosine"
    min_lr_ratio: float = 0.1
    warmup_steps: int | None = None
    warmup_ratio: float = 0.1
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    max_grad_norm: float = 1.0
    precision: str = "bfloat16"
    micro_batch: int = runtime(1)
    fsdp: bool = False
    checkpoint_steps: int = runtime(500)
    gradient_checkpointing: bool = runtime(False)
    compile: bool = False
    document_masks: bool = False
    keep_tokens: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        require_choice("train.schedule", self.schedule, SCHEDULES)
        require_choice("train.precision", self.precision, PRECISIONS)
        require_positive("train", self, "tokens", "block_size", "batch_tokens", "learning_rate",
                         "micro_batch", "max_grad_norm", "checkpoint_steps")  # fmt: skip
        require_within("train", self, 0, 1, "warmup_ratio", "min_lr_ratio", "weight_decay")
        require_within("train", self, 0, 1 - 1e-9, "beta1", "beta2")
        if self.batch_tokens % (self.block_size * self.micro_batch):
            raise UserError(
                f"train.batch_tokens={self.batch_tokens} must be a multiple of block_size * "
                f"micro_batch = {self.block_size} * {self.micro_batch}"
            )
        if not self.steps:
            raise UserError(
                f"train.tokens={self.tokens} is less than one step of {self.batch_tokens} tokens"
            )
        require_within("train", self, 0, LARGEST, "warmup_steps")
        if (self.warmup_steps or 0) > self.steps:
            raise UserError(
                f"train.warmup_steps={self.warmup_steps} is more than the {self.steps} steps of "
                f"train.tokens={self.tokens} at {self.batch_tokens} a step"
            )
        for tokens in self.keep_tokens:
            if not 0 < tokens // self.batch_tokens < self.steps:
                raise UserError(
                    f"train.keep_tokens holds {tokens}; allowed: {self.batch_tokens} to less than "
                    f"the {self.steps * self.batch_tokens} tokens of the run, whose model is kept"
                )

    @property
    def steps(self) -> int:
        """Optimizer steps; a last partial batch is dropped."""
        return self.tokens // self.batch_tokens

    @property
    def warmup(self) -> int:
        """Steps of warmup."""
        if self.warmup_steps is not None:
            return self.warmup_steps
        return math.ceil(self.warmup_ratio * self.steps)  # as the Hugging Face Trainer rounds

    def inapplicable(self) -> set[str]:
        """Fields that another field overrides."""
        unused = {"warmup_ratio"} if self.warmup_steps is not None else set()
        return unused | (set() if self.schedule == "cosine" else {"min_lr_ratio"})


@dataclass
class ContinuedConfig:
    """Continual pre-training of a model that was trained from random weights.

    Attributes:
        domains: human domains of the text, at equal shares.
        tokens: tokens of the text; more than are trained on, because edits may shorten it.
        train: the training.
    """

    domains: list[str] = field(default_factory=lambda: ["biomedical"])
    tokens: int = 1_000_000
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        require_positive("continued", self, "tokens")
        if not self.domains or len(set(self.domains)) < len(self.domains):
            raise UserError(f"continued.domains={self.domains} must name domains, each once")
