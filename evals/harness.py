"""The only door to lm-eval: one task in, one row a benchmark item out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from evals.suites import BenchmarkTask

TASKS = Path(__file__).parent / "tasks"


def evaluate_task(
    model: Any, tokenizer: Any, task: BenchmarkTask, limit: int | None = None, batch_size: int = 1
) -> list[dict[str, Any]]:
    """Evaluates a model on one task.

    Args:
        model: a causal language model of transformers, left in evaluation mode.
        tokenizer: its tokenizer.
        task: task, metric and shots.
        limit: only the first so many items.
        batch_size: prompts in a forward pass; 1 needs no padding.

    Returns:
        A row an item, in the task's order: ``item`` (id), ``value`` (the task's metric), ``gold``
        and ``prediction`` (option indices), ``option_logprobs`` (summed natural log-probability of
        each option) and ``gold_logprob``. The last four are None where the task is not multiple
        choice.
    """
    import torch
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    for noisy in ("lm_eval", "lm_eval.evaluator", "lm_eval.api.task", "lm-eval"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    language_model = HFLM(
        pretrained=model,
        tokenizer=tokenizer,
        batch_size=batch_size,
        softmax_dtype=torch.float32,  # else sums of log-likelihoods are rounded to the model's dtype
    )
    results = simple_evaluate(
        model=language_model,
        tasks=[task.name],
        num_fewshot=task.shots,
        limit=limit,
        task_manager=TaskManager(include_path=str(TASKS), include_defaults=not task.embedded),
        bootstrap_iters=0,
        log_samples=True,
    )
    if results is None:  # only on other ranks of a distributed evaluation
        raise RuntimeError("lm-eval returned no results")
    samples = sorted(results["samples"][task.name], key=lambda sample: sample["doc_id"])
    return [_row(task, sample) for sample in samples]


def _row(task: BenchmarkTask, sample: dict[str, Any]) -> dict[str, Any]:
    document = sample["doc"]
    row = {
        "item": str(document.get("id", sample["doc_id"])),
        "value": float(sample[task.metric]),
        "gold": None,
        "prediction": None,
        "option_logprobs": None,
        "gold_logprob": None,
    }
    if task.options:
        options = [float(response[0]) for response in sample["filtered_resps"]]
        gold = int(sample["target"])
        row |= {
            "gold": gold,
            "prediction": max(range(len(options)), key=options.__getitem__),
            "option_logprobs": options,
            "gold_logprob": options[gold],
        }
    return row
