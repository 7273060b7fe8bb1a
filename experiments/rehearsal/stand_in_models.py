"""Tiny models with random weights, of the family and with the special tokens of a real one.

With the hub, configuration and tokenizer are the real model's; without it, they come from
:data:`KNOWN`. Weights are drawn so that the model expects every token to be repeated: otherwise no
token of a text would be near-certain, and there would be nothing to edit.
"""

import copy
import dataclasses
import math
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import processors
from transformers import AutoConfig

from experiments.rehearsal.rule import HEADS, LAYERS, WIDTH
from experiments.rehearsal.texts import passages
from experiments.stage import digest
from experiments.stages.tokenizer import byte_level_bpe
from toedit.embedded import once
from toedit.errors import UserError, suggest
from toedit.priors.loading import EMBEDDED, load_config, load_tokenizer

REV = 1
"""Raised when the output of this module changes."""

VOCABULARY = 50
"""Factor by which vocabularies of stand-ins are smaller than the real ones."""

MARGIN = 6.0
"""Log-odds of the expected token: p = 0.9975, above the threshold of every preset."""

MODEL, TOKENIZER, CLASSIFIER, ENCODER = (
    "AutoModelForCausalLM", "AutoTokenizer", "AutoModelForSequenceClassification", "AutoModel",
)  # fmt: skip
"""Role of a model: the class of transformers that reads it."""


@dataclass(frozen=True)
class Known:
    """Properties of a published model.

    Attributes:
        family: its ``model_type`` in transformers.
        tokens: size of its tokenizer.
        end: token that ends a text.
        begin: token that begins a text; None for none.
        pad: padding token; None for none.
        written: whether the tokenizer itself adds ``begin`` (and for ``bert`` ``end``).
        shape: fields of its configuration that differ from its family's defaults.
    """

    family: str
    tokens: int
    end: str
    begin: str | None = None
    pad: str | None = None
    written: bool = False
    shape: dict[str, Any] = field(default_factory=dict)


_NEOX = "<|endoftext|>"
_BERT = Known("bert", 30522, "[SEP]", "[CLS]", "[PAD]", True, {"num_labels": 1})
KNOWN = {
    "meta-llama/Meta-Llama-3-8B": Known(
        "llama", 128256, "<|end_of_text|>", "<|begin_of_text|>", None, True,
        {"vocab_size": 128256, "num_attention_heads": 32, "num_key_value_heads": 8,
         "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 8192},
    ),
    "stabilityai/stablelm-zephyr-3b": Known(
        "stablelm", 50289, _NEOX, _NEOX, _NEOX, False,
        {"vocab_size": 50304, "num_attention_heads": 32, "num_key_value_heads": 32,
         "hidden_size": 2560, "intermediate_size": 6912, "max_position_embeddings": 4096},
    ),
    "Qwen/Qwen2-0.5B-Instruct": Known(
        "qwen2", 151646, "<|im_end|>", None, _NEOX, False,
        {"vocab_size": 151936, "num_attention_heads": 14, "num_key_value_heads": 2,
         "hidden_size": 896, "intermediate_size": 4864, "max_position_embeddings": 32768,
         "tie_word_embeddings": True},
    ),
    "allenai/OLMo-1B-hf": Known(
        "olmo", 50280, _NEOX, None, "<|padding|>", False,
        {"vocab_size": 50304, "num_attention_heads": 16, "num_key_value_heads": 16,
         "hidden_size": 2048, "intermediate_size": 8192, "max_position_embeddings": 2048,
         "tie_word_embeddings": True},
    ),
    "openai-community/gpt2": Known("gpt2", 50257, _NEOX, _NEOX),
    "allenai/eleuther-ai-gpt-neox-20b-pii-special": Known(
        "gpt_neox", 50280, _NEOX, _NEOX, "<|padding|>"
    ),
    "HuggingFaceFW/fineweb-edu-classifier": _BERT,
    "all-MiniLM-L6-v2": _BERT,
    "SmolLM2": Known(
        "llama", 49152, "<|im_end|>", "<|im_start|>", "<|im_end|>", False,
        {"vocab_size": 49152, "num_attention_heads": 9, "num_key_value_heads": 3,
         "hidden_size": 576, "intermediate_size": 1536, "max_position_embeddings": 8192,
         "tie_word_embeddings": True},
    ),
}  # fmt: skip
"""Models of the experiments at the paper's scale, and the embedded ones."""

EMBEDDED_NAMES = {MODEL: "SmolLM2", ENCODER: "all-MiniLM-L6-v2"}


@dataclass(frozen=True)
class StandIn:
    """A tiny model in a folder."""

    folder: Path
    description: str

    @property
    def parameters(self) -> int:
        """Number of parameters, 4 bytes each."""
        return sum(path.stat().st_size for path in self.folder.glob("*.safetensors")) // 4


def stand_in(name: str, revision: str | None, role: str, offline: bool) -> StandIn:
    """A tiny model in place of a real one, created once and cached.

    Args:
        name: ``embedded``, a folder, or a hub id.
        revision: commit of a hub model.
        role: :data:`MODEL`, :data:`TOKENIZER`, :data:`CLASSIFIER` or :data:`ENCODER`.
        offline: do not read from the hub.

    Raises:
        UserError: the model is unknown here, or cannot be read.
    """
    if name == EMBEDDED:
        name, offline = EMBEDDED_NAMES[role], True
    known = None
    if offline and not Path(name).is_dir():
        known = KNOWN.get(name)
        if known is None:
            raise UserError(f"rehearse=true knows no model {name!r} without the hub; "
                            f"{suggest(name, KNOWN)}")  # fmt: skip
    facts = None if known is None else dataclasses.asdict(known)
    key = digest([REV, name, revision, role, facts, LAYERS, WIDTH, VOCABULARY, MARGIN])
    path = Path(*name.strip("/").split("/")[-2:])  # statistics call a prior by the last part
    make = partial(_make, path, name, revision, role, known)
    folder = once(f"rehearsal-{key}", make) / path
    if role == TOKENIZER:
        return StandIn(folder, f"a tokenizer at {os.fspath(folder)!r}")
    config = AutoConfig.from_pretrained(folder)
    return StandIn(
        folder,
        f"{config.model_type}, {config.num_hidden_layers} layers of width {config.hidden_size}, "
        "random weights",
    )


def _make(
    path: Path, name: str, revision: str | None, role: str, known: Known | None, folder: Path
) -> None:
    """Write a stand-in to ``path`` inside a folder."""
    tokenizer = load_tokenizer(name, revision) if known is None else _tokenizer(known)
    tokenizer.save_pretrained(folder / path)
    if role == TOKENIZER:
        return
    if known is None:
        real = load_config(name, revision)
        rows = real.vocab_size
    else:
        real = AutoConfig.for_model(known.family, **known.shape)
        rows = max(len(tokenizer), real.vocab_size // VOCABULARY)
    transformers.set_seed(0)
    small_model(real, rows, role, tokenizer).save_pretrained(folder / path)


def small_model(real: Any, rows: int, role: str, tokenizer: Any) -> Any:
    """A model of a real one's configuration, with :data:`LAYERS` layers of :data:`WIDTH`.

    Args:
        real: the configuration.
        rows: of the embedding.
        role: class of transformers.
        tokenizer: its special tokens are set in the configuration.
    """
    config, heads = copy.deepcopy(real), min(real.num_attention_heads, HEADS)
    shared = getattr(real, "num_key_value_heads", None) or real.num_attention_heads
    inner = getattr(real, "intermediate_size", None)
    values = {
        "num_hidden_layers": LAYERS, "hidden_size": WIDTH, "num_attention_heads": heads,
        "num_key_value_heads": max(1, heads * shared // real.num_attention_heads),
        "intermediate_size": inner and max(WIDTH, inner * WIDTH // real.hidden_size),
        "head_dim": WIDTH // heads, "vocab_size": rows,
        "layer_types": (getattr(real, "layer_types", None) or [])[:LAYERS],
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    for name, value in values.items():
        if getattr(real, name, None) is not None or name.endswith("token_id"):
            setattr(config, name, value)
    model = getattr(transformers, role).from_config(config, dtype=torch.float32)
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if head is not None:
        with torch.no_grad():
            embedding.weight.normal_(0.0, logit_deviation(rows) / WIDTH**0.5)
            head.weight.copy_(embedding.weight)
    return model


def logit_deviation(rows: int) -> float:
    """Standard deviation of the logits at which repetition has the log-odds :data:`MARGIN`.

    Where the output layer is the embedding and layers add little, the logit of the token just read
    is sqrt(WIDTH) standard deviations s, and log-sum-exp of the others log(rows) + s^2 / 2.
    """
    return WIDTH**0.5 - math.sqrt(WIDTH - 2 * (MARGIN + math.log(rows)))


def _tokenizer(known: Known) -> Any:
    """Train a byte-level BPE with the special tokens of a model on embedded text."""
    special = {"eos_token": known.end, "bos_token": known.begin, "pad_token": known.pad}
    tokenizer = byte_level_bpe(passages()[:400], known.tokens // VOCABULARY, special)
    if known.written:
        added = [str(known.begin), "$A", *([known.end] if known.family == "bert" else [])]
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=" ".join(added),
            special_tokens=[(t, tokenizer.convert_tokens_to_ids(t)) for t in added if t != "$A"],
        )
    return tokenizer
