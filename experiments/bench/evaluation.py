"""Benchmarks of evaluation against stock lm-eval, with the batch size that suits it best."""

import math
from functools import partial
from typing import Any

from evals import harness
from evals.heldout import held_out
from evals.rows import row_of
from evals.suites import SUITES
from experiments.bench.compare import Side, timed
from experiments.bench.editing import documents, embedded_prior

ITEMS, BATCH = 16, 8
BATCHES = (1, 4, 16)
"""Of stock lm-eval, which runs with the fastest of these."""
CLOSE = {"abs_tol": 1e-4, "rel_tol": 1e-5}
"""Equal log-probabilities of options, in nats: of 91 tokens lm-eval's own error is 8e-4, of which
ours has a tenth (both against float64)."""

TASKS = {task.name: task for tasks in SUITES.values() for task in tasks if task.embedded}


def _stock(prior: Any, batch: int) -> Any:
    from lm_eval.models.huggingface import HFLM

    return HFLM(prior.model, tokenizer=prior.tokenizer, batch_size=batch, softmax_dtype="float32")


def multiple_choice(name: str) -> tuple[Side, Side, int]:
    """Evaluating a task, from items to log-probabilities of options.

    Raises:
        ValueError: stock lm-eval computes other log-probabilities or chooses other options.
    """
    from lm_eval.evaluator import simple_evaluate

    task, prior = TASKS[name], embedded_prior()

    def stock(batch: int) -> list[dict[str, Any]]:
        manager, loaded = harness._load(task, None, {})
        results = simple_evaluate(
            _stock(prior, batch), tasks=[loaded], num_fewshot=task.shots, limit=ITEMS,
            task_manager=manager, bootstrap_iters=0, log_samples=True,
        )  # fmt: skip
        return [row_of(task, sample) for sample in results["samples"][name]]

    ours = partial(harness.evaluate_task, prior.model, prior.tokenizer, task, ITEMS, BATCH)
    for own, theirs in zip(ours(), stock(1), strict=True):
        pairs = zip(own["option_logprobs"], theirs["option_logprobs"], strict=True)
        same = all(math.isclose(a, b, **CLOSE) for a, b in pairs)
        if not same or own["prediction"] != theirs["prediction"]:
            raise ValueError(f"{name}, item {own['item']}: stock lm-eval finds another answer")
    tokens = round(ITEMS * task.prompt_tokens)
    best = min(BATCHES, key=lambda batch: timed(partial(stock, batch))())
    return timed(ours), timed(partial(stock, best)), tokens


def rolling() -> tuple[Side, Side, int]:
    """Perplexity of held-out documents, by the scorer of editing and by lm-eval's windows."""
    from lm_eval.api.instance import Instance

    prior, texts = embedded_prior(), documents(8)

    def stock(batch: int) -> None:
        requests = [Instance("loglikelihood_rolling", {}, (d.text,), 0) for d in texts]
        _stock(prior, batch).loglikelihood_rolling(requests, disable_tqdm=True)

    best = min(BATCHES, key=lambda batch: timed(partial(stock, batch))())
    tokens = sum(len(prior.tokenize(d.text)) for d in texts)
    return timed(lambda: held_out(prior, texts)), timed(partial(stock, best)), tokens
