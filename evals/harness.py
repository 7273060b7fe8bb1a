"""The only door to lm-eval: one task in, one row a benchmark item out."""

from __future__ import annotations

import logging
from functools import lru_cache
from inspect import signature
from pathlib import Path
from typing import Any

from evals import scoring
from evals.suites import BenchmarkTask

TASKS = Path(__file__).parent / "tasks"


def evaluate_task(
    model: Any,
    tokenizer: Any,
    task: BenchmarkTask,
    limit: int | None = None,
    batch_size: int = 1,
    folder: Path = TASKS,
    data: str | None = None,
    revision: str | None = None,
) -> list[dict[str, Any]]:
    """Evaluates a model on one task.

    Args:
        model: a causal language model of transformers, left in evaluation mode.
        tokenizer: its tokenizer.
        task: task, metric and shots.
        limit: only the first so many items.
        batch_size: prompts in a forward pass; 1 needs no padding.
        folder: where its YAML file is, for a task that lm-eval lacks.
        data: folder of items of the tasks of AdaptLLM, instead of the hub.
        revision: commit of the tokenizer, of a hub model.

    Returns:
        A row an item, in the task's order: ``item`` (id), ``value`` (the task's metric), ``gold``
        and ``prediction`` (option indices; the largest sum is predicted, or the largest mean a
        token where ``option_tokens`` stands in the row), ``option_logprobs``
        (summed natural log-probability of each option), ``gold_logprob``. The last four are
        None where the task is not multiple choice. Of a metric of :data:`scoring.F1` the value
        says whether the item is right, and ``group`` is its class of question. Where text is
        generated it is kept as ``text``, with further metrics of the task under their names.
    """
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    for noisy in ("lm_eval", "lm_eval.evaluator", "lm_eval.api.task", "lm-eval"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    language_model = _language_model_class()(
        pretrained=model,
        tokenizer=tokenizer,
        batch_size=batch_size,
        softmax_dtype="float32",  # else log-likelihoods are rounded to the model's dtype
        **_shortened(model, task),
    )
    results = simple_evaluate(
        model=language_model,
        tasks=[task.name],
        num_fewshot=task.shots,
        limit=limit,
        task_manager=TaskManager(
            include_path=str(folder),
            include_defaults=task.source == "stock",
            metadata={
                "tokenizer": tokenizer.name_or_path,
                "revision": revision,
                "adaptllm": data,
            }
            if task.source == "adaptllm"
            else None,
        ),
        bootstrap_iters=0,
        log_samples=True,
    )
    if results is None:  # only on other ranks of a distributed evaluation
        raise RuntimeError("lm-eval returned no results")
    samples = sorted(results["samples"][task.name], key=lambda sample: sample["doc_id"])
    return [_row(task, sample) for sample in samples]


def _shortened(model: Any, task: BenchmarkTask) -> dict[str, int]:
    """The longest input where AdaptLLM answers in words: prompts are cut on the left to 1,948 of
    2,048 tokens, whatever the model could read."""
    if task.source != "adaptllm" or task.options:
        return {}
    return {"max_length": min(2048, getattr(model.config, "max_position_embeddings", 2048))}


@lru_cache(maxsize=1)
def _language_model_class() -> type:
    """lm-eval's transformers model, with the output layer run only where an answer is scored.

    Stock lm-eval computes logits for every prompt token and drops all but the last few, which costs
    a small model a quarter of its time. With one prompt a batch the last ones are all it needs.
    """
    import torch
    from lm_eval.models.huggingface import HFLM

    class LastLogits(HFLM):
        keep = 0

        def _loglikelihood_tokens(self, requests, disable_tqdm=False, override_bs=None):
            alone = self.batch_size == 1 and override_bs is None
            known = "logits_to_keep" in signature(self.model.forward).parameters
            longest = max((len(request[2]) for request in requests), default=0)
            self.keep = longest if alone and known else 0
            return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)

        def _model_call(self, inps, attn_mask=None, labels=None):
            if not self.keep or attn_mask is not None or labels is not None:
                return super()._model_call(inps, attn_mask, labels)
            with torch.no_grad():
                return self.model(inps, logits_to_keep=self.keep).logits

    return LastLogits


def _row(task: BenchmarkTask, sample: dict[str, Any]) -> dict[str, Any]:
    document = sample["doc"]
    row = {
        "item": str(document.get("id", sample["doc_id"])),
        "value": float(sample["acc" if task.metric in scoring.F1 else task.metric]),
        "gold": None,
        "prediction": None,
        "option_logprobs": None,
        "gold_logprob": None,
    }
    if task.options:
        options = [float(response[0]) for response in sample["filtered_resps"]]
        gold = _gold_index(sample)
        tokens = document.get("option_tokens") or [1] * len(options)  # stock tasks compare sums
        row |= {
            "gold": gold,
            "prediction": scoring.best_option(options, tokens),
            "option_logprobs": options,
            "gold_logprob": options[gold],
        }
        if "option_tokens" in document:
            row["option_tokens"] = tokens
        if task.metric in scoring.F1:
            row["group"] = document.get("class_id", 0)
    elif isinstance(sample["filtered_resps"][0], str):
        row["text"] = sample["filtered_resps"][0]
        row |= {name: float(sample[name]) for name in sample["metrics"] if name != task.metric}
    return row


def _gold_index(sample: dict[str, Any]) -> int:
    """Index of the gold option; a task's target is that index, or the option's text."""
    for name in ("gold", "gold_index"):  # our own items say so themselves
        if name in sample["doc"]:
            return int(sample["doc"][name])
    continuations = [continuation.strip() for _, continuation in sample["arguments"]]
    if len(set(continuations)) == 1:  # Winogrande: beginnings are compared
        return int(sample["doc"]["answer"]) - 1
    target = str(sample["target"])
    if target.isdecimal():
        return int(target)
    return continuations.index(target.strip())
