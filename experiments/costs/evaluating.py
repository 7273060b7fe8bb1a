"""What an evaluation comes to: prompts of benchmarks, answers written, and held-out text."""

from collections.abc import Sequence

from evals.suites import BenchmarkTask
from experiments.costs import FORWARD, Cost
from experiments.costs.shapes import BYTES, shape_of
from experiments.costs.work import DOCUMENT, HEAD_ROWS, attention
from experiments.schema import EvalConfig, ModelConfig

ANSWER = 100
"""Tokens of a written answer, one forward pass each."""

PREDICTION_BYTES, TASK_BYTES = 45.0, 2000.0
"""Of an answer that is kept, and of the file of a task besides."""


def evaluating(
    evaluation: EvalConfig, tasks: Sequence[BenchmarkTask], model: ModelConfig, heldout: float
) -> Cost:
    """An evaluation of a model.

    Alone in its batch, a prompt meets the output layer at its answer only (``evals/harness.py``).

    Args:
        evaluation: what is measured.
        tasks: of its suite.
        model: the model.
        heldout: tokens of the held-out text that there is.
    """
    shape = shape_of(model.model, model.parameters, model.scratch)
    batch, size, weights = evaluation.batch_size, BYTES[evaluation.dtype], model.parameters
    prompts = passes = items = longest = 0.0
    for task in tasks:
        number = float(min(task.items, evaluation.limits.get(task.name, task.items)))
        own = task.passes or ANSWER
        items += number
        prompts += number * task.prompt_tokens
        passes += number * own / batch
        longest = max(longest, task.prompt_tokens / max(1, task.passes))
    scored = min(heldout, float(evaluation.heldout_tokens or heldout))
    everywhere = weights - (shape.head if batch == 1 else 0)
    rows = batch * max(longest, 1.0)
    logits = (4 + size) * rows if batch > 1 else 4 * HEAD_ROWS
    return Cost(
        tokens=prompts + scored,
        flops=2.0 * (everywhere * prompts + weights * scored),
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
