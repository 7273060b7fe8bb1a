"""Samplers that draw a replacement from a prior's candidates: top-k, top-p and rejection.

A sampler gets log-probabilities ``[m, c]`` of c candidates at m positions, most probable first,
with minus infinity where a candidate is not allowed. It computes its exact ``distribution`` over
them and draws by inverting its cumulative sum at a uniform number. Rejection sampling draws in
rounds instead; its distribution is that of their outcome.

Each uniform number is keyed by (seed, generation, document id, position). Draws therefore do not
depend on batches, shards, workers or the order of documents.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from toedit.plugins import is_plugin, make_plugin
from toedit.rules import EditRule

NUCLEUS_CANDIDATES = 64
"""Maximum number of candidates of top-p."""

CHUNK = 1 << 20
"""Random numbers generated at once, which bounds the memory of a long document."""

_ZEROS = np.zeros(4, np.uint64)
_START = {"bit_generator": "Philox", "buffer": _ZEROS, "buffer_pos": 4, "has_uint32": 0,
          "uinteger": 0}  # fmt: skip
"""State of a Philox generator at the beginning of its stream, without its key."""


@dataclass(frozen=True)
class KeyedUniforms:
    """Uniform random numbers for the tokens of one or several documents.

    The numbers of a document are the stream of Philox-4x64 (Salmon et al., SC 2011) under a BLAKE2b
    key of seed, generation and id. Those of a token are at its position in the stream.

    Attributes:
        documents: ids of the documents, whose tokens are in a row.
        ends: int ``[documents]``, end of the tokens of each; empty for a single document.
        seed: seed of the run.
        generation: how many times the texts were edited before; without it an unchanged context
            would repeat the same draw.
    """

    documents: Sequence[str]
    ends: Sequence[int] | np.ndarray = ()
    seed: int = 0
    generation: int = 0

    def __call__(self, positions: np.ndarray, draws: int) -> np.ndarray:
        """Return ``draws`` numbers at each position, float64 ``[m, draws]`` in [0, 1).

        ``positions`` are int ``[m]``, ascending token indices over all documents.
        """
        if not len(positions):
            return np.zeros((0, draws))
        stream = np.random.Philox()
        ends = np.array(self.ends if len(self.ends) else [positions[-1] + 1])
        stops = np.searchsorted(positions, ends)
        starts = np.concatenate([[0], ends[:-1]])
        in_document = positions - np.repeat(starts, np.diff(stops, prepend=0))
        parts: list[np.ndarray] = []
        first = 0
        for document, stop in zip(self.documents, stops.tolist(), strict=True):
            if stop > first:
                self._seed(stream, document)
                parts += _rows(stream, in_document[first:stop], draws)
            first = stop
        return (np.concatenate(parts) >> np.uint64(11)) * 2.0**-53

    def _seed(self, stream: np.random.Philox, document: str) -> None:
        """Set a stream to the beginning of a document's, which is faster than making a new one."""
        identity = f"{self.seed}\x1f{self.generation}\x1f{document}"
        digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        key = np.frombuffer(digest, dtype="<u8")
        start: Any = {**_START, "state": {"counter": _ZEROS, "key": key}}
        stream.state = start


def _rows(stream: np.random.Philox, positions: np.ndarray, draws: int) -> list[np.ndarray]:
    """Return the rows of a stream at some positions, ``[m, draws]`` in parts."""
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
    """Sum rows from left to right, ``[m, 1]``.

    ``values.sum`` adds in an order that depends on the number of rows, which changes the last bit.
    """
    return values.cumsum(axis=1)[:, -1:]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Compute the softmax of each row of ``[m, c]``, which needs one finite entry."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / row_sums(weights)


def inverse_cdf(probabilities: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Draw a column index in each row of ``[m, c]`` by uniform numbers ``[m]``."""
    cumulative = probabilities.cumsum(axis=1)
    total = cumulative[:, -1:]
    # The second condition is for a product that rounds up to the total.
    reached = (cumulative > uniforms[:, None] * total) | (cumulative == total)
    return (~reached).sum(axis=1)


class Sampler(Protocol):
    """Interface of a sampler."""

    @property
    def draws(self) -> int:
        """Uniform numbers per position."""
        ...

    @property
    def may_give_up(self) -> bool:
        """Whether :meth:`draw` may return -1, which keeps the source token; if missing, it may."""
        ...

    def support(self, logprobs: np.ndarray) -> np.ndarray:
        """Mark the candidates that this sampler considers, bool ``[m, c]``."""
        ...

    def distribution(self, logprobs: np.ndarray) -> np.ndarray:
        """Compute the exact probability of each candidate, float64 ``[m, c]``.

        What a row lacks to 1 is the probability that the sampler gives up.
        """
        ...

    def draw(
        self, logprobs: np.ndarray, probabilities: np.ndarray, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a column in each row from uniforms ``[m, draws]``, given :meth:`distribution`.

        Returns:
            int ``[m]`` each: the columns, -1 if the sampler gave up, and the number of proposals.
        """
        ...


@dataclass(frozen=True)
class TopK:
    """Softmax of log p / temperature over the k most probable candidates."""

    k: int = 8
    temperature: float = 1.0
    draws: int = 1
    may_give_up: ClassVar[bool] = False

    def support(self, logprobs: np.ndarray) -> np.ndarray:
        return (np.arange(logprobs.shape[1]) < self.k) & np.isfinite(logprobs)

    def distribution(self, logprobs: np.ndarray) -> np.ndarray:
        return softmax(logprobs / self.temperature)

    def draw(
        self, logprobs: np.ndarray, probabilities: np.ndarray, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        column = inverse_cdf(probabilities, uniforms[:, 0])
        return column, np.ones(len(column), int)


@dataclass(frozen=True)
class TopP(TopK):
    """The smallest set of candidates with total probability ``top_p`` (Holtzman et al., 2020).

    The set is chosen at temperature 1 among the first :data:`NUCLEUS_CANDIDATES`; temperature acts
    inside it. If the source token alone has probability ``top_p``, it is the whole set, so a rule
    with threshold >= top_p changes nothing.
    """

    top_p: float = 0.99

    def support(self, logprobs: np.ndarray) -> np.ndarray:
        before = np.exp(logprobs.astype(np.float64)).cumsum(axis=1) - np.exp(logprobs)
        within = np.arange(logprobs.shape[1]) < NUCLEUS_CANDIDATES
        return (before < self.top_p) & within & np.isfinite(logprobs)


@dataclass(frozen=True)
class Rejection(TopK):
    """Statistical rejection sampling (arXiv 2309.06657, algorithm 1) with reward r = log p.

    A proposed candidate is accepted with probability exp((r - r_max) / beta). Uniform proposals
    give draws from p^(1/beta), proposals from the prior p^(1 + 1/beta).
    """

    beta: float = 1.0
    proposal: str = "uniform"
    max_rounds: int = 64
    may_give_up: ClassVar[bool] = True

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
        columns = np.full(len(logprobs), -1)
        rounds = np.zeros(len(logprobs), int)
        for round_ in range(self.max_rounds):
            rounds += columns < 0
            proposed = inverse_cdf(proposal, uniforms[:, 2 * round_])
            accepted = uniforms[:, 2 * round_ + 1] < acceptance[rows, proposed]
            columns = np.where((columns < 0) & accepted, proposed, columns)
            if (columns >= 0).all():
                break
        return columns, rounds


def make_sampler(rule: EditRule) -> Sampler | None:
    """Make the sampler of a rule; None for the no-edit control.

    Raises:
        UserError: a ``module:Class`` sampler cannot be made.
    """
    if is_plugin(rule.sampler):
        return make_plugin(rule.sampler, "sampler", rule, **rule.arguments)
    if rule.sampler == "top_k":
        return TopK(rule.k, rule.temperature)
    if rule.sampler == "top_p":
        return TopP(temperature=rule.temperature, top_p=rule.top_p)
    if rule.sampler == "rejection":
        return Rejection(
            rule.k, rule.temperature, 2 * rule.max_rounds, rule.beta, rule.proposal, rule.max_rounds
        )
    return None
