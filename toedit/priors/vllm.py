"""A prior served by vLLM, read through the log-probabilities it gives for prompt tokens.

The engine batches by itself. Prefix caching is off, because a prompt whose beginning is in the
cache gets no log-probabilities there. One token is generated and thrown away: vLLM has no way to
ask for none.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from toedit.document import Tokens, Window
from toedit.errors import UserError
from toedit.priors.base import CandidateRange
from toedit.priors.windowed import WindowedPrior, WindowScores

GROUP_ENTRIES = 1 << 20
"""Log-probabilities asked of the engine at once: they come as Python objects, the largest thing in
memory."""


MOST_CANDIDATES = 1024
"""Alternatives of a token that an engine is told to allow; what is not asked for costs nothing."""


def load_engine(model: str, revision: str | None, dtype: str, max_length: int) -> Any:
    """A vLLM engine that gives log-probabilities of prompt tokens.

    Raises:
        UserError: vllm is not installed.
    """
    try:
        from vllm import LLM
    except ImportError as error:
        raise UserError(
            "prior.kind=vllm needs the package vllm: pip install 'toedit[vllm]'"
        ) from error
    return LLM(
        model=model,
        revision=revision,
        dtype=dtype,
        max_model_len=max_length + 1,  # and the token that is thrown away
        max_logprobs=MOST_CANDIDATES,
        enable_prefix_caching=False,
        trust_remote_code=False,
        seed=0,
    )


class VLLMPrior(WindowedPrior):
    """A causal language model in vLLM as a prior.

    Args:
        engine: a ``vllm.LLM`` without prefix caching.
        tokenizer: the model's fast tokenizer.
        rows: rows of the model's output layer.
        limit: most tokens the model takes.
        max_length: most tokens in one forward pass.
        overlap: tokens of context that a later window of a long document repeats.
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
        each = (self.window + 1) * (candidates.k + 1)
        step = max(1, GROUP_ENTRIES // each)
        for start in range(0, len(jobs), step):
            group = jobs[start : start + step]
            prompts = [TokensPrompt(prompt_token_ids=self.inputs(documents, job)) for job in group]
            answers = self.engine.generate(prompts, settings, use_tqdm=False)
            for (document, window), answer in zip(group, answers, strict=True):
                positions = self.scored_positions(window)
                places = positions - window.start + len(self.prefix)
                given = [answer.prompt_logprobs[i] for i in places]
                scores = from_dictionaries(given, documents[document].ids[positions], candidates)
                yield WindowScores(document, positions, *scores)


def from_dictionaries(
    given: Sequence[Mapping[int, Any]], targets: np.ndarray, candidates: CandidateRange
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What vLLM says of prompt tokens, as arrays.

    Args:
        given: for each token a mapping from token id to an object with ``logprob``, which holds the
            token itself and the k most probable ones.
        targets: int ``[n]``, the tokens.
        candidates: where alternatives are kept, and how many.

    Returns:
        Log-probabilities ``[n]``, rows ``[m]`` with alternatives, their ids and log-probabilities
        ``[m, k]``, most probable first.
    """
    logprobs = np.array(
        [entry[token].logprob for entry, token in zip(given, targets.tolist(), strict=True)],
        np.float32,
    ).clip(max=0.0)
    if np.isnan(logprobs).any():
        raise ValueError("the prior's probabilities are not numbers (overflow?)")
    lower, upper = candidates.log_bounds()
    rows = ((logprobs >= lower) | (logprobs <= upper)).nonzero()[0]
    ids = np.zeros((len(rows), candidates.k), np.int32)
    values = np.zeros((len(rows), candidates.k), np.float32)
    for place, row in enumerate(rows.tolist()):
        best = sorted(given[row].items(), key=lambda item: -item[1].logprob)[: candidates.k]
        ids[place] = [token for token, _ in best]
        values[place] = [entry.logprob for _, entry in best]
    return logprobs, rows, ids, values
