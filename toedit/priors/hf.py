"""A prior from transformers: one forward pass a text, the output layer in chunks.

The logits of a whole batch over the vocabulary are never held at once. The body runs on a batch of
windows; the output layer then runs on some rows at a time, in the model's dtype, and leaves each
row's log-probability, normalised in float32. Alternatives are taken from a row only where the
caller's range asks for them.

No attention mask is used: windows are padded on the right and attention is causal, so no real token
ever sees padding, and the fast attention kernels apply.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from toedit.document import Tokens, Window
from toedit.errors import UserError
from toedit.priors.base import CandidateRange
from toedit.priors.windowed import WindowedPrior, WindowScores

log = logging.getLogger(__name__)

HEAD_ROWS = 256
"""Rows of the output layer computed at once: 50 MB of float32 at a vocabulary of 49,152."""

MIN_FILL = 0.95
"""A window joins a batch only if it is at least this share of the longest one in it."""


def pick_device(name: str) -> str:
    """The torch device a configuration names; ``auto`` is the first GPU, else the CPU."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def multiplied(model: Any) -> int:
    """Weights that every token is multiplied with: all but an input embedding of its own."""
    inputs, head = model.get_input_embeddings(), model.get_output_embeddings()
    looked_up = 0 if inputs.weight is head.weight else inputs.weight.numel()
    return sum(weights.numel() for weights in model.parameters()) - looked_up


BLOCK = 128
"""Columns whose maximum is taken before a search for the largest values."""


def largest(values: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest values of each row and their columns, as ``topk`` gives them.

    The k largest lie in the k blocks of columns with the largest maxima, so only those blocks are
    searched: over a vocabulary this takes a tenth of the time of ``topk`` on a CPU.

    Args:
        values: ``[m, v]``, at least 0.
        k: how many, at most v.

    Returns:
        Values and int64 columns ``[m, k]``, largest first.
    """
    rows, columns = values.shape
    if columns <= BLOCK * k:
        return values.topk(k, dim=1)
    blocks = torch.nn.functional.pad(values, (0, -columns % BLOCK), value=-1.0).view(
        rows, -1, BLOCK
    )
    chosen = blocks.amax(dim=2).topk(k, dim=1).indices
    inside = blocks.gather(1, chosen[:, :, None].expand(-1, -1, BLOCK)).flatten(1)
    top, place = inside.topk(k, dim=1)
    return top, chosen.gather(1, place // BLOCK) * BLOCK + place % BLOCK


class HFPrior(WindowedPrior):
    """A causal language model of transformers as a prior.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its fast tokenizer.
        max_length: most tokens in one forward pass.
        overlap: tokens of context that a later window of a long document repeats.
        batch_tokens: most tokens in a batch, padding included.
        ensemble: further models with the same tokenizer; probabilities are averaged over all.
        compile_: run the body through ``torch.compile``, which pays on a GPU and long corpora.

    Raises:
        UserError: model and tokenizer do not fit each other, or the model's logits are not its
            output layer applied to its last hidden state.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        max_length: int = 2048,
        overlap: int = 256,
        batch_tokens: int = 2048,
        ensemble: Sequence[Any] = (),
        compile_: bool = False,
    ) -> None:
        self.model, self.head = model, model.get_output_embeddings()
        self.members = [model, *ensemble]
        rows = self.head.weight.shape[0]
        for other in ensemble:
            others = other.get_output_embeddings().weight.shape[0]
            if others != rows:
                raise UserError(
                    f"the priors of an ensemble must share a vocabulary; one has {others} rows, "
                    f"another {rows}"
                )
        limit = getattr(model.config, "max_position_embeddings", None)
        super().__init__(tokenizer, rows, limit, max_length, overlap)
        self.device = next(model.parameters()).device
        self.batch_tokens = batch_tokens
        self._buffer: torch.Tensor | None = None
        for member in self.members:
            self._check_head(member)
        self.flops_per_token = sum(2 * multiplied(member) for member in self.members)
        # Compiled once for windows of every length; the output layer stays as it is.
        self._bodies = [
            torch.compile(m.base_model, dynamic=True) if compile_ else m.base_model
            for m in self.members
        ]

    @torch.inference_mode()
    def score_windows(
        self,
        documents: Sequence[Tokens],
        jobs: list[tuple[int, Window]],
        candidates: CandidateRange,
    ) -> Iterator[WindowScores]:
        waiting = deque(self._batches(jobs))
        while waiting:
            batch = waiting.popleft()
            try:
                yield from self._forward(documents, batch, candidates)
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise UserError(
                        f"{self.device} has too little memory for a window of "
                        f"{batch[0][1].stop - batch[0][1].start} tokens; set max_length lower, or "
                        "use a smaller prior or dtype=bfloat16"
                    ) from error
                longest = max(window.stop - window.start for _, window in batch)
                self.batch_tokens = (len(batch) + 1) // 2 * longest
                log.warning("too little memory: batches of %d tokens from here", self.batch_tokens)
                left = [job for part in (batch, *waiting) for job in part]
                waiting = deque(self._batches(left))

    def _batches(self, jobs: list[tuple[int, Window]]) -> Iterator[list[tuple[int, Window]]]:
        batch: list[tuple[int, Window]] = []
        for job in sorted(jobs, key=lambda job: -(job[1].stop - job[1].start)):
            length = job[1].stop - job[1].start
            longest = batch[0][1].stop - batch[0][1].start if batch else length
            if batch and (
                (len(batch) + 1) * longest > self.batch_tokens or length < MIN_FILL * longest
            ):
                yield batch
                batch = []
            batch.append(job)
        if batch:
            yield batch

    def _forward(
        self,
        documents: Sequence[Tokens],
        batch: list[tuple[int, Window]],
        candidates: CandidateRange,
    ) -> list[WindowScores]:
        """One forward pass over a batch."""
        width = len(self.prefix) + max(w.stop - w.start for _, w in batch)
        inputs = torch.zeros((len(batch), width), dtype=torch.long)
        places, targets, spans = [], [], []
        for row, (document, window) in enumerate(batch):
            ids = self.inputs(documents, (document, window))
            inputs[row, : len(ids)] = torch.tensor(ids)
            positions = self.scored_positions(window)
            # The hidden state before a token predicts it.
            before = positions - window.start + len(self.prefix) - 1
            places.append(row * width + before)
            targets.append(documents[document].ids[positions])
            spans.append((document, positions))
        inputs = inputs.to(self.device)
        hidden = [
            body(input_ids=inputs, use_cache=False).last_hidden_state.flatten(0, 1)
            for body in self._bodies
        ]
        place = torch.from_numpy(np.concatenate(places)).to(self.device)
        target = torch.from_numpy(np.concatenate(targets).astype(np.int64)).to(self.device)
        scores, rows, ids, values = self._score_rows(
            [states[place] for states in hidden], target, candidates
        )
        found, offset = [], 0
        for document, positions in spans:
            end = offset + len(positions)
            low, high = np.searchsorted(rows, [offset, end])
            found.append(
                WindowScores(
                    document,
                    positions,
                    scores[offset:end],
                    rows[low:high] - offset,
                    ids[low:high],
                    values[low:high],
                )
            )
            offset = end
        return found

    def _score_rows(
        self, hidden: list[torch.Tensor], targets: torch.Tensor, candidates: CandidateRange
    ):
        """Log-probabilities of ``targets`` [r] given ``hidden`` [r, d] of each member model."""
        lower, upper = candidates.log_bounds()
        scores, rows, ids, values = [], [], [], []
        for start in range(0, len(targets), HEAD_ROWS):
            chunk = slice(start, start + HEAD_ROWS)
            target = targets[chunk, None]
            if len(self.members) == 1:
                logits = self._logits(self.model, hidden[0][chunk])
                chosen = logits.gather(1, target)
                peak = logits.amax(dim=1, keepdim=True)
                weights = logits.sub_(peak).exp_()  # in place: the largest thing in memory
                log_mass = weights.sum(dim=1, keepdim=True).log_()
                logprobs = (chosen - peak - log_mass).clamp_(max=0.0)[:, 0]
            else:
                weights = self._mean_probabilities([states[chunk] for states in hidden])
                log_mass = weights.new_zeros(len(weights), 1)
                logprobs = weights.gather(1, target).log().clamp_(max=0.0)[:, 0]
            if logprobs.isnan().any():
                raise ValueError("the prior's probabilities are not numbers (overflow?)")
            scores.append(logprobs)
            wanted = ((logprobs >= lower) | (logprobs <= upper)).nonzero()[:, 0]
            if len(wanted):
                top, top_ids = largest(weights[wanted], candidates.k)
                rows.append(wanted + start)
                ids.append(top_ids)
                values.append(top.log() - log_mass[wanted])
        return (
            torch.cat(scores).cpu().numpy() if scores else np.zeros(0, np.float32),
            torch.cat(rows).cpu().numpy() if rows else np.zeros(0, np.int64),
            torch.cat(ids).cpu().numpy() if ids else np.zeros((0, candidates.k), np.int64),
            torch.cat(values).cpu().numpy() if values else np.zeros((0, candidates.k), np.float32),
        )

    def _mean_probabilities(self, hidden: list[torch.Tensor]) -> torch.Tensor:
        """Probabilities averaged over the member models, float32 ``[r, v]``."""
        total = torch.zeros((), device=self.device)
        for model, states in zip(self.members, hidden, strict=True):
            total = total + self._logits(model, states).softmax(dim=1)
        return total / len(self.members)

    def _logits(self, model: Any, hidden: torch.Tensor) -> torch.Tensor:
        """The output layer on some rows, float32 ``[r, v]``; valid until the next call."""
        head = model.get_output_embeddings()
        plain = type(head) is torch.nn.Linear and head.bias is None
        if not plain or hidden.device.type != "cpu" or hidden.dtype != torch.float32:
            return head(hidden).float()
        # One buffer for all chunks: fresh memory of this size costs a tenth of the product itself.
        if self._buffer is None:
            self._buffer = hidden.new_empty(HEAD_ROWS, head.weight.shape[0])
        return torch.mm(hidden, head.weight.T, out=self._buffer[: len(hidden)])

    @torch.inference_mode()
    def _check_head(self, model: Any) -> None:
        """Refuses models that transform their logits after the output layer (soft caps, scales)."""
        head = model.get_output_embeddings()
        probe = torch.arange(1, 9, device=self.device)[None] % head.weight.shape[0]
        expected = model(input_ids=probe, use_cache=False).logits
        actual = head(model.base_model(input_ids=probe, use_cache=False).last_hidden_state)
        if not expected.isfinite().all():
            raise UserError(
                f"the logits of {type(model).__name__} are not finite; try dtype=float32"
            )
        if not torch.allclose(expected.float(), actual.float(), rtol=1e-2, atol=1e-2):
            raise UserError(
                f"{type(model).__name__} changes its logits after the output layer, which "
                "chunked scoring would miss; use a prior whose logits are its output layer's"
            )
