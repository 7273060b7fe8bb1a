"""Drawing a replacement from a prior's candidates: top-k, top-p and rejection, behind one verb.

A sampler sees log-probabilities ``[m, c]`` of c candidates at m positions, most probable first,
with minus infinity where a candidate is not allowed. It states its exact ``distribution`` over
them; a draw is the inverse of that distribution's cumulative sum at one uniform number. Rejection
sampling draws by its rounds instead, and its distribution is what they amount to.

Every uniform number is keyed by (seed, generation, document id, position), so that a draw does not
depend on batches, shards, workers or the order of documents.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from toedit.plugins import is_plugin, load_plugin
from toedit.rules import EditRule

NUCLEUS_CANDIDATES = 64
"""Alternatives kept for top-p: a nucleus ends at this many tokens."""


CHUNK = 1 << 20
"""Numbers generated at once, so that a long document needs little memory."""


@dataclass(frozen=True)
class KeyedUniforms:
    """The uniform numbers of documents whose tokens stand in a row.

    A document's numbers are the stream of Philox-4x64 (Salmon et al., SC 2011) under a BLAKE2b key
    of seed, generation and id, a token's those that stand at its position.

    Attributes:
        documents: their ids.
        ends: int ``[documents]``, where the tokens of each end; a single document needs none.
        seed: the run's seed.
        generation: how many times these texts were edited before; without it an unchanged context
            would repeat the same draw for ever.
    """

    documents: Sequence[str]
    ends: Sequence[int] | np.ndarray = ()
    seed: int = 0
    generation: int = 0

    def __call__(self, positions: np.ndarray, draws: int) -> np.ndarray:
        """Numbers at some positions.

        Args:
            positions: int ``[m]``, ascending, tokens of the documents in a row.
            draws: numbers a position.

        Returns:
            float64 ``[m, draws]`` in [0, 1).
        """
        if not len(positions):
            return np.zeros((0, draws))
        stream = np.random.Philox()
        ends = np.array(self.ends if len(self.ends) else [positions[-1] + 1])
        stops = np.searchsorted(positions, ends)
        starts = np.concatenate([[0], ends[:-1]])
        own = positions - np.repeat(starts, np.diff(stops, prepend=0))
        parts: list[np.ndarray] = []
        first = 0
        for document, stop in zip(self.documents, stops.tolist(), strict=True):
            if stop > first:
                self._seed(stream, document)
                parts += _rows(stream, own[first:stop], draws)
            first = stop
        return (np.concatenate(parts) >> np.uint64(11)) * 2.0**-53

    def _seed(self, stream: np.random.Philox, document: str) -> None:
        """Sets a stream to the beginning of a document's; a new stream takes longer."""
        identity = f"{self.seed}\x1f{self.generation}\x1f{document}"
        digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        key = np.frombuffer(digest, dtype="<u8")
        start: Any = {**_START, "state": {"counter": _ZEROS, "key": key}}
        stream.state = start


_ZEROS = np.zeros(4, np.uint64)
_START = {"bit_generator": "Philox", "buffer": _ZEROS, "buffer_pos": 4, "has_uint32": 0,
               "uinteger": 0}  # fmt: skip


def _rows(stream: np.random.Philox, positions: np.ndarray, draws: int) -> list[np.ndarray]:
    """Some rows ``[m, draws]`` of a stream, in parts; ``positions`` are not empty."""
    length, step = int(positions[-1]) + 1, max(1, CHUNK // draws)
    if length <= step:
        return [stream.random_raw(length * draws).reshape(length, draws)[positions]]
    parts = []
    for start in range(0, length, step):
        raw = stream.random_raw(min(step, length - start) * draws).reshape(-1, draws)
        low, high = np.searchsorted(positions, (start, start + step))
        parts.append(raw[positions[low:high] - start])
    return parts


def row_sums(values: np.ndarray) -> np.ndarray:
    """Sums ``[m, 1]`` of rows, added from left to right however many rows there are.

    ``values.sum`` adds one row in another order than several, which would tell in the last bit.
    """
    return values.cumsum(axis=1)[:, -1:]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise softmax of ``[m, c]``; each row needs one finite entry."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / row_sums(weights)


def inverse_cdf(probabilities: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Column index drawn in each row of ``[m, c]`` by uniform numbers ``[m]``."""
    cumulative = probabilities.cumsum(axis=1)
    total = cumulative[:, -1:]
    # The second condition catches a product that rounds up to the total itself.
    reached = (cumulative > uniforms[:, None] * total) | (cumulative == total)
    return (~reached).sum(axis=1)


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

    def draw(
        self, logprobs: np.ndarray, probabilities: np.ndarray, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """int ``[m]`` each: the column drawn in each row from uniforms ``[m, draws]``, or -1 where
        it gave up, and the proposals this took; ``probabilities`` are those of
        :meth:`distribution`."""
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

    def draw(
        self, logprobs: np.ndarray, probabilities: np.ndarray, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        column = inverse_cdf(probabilities, uniforms[:, 0])
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
        rate = row_sums(accepted)
        return accepted / rate * (1 - (1 - rate) ** self.max_rounds)

    def draw(
        self, logprobs: np.ndarray, probabilities: np.ndarray, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
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
