"""Prior language models: what they are called, and how one is loaded."""

import multiprocessing
from dataclasses import dataclass, field
from functools import lru_cache

from toedit.errors import UserError, require_choice
from toedit.plugins import is_plugin, load_plugin
from toedit.priors.base import CandidateRange, Prior, TokenScores, Vocabulary
from toedit.priors.loading import (
    DTYPES,
    EMBEDDED,
    load_model,
    load_tokenizer,
    locate_model,
    model_limits,
)

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


@dataclass
class PriorConfig:
    """Which prior scores a text, and how.

    Attributes:
        kind: ``hf`` (transformers), ``vllm``, ``table`` (an exact byte bigram, for tests and
            trying things out), or ``module:Class`` for one's own (docs/extending.md).
        model: ``embedded``, a folder, or a hub id.
        ensemble: further models with the same tokenizer, over all of which probabilities are
            averaged.
        revision: commit of a hub model.
        dtype: dtype of the weights; logits have it, and are normalised in float32.
        max_length: most tokens in one forward pass; longer documents take overlapping windows.
        overlap: tokens of context a later window repeats.
        parameters: parameters of the model, for cost estimates.
        batch_tokens: most tokens in a batch, padding included (does not change results beyond
            rounding).
        device: a torch device, or ``auto`` for the first GPU and else the CPU.
        compile: run the model through ``torch.compile``; not with vllm, which does so itself.
    """

    kind: str = "hf"
    model: str = field(default=EMBEDDED, metadata={"identity": "model"})
    ensemble: list[str] = field(default_factory=list, metadata={"identity": "models"})
    revision: str | None = None
    dtype: str = "float32"
    max_length: int = 2048
    overlap: int = 256
    parameters: int = field(default=0, metadata={"identity": False})
    batch_tokens: int = field(default=2048, metadata={"identity": False})
    device: str = field(default="auto", metadata={"identity": False})
    compile: bool = False

    def __post_init__(self) -> None:
        if not is_plugin(self.kind):
            require_choice("prior.kind", self.kind, PRIOR_KINDS)
        require_choice("prior.dtype", self.dtype, DTYPES)
        if not 0 <= self.overlap < self.max_length:
            raise UserError(
                f"prior.overlap={self.overlap} must be at least 0 and less than "
                f"prior.max_length={self.max_length}"
            )
        if self.kind == "vllm" and (self.ensemble or self.compile):
            raise UserError("prior.kind=vllm takes one model and no compile=true")
        if self.batch_tokens < 1:
            raise UserError(f"prior.batch_tokens={self.batch_tokens} must be at least 1")

    def inapplicable(self) -> set[str]:
        """Fields that mean nothing for this kind of prior."""
        return (
            {"model", "ensemble", "revision", "dtype", "max_length", "overlap", "compile"}
            if self.kind == "table"
            else set()
        )


def load_prior(config: PriorConfig) -> Prior:
    """The prior of a configuration, loaded once a process.

    Raises:
        UserError: its model or tokenizer cannot be loaded or used.
    """
    if is_plugin(config.kind):
        return _load_own(config.kind, config.model)
    return _load(tuple(config.ensemble), *(getattr(config, name) for name in _FIELDS))


def load_vocabulary(config: PriorConfig) -> Vocabulary:
    """The vocabulary of a prior, without its weights: all that a rule on stored scores needs.

    Raises:
        UserError: its tokenizer cannot be loaded or used.
    """
    if is_plugin(config.kind):
        return load_prior(config).vocabulary
    return _load_vocabulary(config.kind, config.model, config.revision)


@lru_cache(maxsize=4)
def _load_vocabulary(kind: str, model: str, revision: str | None) -> Vocabulary:
    if kind == "table":
        from toedit.priors.table import TablePrior

        return TablePrior().vocabulary
    from toedit.priors.vocabulary import hf_vocabulary

    rows, _ = model_limits(model, revision)
    return hf_vocabulary(load_tokenizer(model, revision), rows)


_FIELDS = ("kind", "model", "revision", "dtype", "max_length", "overlap", "batch_tokens", "device",
           "compile")  # fmt: skip


@lru_cache(maxsize=1)
def _load_own(kind: str, model: str) -> Prior:
    return load_plugin(kind)(model)


@lru_cache(maxsize=1)
def _load(
    ensemble, kind, model, revision, dtype, max_length, overlap, batch_tokens, device, compile_
) -> Prior:
    if kind == "table":
        from toedit.priors.table import TablePrior

        return TablePrior()
    tokenizer = load_tokenizer(model, revision)
    if kind == "vllm":
        return _load_vllm(tokenizer, model, revision, dtype, max_length, overlap)
    from toedit.priors.hf import HFPrior, pick_device

    for name in ensemble:
        if load_tokenizer(name).get_vocab() != tokenizer.get_vocab():
            raise UserError(f"prior.ensemble: {name!r} has another tokenizer than {model!r}")
    return HFPrior(
        load_model(model, revision, dtype, pick_device(device)),
        tokenizer,
        max_length=max_length,
        overlap=overlap,
        batch_tokens=batch_tokens,
        ensemble=[load_model(name, None, dtype, pick_device(device)) for name in ensemble],
        compile_=compile_,
    )


def _load_vllm(tokenizer, model, revision, dtype, max_length, overlap) -> Prior:
    from toedit.priors.vllm import VLLMPrior, load_engine

    if multiprocessing.current_process().daemon:
        raise UserError(
            "prior.kind=vllm cannot share a machine: use workers=1, vLLM batches itself"
        )
    rows, limit = model_limits(model, revision)
    length = min(max_length, (limit or max_length + 1) - 1)  # one token is generated
    engine = load_engine(locate_model(model), revision, dtype, length)
    return VLLMPrior(engine, tokenizer, rows, length, length, overlap)
