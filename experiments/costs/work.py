"""What kinds of work come to: operations, memory and files of training, reading and writing."""

from experiments.costs import FORWARD, GENERATE, TRAIN, Cost
from experiments.costs.shapes import BYTES, Shape, shape_of
from experiments.schema.training import ModelConfig, TrainConfig
from toedit.priors import PriorConfig

TRAINED_BYTES = 16
"""Of a trained weight: itself, its gradient and AdamW's two moments, in float32."""

CHECKPOINT_BYTES = 12
"""Of a trained weight in a checkpoint, which holds no gradient."""

LOGITS_BYTES = 12
"""Of a logit in training: itself, its log-probability and its gradient, in float32."""

DOCUMENT = 512
"""Tokens of a document that see one another; 210 to 390 on average in embedded text."""

HEAD_ROWS = 256
"""Rows of logits that scoring holds at a time (``toedit/priors/hf.py``)."""

KEPT_CHECKPOINTS = 3
"""Two are kept, and the older goes when a third is whole (``experiments/training/worker.py``)."""

CHARACTERS_PER_TOKEN = 4.4
"""Of plain text under the tokenizer of a pretrained model; 4.47 in biomedical text, SmolLM2."""

CHARACTERS_PER_TURN_TOKEN = 4.0
"""Of conversations; 4.03 measured, SmolLM2."""

CHARACTERS_PER_OWN_TOKEN = 3.42
"""Of human text under the tokenizer of 4,096 tokens that experiments train."""


BLOCK_BYTES, RECORD_BYTES = 4.0, 12.0
"""Of a token of packed text, and of packed conversations, which say what is learned too."""

VOCABULARY_BYTES = 70.0
"""Of a token in the files of a tokenizer, which stand beside every model."""

SCORE_BYTES, CANDIDATE_BYTES, CERTAIN = 11.0, 6.6, 0.2
"""Of a scored token on disk, of a candidate beside it, and the share of tokens that have them at
``score.above=0.9``: 22 bytes a token with 8 candidates, and 73 where every token has them."""

TEXT_BYTES = 0.55
"""Of a character of text in a shard, compressed."""

WRITTEN = 0.7
"""Share of ``synthesis.max_new_tokens`` that an instruct model writes; 269 of 384 measured."""


def trained_weights(model: ModelConfig) -> int:
    """Weights that training changes: all, or those of adapters on all linear layers."""
    if not model.lora_rank:
        return model.parameters
    return model.lora_rank * _shape(model).sides


def training(model: ModelConfig, train: TrainConfig, mixed: bool = False, devices: int = 1) -> Cost:
    """Training for ``train.steps`` on some devices, on text that a mixture has packed or not.

    A token costs 6 operations a trained weight, 4 a frozen one, since the backward pass needs no
    gradient of it, and 2 more a weight where activations are recomputed.
    """
    shape, tokens = _shape(model), float(train.steps * train.batch_tokens)
    weights, learned = model.parameters, trained_weights(model)
    a_token = 6 * learned + (4 * weights if model.lora_rank else 0)
    passes = 3
    if train.gradient_checkpointing:
        a_token += 2 * weights
        passes += 1
    file = 4.0 * weights + VOCABULARY_BYTES * shape.vocabulary
    saved = (train.steps - 1) // train.checkpoint_steps
    checkpoint = float(CHECKPOINT_BYTES * learned)
    adapters = 4.0 * learned if model.lora_rank else 0.0
    disk = file * (1 + len(train.keep_tokens)) + adapters
    return Cost(
        tokens=tokens,
        flops=float(a_token) * tokens,
        attention=passes * attention(shape, train.block_size) * tokens,
        work=TRAIN,
        width=shape.width,
        dtype=train.precision,
        moved=file + disk + saved * checkpoint,
        disk=disk,
        scratch=min(KEPT_CHECKPOINTS, saved) * checkpoint
        + (0.0 if mixed else tokens * (RECORD_BYTES if model.template else BLOCK_BYTES)),
        memory=training_memory(model, train, devices),
        devices=devices,
    )


def training_memory(model: ModelConfig, train: TrainConfig, devices: int = 1) -> float:
    """Bytes on each of some devices: weights with their optimizer, activations, and logits."""
    shape, rows = _shape(model), train.micro_batch * train.block_size
    size, learned = BYTES[train.precision], trained_weights(model)
    held = float(TRAINED_BYTES * learned + (4 * model.parameters if model.lora_rank else 0))
    if train.fsdp:
        held /= devices
    elif size < 4:
        held += size * learned  # autocast keeps a copy of what it trains
    layer = float(shape.activations * size * rows)
    activations = layer * shape.layers
    if train.gradient_checkpointing:
        activations = layer + shape.layers * shape.width * size * rows
    return held + activations + float(LOGITS_BYTES * rows * shape.vocabulary)


def scoring(
    prior: PriorConfig, tokens: float, candidates: float = 0.0, model: ModelConfig | None = None
) -> Cost:
    """A pass of a prior over a text.

    Args:
        prior: the prior.
        tokens: of the text.
        candidates: alternatives kept a token, on average.
        model: what stands in the prior's place, where an experiment trains it.
    """
    disk = tokens * (SCORE_BYTES + CANDIDATE_BYTES * candidates)
    if prior.kind == "table" or not prior.parameters:
        return Cost(tokens=tokens, disk=disk)
    shape = _shape(model) if model is not None else shape_of(prior.model, prior.parameters)
    members, size = 1 + len(prior.ensemble), BYTES[prior.dtype]
    weights = float(members * prior.parameters)
    rows = prior.batch_tokens
    return Cost(
        tokens=tokens,
        flops=2 * weights * tokens,
        attention=members * attention(shape, min(prior.max_length, DOCUMENT)) * tokens,
        work=FORWARD,
        width=shape.width,
        dtype=prior.dtype,
        moved=weights * size,
        disk=disk,
        memory=weights * size
        + float(shape.activations * size * rows)
        + 4.0 * HEAD_ROWS * shape.vocabulary,
        resident=weights * size,
    )


def generating(
    prior: PriorConfig, documents: int, longest: int, batch: int, model: ModelConfig | None = None
) -> Cost:
    """Texts written by a model, which reads its weights anew for every token of a batch.

    Args:
        prior: who writes.
        documents: texts.
        longest: most tokens of one; a model of an experiment's own rarely ends sooner.
        batch: texts at a time.
        model: what stands in the prior's place, where an experiment trains it.
    """
    tokens = float(documents * longest) * (WRITTEN if model is None else 1.0)
    shape = _shape(model) if model is not None else shape_of(prior.model, prior.parameters)
    size = BYTES[prior.dtype]
    cache = 2.0 * shape.layers * shape.keys * size * longest * batch
    return Cost(
        tokens=tokens,
        flops=2.0 * prior.parameters * tokens,
        attention=attention(shape, longest) * tokens,
        work=GENERATE,
        width=shape.width,
        dtype=prior.dtype,
        moved=float(prior.parameters * size),
        disk=3 * tokens * CHARACTERS_PER_TOKEN * TEXT_BYTES,  # units, what is kept, its export
        memory=float(prior.parameters * size) + cache + 4.0 * batch * shape.vocabulary,
        resident=float(prior.parameters * size),
    )


def attention(shape: Shape, length: int) -> float:
    """Operations a token of a forward pass over so many, each seeing those before it alone."""
    return 2.0 * shape.layers * shape.width * length


def _shape(model: ModelConfig) -> Shape:
    return shape_of(model.model, model.parameters, model.scratch)
