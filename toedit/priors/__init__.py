"""Prior language models: configuration and loading."""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from toedit.errors import LARGEST, UserError, require_choice, require_within
from toedit.plugins import is_plugin, make_plugin
from toedit.priors.base import CandidateRange, Prior, TokenScores, Vocabulary
from toedit.priors.loading import (
    DTYPES,
    EMBEDDED,
    load_model,
    load_tokenizer,
    model_limits,
    pinned_model,
)
from toedit.priors.vllm_settings import check_settings, deciding
from toedit.user_paths import local_path

__all__ = [
    "CandidateRange",
    "Prior",
    "PriorConfig",
    "TokenScores",
    "Vocabulary",
    "load_prior",
    "load_vocabulary",
]

PRIOR_KINDS = ("hf", "vllm", "table")
MOST_TOKENS = 2**31 - 1
"""Of a forward pass."""


@dataclass(unsafe_hash=True)
class PriorConfig:
    """Configuration of a prior.

    Attributes:
        kind: ``hf`` (transformers), ``vllm``, ``table`` (an exact byte bigram model, for tests and
            trying things out), or ``module:Class`` of your own (docs/extending.md).
        model: ``embedded``, a folder, or a hub id, also ``ID@REVISION``.
        ensemble: further models with the same tokenizer; probabilities are averaged over all.
        revision: commit of a hub model.
        dtype: dtype of weights and logits; logits are normalised in float32.
        max_length: maximum tokens in a forward pass; longer documents take overlapping windows.
        overlap: tokens of context that each later window repeats.
        parameters: parameters of the model, for cost estimates; experiments count those of a
            folder there.
        batch_tokens: maximum tokens in a batch, padding included (changes results by rounding).
        device: a torch device, or ``auto`` for the first GPU and else the CPU.
        compile: run the model through ``torch.compile``; not with vllm, which does so itself.
        vllm: arguments of the vLLM engine by vLLM's names, such as ``gpu_memory_utilization``,
            ``tensor_parallel_size`` and ``quantization``.
    """

    kind: str = field(default="hf", metadata={"identity": "prior"})
    model: str = field(default=EMBEDDED, metadata={"identity": "model"})
    ensemble: list[str] = field(default_factory=list, metadata={"identity": "models"}, hash=False)
    revision: str | None = None
    dtype: str = "float32"
    max_length: int = 2048
    overlap: int = 256
    parameters: int = field(default=0, metadata={"identity": False})
    batch_tokens: int = field(default=2048, metadata={"identity": False})
    device: str = field(default="auto", metadata={"identity": False})
    compile: bool = False
    vllm: dict[str, Any] = field(default_factory=dict, metadata={"identity": "vllm"}, hash=False)

    def __post_init__(self) -> None:
        if not is_plugin(self.kind):
            require_choice("prior.kind", self.kind, PRIOR_KINDS)
        require_choice("prior.dtype", self.dtype, DTYPES)
        if not is_plugin(self.kind):
            self.model = local_path(self.model, "prior.model=")
        self.ensemble = [local_path(name, "prior.ensemble: ") for name in self.ensemble]
        require_within("prior", self, 2, MOST_TOKENS, "max_length")
        require_within("prior", self, 1, MOST_TOKENS, "batch_tokens")
        require_within("prior", self, 0, LARGEST, "parameters")
        if not 0 <= self.overlap < self.max_length:
            raise UserError(
                f"prior.overlap={self.overlap} must be at least 0 and less than "
                f"prior.max_length={self.max_length}"
            )
        if self.kind == "vllm" and (self.ensemble or self.compile):
            raise UserError("prior.kind=vllm takes one model and no compile=true")
        if self.vllm and self.kind != "vllm":
            raise UserError("prior.vllm needs prior.kind=vllm")
        check_settings("prior.vllm", self.vllm)

    def pinned(self) -> "PriorConfig":
        """Return it with the commits of its models on the hub, for other processes.

        Raises:
            UserError: a model does not exist, or may not be read.
        """
        if self.kind not in ("hf", "vllm"):
            return self
        model, ensemble = pinned_model(self.model, self.revision), map(pinned_model, self.ensemble)
        return replace(self, model=model, revision=None, ensemble=list(ensemble))

    def inapplicable(self) -> set[str]:
        """Return fields that do not apply to this kind of prior."""
        unused = set() if deciding(self.vllm) else {"vllm"}
        if self.kind != "table":
            return unused
        return unused | {
            "model", "ensemble", "revision", "dtype", "max_length", "overlap", "compile"
        }  # fmt: skip


@lru_cache(maxsize=1)
def load_prior(config: PriorConfig) -> Prior:
    """Load the prior of a configuration, once a process.

    Raises:
        UserError: its model or tokenizer cannot be loaded or used.
    """
    if is_plugin(config.kind):
        return make_plugin(config.kind, "prior", config.model)
    if config.kind == "table":
        from toedit.priors.table import TablePrior

        return TablePrior()
    tokenizer = load_tokenizer(config.model, config.revision)
    if config.kind == "vllm":
        return _load_vllm(config, tokenizer)
    from toedit.priors.hf import HFPrior, pick_device

    for name in config.ensemble:
        if load_tokenizer(name).get_vocab() != tokenizer.get_vocab():
            raise UserError(f"prior.ensemble: {name!r} has another tokenizer than {config.model!r}")
    device = pick_device(config.device)
    return HFPrior(
        load_model(config.model, config.revision, config.dtype, device),
        tokenizer,
        max_length=config.max_length,
        overlap=config.overlap,
        batch_tokens=config.batch_tokens,
        ensemble=[load_model(name, None, config.dtype, device) for name in config.ensemble],
        compile_=config.compile,
    )


def _load_vllm(config: PriorConfig, tokenizer: Any) -> Prior:
    from toedit.priors.vllm import VLLMPrior, ended_with_prior, load_engine

    rows, limit = model_limits(config.model, config.revision)
    length = min(config.max_length, (limit or config.max_length + 1) - 1)  # it generates one token
    # In no variable: libraries that are imported here keep this frame, in exceptions they note.
    return ended_with_prior(
        VLLMPrior(
            load_engine(
                config.model,
                config.revision,
                config.dtype,
                length + 1,
                config.batch_tokens,
                config.vllm,
            ),
            tokenizer,
            rows,
            length,
            length,
            config.overlap,
        )
    )


@lru_cache(maxsize=4)
def load_vocabulary(config: PriorConfig) -> Vocabulary:
    """Load the vocabulary of a prior without its weights, which editing stored scores needs.

    Raises:
        UserError: its tokenizer cannot be loaded or used.
    """
    if is_plugin(config.kind) or config.kind == "table":
        return load_prior(config).vocabulary
    from toedit.priors.vocabulary import hf_vocabulary

    rows, _ = model_limits(config.model, config.revision)
    return hf_vocabulary(load_tokenizer(config.model, config.revision), rows)
