"""A prior from transformers: one forward pass per window, with the output layer in chunks.

The body runs on a batch of windows. The output layer then runs on some rows at a time in the
model's dtype, so that the logits of a whole batch never exist. Log-probabilities are normalised in
float32, and alternatives are searched only in rows of the caller's range.

There is no attention mask: windows are padded on the right and attention is causal, so no token
attends to padding, and the fast attention kernels apply.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from toedit.document import Tokens, Window
from toedit.errors import UserError, short
from toedit.priors.base import CandidateRange
from toedit.priors.precision import keep_float32, products_in
from toedit.priors.windowed import WindowedPrior, WindowScores

log = logging.getLogger(__name__)

HEAD_ROWS = 256
"""Rows of the output layer computed at once: 50 MB of float32 at a vocabulary of 49,152."""

MIN_FILL = 0.95
"""A window joins a batch only if its length is at least this share of the longest window's."""
BLOCK = 128
"""Columns in a block of :func:`largest`."""
EXACT = 8
"""Logits of a row, the largest, that a model in half precision computes again in float32."""


def pick_device(name: str) -> str:
    """Return a torch device; ``auto`` is the first GPU, else the CPU."""
    return name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def multiplied(model: Any) -> int:
    """Count the weights that each token is multiplied by: all but an untied input embedding."""
    inputs, head = model.get_input_embeddings(), model.get_output_embeddings()
    looked_up = 0 if inputs.weight is head.weight else inputs.weight.numel()
    return sum(weights.numel() for weights in model.parameters()) - looked_up


def compile_layers(model: Any) -> None:
    """Compile the layer of a model, once for all of its layers and for windows of any length."""
    for module in model.modules():
        if type(module).__name__ in (model._no_split_modules or ()):
            module.compile(dynamic=True)


def largest(values: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k largest values of each row and their columns, as ``topk`` does.

    The k largest values are in the k blocks of columns with the largest maxima, so only those
    blocks are searched. Over a vocabulary this takes a tenth of the time of ``topk`` on a CPU.

    Args:
        values: ``[m, v]``.
        k: number of values, at most v.

    Returns:
        Values and int64 columns ``[m, k]``, largest first.
    """
    rows, columns = values.shape
    if columns <= BLOCK * k:
        return values.topk(k, dim=1)
    padded = torch.nn.functional.pad(values, (0, -columns % BLOCK), value=-torch.inf)
    blocks = padded.view(rows, -1, BLOCK)
    chosen = blocks.amax(dim=2).topk(k, dim=1).indices
    searched = blocks.gather(1, chosen[:, :, None].expand(-1, -1, BLOCK)).flatten(1)
    top, column = searched.topk(k, dim=1)
    return top, chosen.gather(1, column // BLOCK) * BLOCK + column % BLOCK


class HFPrior(WindowedPrior):
    """A causal language model of transformers as a prior; see :class:`WindowedPrior`.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its fast tokenizer.
        batch_tokens: maximum tokens in a batch, padding included.
        ensemble: further models with the same tokenizer; probabilities are averaged over all.
        compile_: run the layers through ``torch.compile``, which takes half a minute at first.

    Raises:
        UserError: model and tokenizer do not match, or the model's logits are not its output layer
            applied to its last hidden state.
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
        for member in self.members:
            if member.get_output_embeddings() is None:
                raise UserError(f"{type(member).__name__} has no output layer: it is no prior")
        rows = self.head.weight.shape[0]
        for member in ensemble:
            member_rows = member.get_output_embeddings().weight.shape[0]
            if member_rows != rows:
                raise UserError(
                    f"the priors of an ensemble must share a vocabulary; one has {member_rows} "
                    f"rows, another {rows}"
                )
        limit = getattr(model.config, "max_position_embeddings", None)
        super().__init__(tokenizer, rows, limit, max_length, overlap)
        self.device = next(model.parameters()).device
        self.batch_tokens = batch_tokens
        self._buffer: torch.Tensor | None = None
        for member in self.members:
            keep_float32(member)
            self._check_head(member)
        self.flops_per_token = sum(2 * multiplied(member) for member in self.members)
        self._bodies = [member.base_model for member in self.members]
        if compile_:
            for member in self.members:
                compile_layers(member)

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
                remaining = [job for part in (batch, *waiting) for job in part]
                waiting = deque(self._batches(remaining))

    def _batches(self, jobs: list[tuple[int, Window]]) -> Iterator[list[tuple[int, Window]]]:
        """Group windows of similar length into batches, longest first."""
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
        """Score a batch of windows by one forward pass."""
        width = len(self.prefix) + max(w.stop - w.start for _, w in batch)
        inputs = torch.zeros((len(batch), width), dtype=torch.long)
        states_before, targets, spans = [], [], []
        for row, (document, window) in enumerate(batch):
            ids = self.inputs(documents, (document, window))
            inputs[row, : len(ids)] = torch.tensor(ids)
            positions = self.scored_positions(window)
            # The hidden state before a token predicts it.
            states_before.append(row * width + positions - window.start + len(self.prefix) - 1)
            targets.append(documents[document].ids[positions])
            spans.append((document, positions))
        inputs = inputs.to(self.device)
        with products_in(self.model.dtype, self.device):
            hidden = [
                body(input_ids=inputs, use_cache=False).last_hidden_state.flatten(0, 1)
                for body in self._bodies
            ]
        index = torch.from_numpy(np.concatenate(states_before)).to(self.device)
        target = torch.from_numpy(np.concatenate(targets).astype(np.int64)).to(self.device)
        logprobs, rows, ids, values = self._score_rows(
            [states[index] for states in hidden], target, candidates
        )
        scores, start = [], 0
        for document, positions in spans:
            end = start + len(positions)
            part = slice(*np.searchsorted(rows, [start, end]))
            arrays = logprobs[start:end], rows[part] - start, ids[part], values[part]
            scores.append(WindowScores(document, positions, *arrays))
            start = end
        return scores

    def _score_rows(
        self, hidden: list[torch.Tensor], targets: torch.Tensor, candidates: CandidateRange
    ):
        """Score ``targets`` [r] given the hidden states [r, d] of each member model.

        Returns:
            Log-probabilities ``[r]``, rows ``[m]`` with alternatives, their ids and
            log-probabilities ``[m, k]``.
        """
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
            in_range = ((logprobs >= lower) | (logprobs <= upper)).nonzero()[:, 0]
            if len(in_range):
                top, top_ids = largest(weights[in_range], candidates.k)
                rows.append(in_range + start)
                ids.append(top_ids)
                values.append(top.log() - log_mass[in_range])
        return (
            torch.cat(scores).cpu().numpy() if scores else np.zeros(0, np.float32),
            torch.cat(rows).cpu().numpy() if rows else np.zeros(0, np.int64),
            torch.cat(ids).cpu().numpy() if ids else np.zeros((0, candidates.k), np.int64),
            torch.cat(values).cpu().numpy() if values else np.zeros((0, candidates.k), np.float32),
        )

    def _mean_probabilities(self, hidden: list[torch.Tensor]) -> torch.Tensor:
        """Average the probabilities of the member models, float32 ``[r, v]``."""
        total = torch.zeros((), device=self.device)
        for model, states in zip(self.members, hidden, strict=True):
            total = total + self._logits(model, states).softmax(dim=1)
        return total / len(self.members)

    def _logits(self, model: Any, hidden: torch.Tensor) -> torch.Tensor:
        """Apply the output layer, float32 ``[r, v]``; the result is valid until the next call."""
        head = model.get_output_embeddings()
        linear = type(head) is torch.nn.Linear and head.bias is None
        if linear and head.weight.dtype != torch.float32:
            # Half precision rounds a logit of 20 by up to 1/16, and the largest decide.
            logits = head(hidden.to(head.weight.dtype)).float()
            columns = largest(logits, min(EXACT, logits.shape[1]))[1]
            rows = head.weight[columns].float()
            return logits.scatter_(1, columns, (rows @ hidden.float()[:, :, None])[:, :, 0])
        if not linear or hidden.device.type != "cpu":
            return head(hidden.to(head.weight.dtype)).float()
        # One buffer for all chunks: allocating this much memory costs a tenth of the product.
        if self._buffer is None:
            self._buffer = hidden.new_empty(HEAD_ROWS, head.weight.shape[0])
        return torch.mm(hidden, head.weight.T, out=self._buffer[: len(hidden)])

    @torch.inference_mode()
    def _check_head(self, model: Any) -> None:
        """Refuse a model that transforms its logits after the output layer (soft caps, scales)."""
        head = model.get_output_embeddings()
        probe = torch.arange(1, 9, device=self.device)[None] % head.weight.shape[0]
        try:
            with products_in(model.dtype, self.device):
                expected = model(input_ids=probe, use_cache=False).logits
                actual = head(model.base_model(input_ids=probe, use_cache=False).last_hidden_state)
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise UserError(f"{type(model).__name__} cannot score text: {short(error)}") from error
        if not expected.isfinite().all():
            raise UserError(
                f"the logits of {type(model).__name__} are not finite; try dtype=float32"
            )
        if not torch.allclose(expected.float(), actual.float(), rtol=1e-2, atol=1e-2):
            raise UserError(
                f"{type(model).__name__} changes its logits after the output layer, which "
                "chunked scoring would miss; use a prior whose logits are its output layer's"
            )
