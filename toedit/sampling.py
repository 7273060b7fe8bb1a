"""Drawing a replacement from a prior's candidates: top-k, top-p and rejection, behind one verb.

A sampler sees log-probabilities ``[m, c]`` of c candidates at m positions, most probable first,
with minus infinity where a candidate is not allowed. It states its exact ``distribution`` over
them; a draw is the inverse of that distribution's cumulative sum at one uniform number. Rejection
sampling draws by its rounds instead, and its distribution is what they amount to.

Every uniform number is keyed by (seed, generation, document id, position), so that a draw does not
depend on batches, shards, workers or the order of documents.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from toedit.plugins import is_plugin, load_plugin
from toedit.rules import EditRule

NUCLEUS_CANDIDATES = 64
"""Alternatives kept for top-p: a nucleus ends at this many tokens."""


def keyed_uniforms(
    seed: int, generation: int, document: str, positions: int, draws: int
) -> np.ndarray:
    """Uniform numbers of one document, a row a token position.

    The stream is Philox-4x64 (Salmon et al., SC 2011) under a BLAKE2b key; a position's row depends
    on the key and the position alone.

    Args:
        seed: the run's seed.
        generation: how many times this text was edited before; without it an unchanged context
            would repeat the same draw for ever.
        document: the document's id.
        positions: tokens in the document.
        draws: numbers a position.

    Returns:
        float64 ``[positions, draws]`` in [0, 1).
    """
    identity = f"{seed}\x1f{generation}\x1f{document}".encode("utf-8", "surrogatepass")
    key = np.frombuffer(hashlib.blake2b(identity, digest_size=16).digest(), dtype="<u8")
    raw = np.random.Philox(key=key).random_raw(positions * draws)
    return ((raw >> np.uint64(11)) * 2.0**-53).reshape(positions, draws)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise softmax of ``[m, c]``; each row needs one finite entry."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def inverse_cdf(probabilities: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Column index drawn in each row of ``[m, c]`` by uniform numbers ``[m]``."""
    cumulative = probabilities.cumsum(axis=1)
    total = cumulative[:, -1:]
    # The second condition catches a product that rounds up to the total itself.
    return ((cumulative > uniforms[:, None] * total) | (cumulative == total)).argmax(axis=1)


class Sampler(Protocol):
    """What editing needs of a sampler; a new one is a class with these members."""

    @property
    def draws(self) -> int:
        """Uniform numbers needed a position."""
        ...

    def support(self, logprobs: np.ndarray) -> np.ndarray:
        """bool ``[m, c]``: the candidates this sampler considers, before any is disallowed."""
        ...

    def distribution(self, logprobs: np.ndarray) -> np.ndarray:
        """float64 ``[m, c]``: exact probability of each candidate; a row may sum to less than 1
        where the sampler can give up, which keeps the source token."""
        ...

    def draw(self, logprobs: np.ndarray, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int ``[m]`` each: the column drawn in each row from uniforms ``[m, draws]``, or -1 where
        it gave up, and the proposals this took."""
        ...


@dataclass(frozen=True)
class TopK:
    """The k most probable candidates, softmax of log p / temperature."""

    k: int = 8
    temperature: float = 1.0
    draws: int = 1

    def support(self, logprobs: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.arange(logprobs.shape[1]) < self.k, logprobs.shape) & np.isfinite(
            logprobs
        )

    def distribution(self, logprobs: np.ndarray) -> np.ndarray:
        return softmax(logprobs / self.temperature)

    def draw(self, logprobs: np.ndarray, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        column = inverse_cdf(self.distribution(logprobs), uniforms[:, 0])
        return column, np.ones(len(column), int)


@dataclass(frozen=True)
class TopP(TopK):
    """The smallest set of candidates that holds probability ``top_p`` (Holtzman et al., 2020).

    The set is chosen at temperature 1, among the first :data:`NUCLEUS_CANDIDATES`; temperature acts
    inside it. Where the source token alone holds ``top_p`` the set is that token, so a rule with
    threshold >= top_p changes nothing.
    """

    top_p: float = 0.99

    def support(self, logprobs: np.ndarray) -> np.ndarray:
        before = np.exp(logprobs.astype(np.float64)).cumsum(axis=1) - np.exp(logprobs)
        within = np.arange(logprobs.shape[1]) < NUCLEUS_CANDIDATES
        return (before < self.top_p) & within & np.isfinite(logprobs)


@dataclass(frozen=True)
class Rejection(TopK):
    """Statistical rejection sampling (arXiv 2309.06657, algorithm 1) with reward r = log p.

    A candidate is proposed and accepted with probability exp((r - r_max) / beta). From a uniform
    proposal this draws from p^(1/beta); from the prior itself, from p^(1 + 1/beta).
    """

    beta: float = 1.0
    proposal: str = "uniform"
    max_rounds: int = 64

    def _acceptance_and_proposal(self, logprobs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        reward = logprobs.astype(np.float64) / self.temperature
        acceptance = np.exp((reward - reward.max(axis=1, keepdims=True)) / self.beta)
        flat = np.where(np.isfinite(reward), 0.0, -np.inf)
        return acceptance, softmax(reward if self.proposal == "prior" else flat)

    def distribution(self, logprobs: np.ndarray) -> np.ndarray:
        acceptance, proposal = self._acceptance_and_proposal(logprobs)
        accepted = acceptance * proposal
        rate = accepted.sum(axis=1, keepdims=True)
        return accepted / rate * (1 - (1 - rate) ** self.max_rounds)

    def draw(self, logprobs: np.ndarray, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        acceptance, proposal = self._acceptance_and_proposal(logprobs)
        rows = np.arange(len(logprobs))
        drawn = np.full(len(logprobs), -1)
        rounds = np.zeros(len(logprobs), int)
        for round_ in range(self.max_rounds):
            rounds += drawn < 0
            column = inverse_cdf(proposal, uniforms[:, 2 * round_])
            accept = uniforms[:, 2 * round_ + 1] < acceptance[rows, column]
            drawn = np.where((drawn < 0) & accept, column, drawn)
            if (drawn >= 0).all():
                break
        return drawn, rounds


def make_sampler(rule: EditRule) -> Sampler | None:
    """The sampler a rule names, or None for the no-edit control.

    Raises:
        UserError: a sampler of the user's own cannot be imported.
    """
    if is_plugin(rule.sampler):
        return load_plugin(rule.sampler)(rule)
    if rule.sampler == "top_k":
        return TopK(rule.k, rule.temperature)
    if rule.sampler == "top_p":
        return TopP(temperature=rule.temperature, top_p=rule.top_p)
    if rule.sampler == "rejection":
        return Rejection(
            rule.k, rule.temperature, 2 * rule.max_rounds, rule.beta, rule.proposal, rule.max_rounds
        )
    return None
