"""FLOPs, memory and disk of training, scoring, generation and evaluation."""

from collections.abc import Sequence

from evals.suites import BenchmarkTask
from experiments.config import EvalConfig
from experiments.config.training import ModelConfig, TrainConfig
from experiments.costs import FORWARD, GENERATE, TRAIN, Cost
from experiments.costs.shapes import BYTES, Shape, shape_of
from toedit.priors import PriorConfig

TRAINED_BYTES = 16
"""Per trained weight: weight, gradient and AdamW's two moments, in float32."""

CHECKPOINT_BYTES = 12
"""Per trained weight in a checkpoint, which holds no gradient."""

LOGITS_BYTES = 12
"""Per logit in training: logit, log-probability and gradient, in float32."""

DOCUMENT = 512
"""Tokens of a document that attend to each other; 210 to 390 on average in embedded text."""

HEAD_ROWS = 256
"""Rows of logits that scoring holds at a time (``toedit/priors/hf.py``)."""

MOST_CHECKPOINTS = 3
"""The older of two is deleted when a third is complete (``experiments/training/worker.py``)."""

CHARACTERS_PER_TOKEN = 4.4
"""Plain text under the tokenizer of a pretrained model; 4.47 in biomedical text, SmolLM2."""

CHARACTERS_PER_TURN_TOKEN = 4.0
"""Conversations; 4.03 measured, SmolLM2."""

CHARACTERS_PER_OWN_TOKEN = 3.42
"""Human text under the tokenizer of 4,096 tokens that experiments train."""

BLOCK_BYTES, RECORD_BYTES = 4.0, 12.0
"""Per token of packed text, and of packed conversations, which also mark the learned tokens."""

VOCABULARY_BYTES = 70.0
"""Per token of the vocabulary in the tokenizer's files, which are in every model folder."""

SCORE_BYTES, CANDIDATE_BYTES = 11.0, 6.6
"""Per scored token on disk, and per stored candidate."""

TEXT_BYTES = 0.55
"""Per character of text in a shard, compressed."""

WRITTEN_SHARE = 0.7
"""Share of ``synthesis.max_new_tokens`` that an instruct model writes; 269 of 384 measured."""

ANSWER_TOKENS = 100
"""Tokens of a generated answer of a benchmark, one forward pass each."""

PREDICTION_BYTES, TASK_BYTES = 45.0, 2000.0
"""Per stored prediction, and in addition per file of a task."""


def attention(shape: Shape, length: int) -> float:
    """Operations per token of a forward pass over ``length`` tokens under a causal mask."""
    return 2.0 * shape.layers * shape.width * length


def model_shape(model: ModelConfig) -> Shape:
    """The shape of a model that is trained or evaluated."""
    return shape_of(model.model, model.parameters, model.scratch)


def trained_weights(model: ModelConfig) -> int:
    """Weights that training changes: all, or those of adapters on all linear layers."""
    if not model.lora_rank:
        return model.parameters
    return model.lora_rank * model_shape(model).adapter_width


def training(model: ModelConfig, train: TrainConfig, mixed: bool = False, devices: int = 1) -> Cost:
    """Training for ``train.steps``.

    A token costs 6 operations per trained weight, 4 per frozen one, since the backward pass needs
    no gradient of it, and 2 more per weight where activations are recomputed. If ``mixed``, a
    mixture stage has already packed the text.
    """
    shape, tokens = model_shape(model), float(train.steps * train.batch_tokens)
    weights, learned = model.parameters, trained_weights(model)
    per_token = 6 * learned + (4 * weights if model.lora_rank else 0)
    passes = 3
    if train.gradient_checkpointing:
        per_token += 2 * weights
        passes += 1
    file = 4.0 * weights + VOCABULARY_BYTES * shape.vocabulary
    saved = (train.steps - 1) // train.checkpoint_steps
    checkpoint = float(CHECKPOINT_BYTES * learned)
    adapters = 4.0 * learned if model.lora_rank else 0.0
    disk = file * (1 + len(train.keep_tokens)) + adapters
    return Cost(
        tokens=tokens,
        flops=float(per_token) * tokens,
        attention=passes * attention(shape, train.block_size) * tokens,
        work=TRAIN,
        width=shape.width,
        dtype=train.precision,
        moved=file + disk + saved * checkpoint,
        disk=disk,
        scratch=min(MOST_CHECKPOINTS, saved) * checkpoint
        + (0.0 if mixed else tokens * (RECORD_BYTES if model.template else BLOCK_BYTES)),
        memory=training_memory(model, train, devices),
        devices=devices,
    )


def training_memory(model: ModelConfig, train: TrainConfig, devices: int = 1) -> float:
    """Peak bytes on each device: weights and optimizer state, activations, and logits."""
    shape, rows = model_shape(model), train.micro_batch * train.block_size
    size, learned = BYTES[train.precision], trained_weights(model)
    state = float(TRAINED_BYTES * learned + (4 * model.parameters if model.lora_rank else 0))
    if train.fsdp:
        state /= devices
    elif size < 4:
        state += size * learned  # autocast keeps a copy of the trained weights
    layer = float(shape.activations * size * rows)
    activations = layer * shape.layers
    if train.gradient_checkpointing:
        activations = layer + shape.layers * shape.width * size * rows
    return state + activations + float(LOGITS_BYTES * rows * shape.vocabulary)


def scoring(
    prior: PriorConfig, tokens: float, candidates: float = 0.0, model: ModelConfig | None = None
) -> Cost:
    """A forward pass of a prior over ``tokens``; ``candidates`` are stored per token.

    ``model`` replaces the prior's model if an experiment trains it.
    """
    disk = tokens * (SCORE_BYTES + CANDIDATE_BYTES * candidates)
    if prior.kind == "table" or not prior.parameters:
        return Cost(tokens=tokens, disk=disk)
    shape = model_shape(model) if model else shape_of(prior.model, prior.parameters)
    members, size = 1 + len(prior.ensemble), BYTES[prior.dtype]
    weights = float(members * prior.parameters)
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
        + float(shape.activations * size * prior.batch_tokens)
        + 4.0 * HEAD_ROWS * shape.vocabulary,
        resident=weights * size,
    )


def generating(
    prior: PriorConfig, documents: int, longest: int, batch: int, model: ModelConfig | None = None
) -> Cost:
    """Documents of at most ``longest`` tokens, generated ``batch`` at a time.

    ``model`` replaces the prior's model if an experiment trains it; such a model rarely ends a text
    early.
    """
    tokens = float(documents * longest) * (1.0 if model else WRITTEN_SHARE)
    shape = model_shape(model) if model else shape_of(prior.model, prior.parameters)
    size = BYTES[prior.dtype]
    weights = float(prior.parameters * size)
    cache = 2.0 * shape.layers * shape.keys * size * longest * batch
    return Cost(
        tokens=tokens,
        flops=2.0 * prior.parameters * tokens,
        attention=attention(shape, longest) * tokens,
        work=GENERATE,
        width=shape.width,
        dtype=prior.dtype,
        moved=weights,
        disk=3 * tokens * CHARACTERS_PER_TOKEN * TEXT_BYTES,  # units, the text, its export
        memory=weights + cache + 4.0 * batch * shape.vocabulary,
        resident=weights,
    )


def evaluating(
    evaluation: EvalConfig, tasks: Sequence[BenchmarkTask], model: ModelConfig, heldout: float
) -> Cost:
    """Benchmarks and ``heldout`` tokens of held-out text.

    With a batch of 1, the output layer is counted for the answers only. That options share the
    reading of their prompt (``evals/packed.py``) is not counted: this is an upper bound.
    """
    shape = model_shape(model)
    batch, size, weights = evaluation.batch_size, BYTES[evaluation.dtype], model.parameters
    prompts = passes = items = longest = 0.0
    for task in tasks:
        number = float(min(task.items, evaluation.limits.get(task.name, task.items)))
        items += number
        prompts += number * task.prompt_tokens
        passes += number * (task.passes or ANSWER_TOKENS) / batch
        longest = max(longest, task.prompt_tokens / max(1, task.passes))
    scored = min(heldout, float(evaluation.heldout_tokens or heldout))
    body = weights - (shape.head if batch == 1 else 0)
    rows = batch * max(longest, 1.0)
    logits = (4 + size) * rows if batch > 1 else 4 * HEAD_ROWS
    return Cost(
        tokens=prompts + scored,
        flops=2.0 * (body * prompts + weights * scored),
        attention=attention(shape, min(evaluation.window, DOCUMENT)) * scored
        + attention(shape, round(longest)) * prompts,
        work=FORWARD,
        width=shape.width,
        dtype=evaluation.dtype,
        layers=shape.layers * passes,
        moved=float(weights * size),
        disk=PREDICTION_BYTES * items + TASK_BYTES * (1 + len(tasks)),
        memory=float(weights * size)
        + float(shape.activations * size * max(rows, evaluation.window))
        + logits * shape.vocabulary,
    )
