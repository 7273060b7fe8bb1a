"""A prior in vLLM, scored by the log-probabilities of prompt tokens.

The engine batches by itself. Prefix caching is off, because cached prompt tokens get no
log-probabilities. One token is generated and dropped, because vLLM cannot generate none.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from toedit.document import Tokens, Window
from toedit.errors import UserError
from toedit.priors.base import CandidateRange
from toedit.priors.checkpoint import check_files
from toedit.priors.loading import explain_loading, load_config, located
from toedit.priors.windowed import WindowedPrior, WindowScores

GROUP_ENTRIES = 1 << 20
"""Log-probabilities requested at once; they are Python objects and take most of the memory."""

MOST_CANDIDATES = 1024
"""Maximum number of alternatives of a token; those that are not requested cost nothing."""


def load_engine(model: str, revision: str | None, dtype: str, max_length: int) -> Any:
    """Start a vLLM engine that returns log-probabilities of prompt tokens.

    Raises:
        UserError: vllm is not installed, or cannot load the model.
    """
    try:
        from vllm import LLM
    except ImportError as error:
        raise UserError(
            "prior.kind=vllm needs the package vllm: pip install 'toedit[vllm]'"
        ) from error
    with explain_loading("model", model):
        place, commit = located(model, revision)
        check_files(place, commit, load_config(model, revision))
        return LLM(
            model=place,
            revision=commit,
            dtype=dtype,
            max_model_len=max_length + 1,  # and the generated token
            max_logprobs=MOST_CANDIDATES,
            enable_prefix_caching=False,
            trust_remote_code=False,
            seed=0,
        )


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
