"""Make the row of an item from a sample of lm-eval."""

from typing import Any

from evals import scoring
from evals.clusters import item_cluster
from evals.suites import BenchmarkTask


def row_of(task: BenchmarkTask, sample: dict[str, Any]) -> dict[str, Any]:
    """Make the row of an item, as :func:`evals.harness.evaluate_task` describes it."""
    document = sample["doc"]
    identity = item_id(document, sample["doc_id"])
    row = {
        "item": identity,
        "cluster": item_cluster(document, identity, task.name),
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
        row["text"] = sample["resps"][0][0]  # not filtered
        row |= {name: float(sample[name]) for name in sample["metrics"] if name != task.metric}
    return row


def item_id(document: dict[str, Any], number: int) -> str:
    """Return the id of an item, or its number in the task."""
    return str(document.get("id", number))


def _gold_index(sample: dict[str, Any]) -> int:
    """Return the index of the gold option; a task's target is that index or the option's text."""
    for name in ("gold", "gold_index"):  # embedded items and AdaptLLM's
        if name in sample["doc"]:
            return int(sample["doc"][name])
    continuations = [continuation.strip() for _, continuation in sample["arguments"]]
    if len(set(continuations)) == 1:  # Winogrande: beginnings are compared
        return int(sample["doc"]["answer"]) - 1
    target = str(sample["target"])
    if target.isdecimal():
        return int(target)
    return continuations.index(target.strip())
