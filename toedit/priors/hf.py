"""A prior from transformers: one forward pass a text, the output layer in chunks.

The logits of a whole batch over the vocabulary are never held at once. The body runs on a batch of
windows; the output layer then runs on some rows at a time, in the model's dtype, and leaves each
row's log-probability, normalised in float32. Alternatives are taken from a row only where the
caller's range asks for them.

No attention mask is used: windows are padded on the right and attention is causal, so no real token
ever sees padding, and the fast attention kernels apply.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from toedit.document import Tokens, Window, locate, windows
from toedit.errors import UserError
from toedit.priors.base import CandidateRange, TokenScores
from toedit.priors.vocabulary import hf_vocabulary

HEAD_ROWS = 256
"""Rows of the output layer computed at once: 50 MB of float32 at a vocabulary of 49,152."""

MIN_FILL = 0.95
"""A window joins a batch only if it is at least this share of the longest one in it."""


def pick_device(name: str) -> str:
    """The torch device a configuration names; ``auto`` is the first GPU, else the CPU."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


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


class HFPrior:
    """A causal language model of transformers as a prior.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its fast tokenizer.
        max_length: most tokens in one forward pass.
        overlap: tokens of context that a later window of a long document repeats.
        batch_tokens: most tokens in a batch, padding included.
        ensemble: further models with the same tokenizer; probabilities are averaged over all.

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
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.members, self.head = [model, *ensemble], model.get_output_embeddings()
        for other in ensemble:
            rows = other.get_output_embeddings().weight.shape[0]
            if rows != self.head.weight.shape[0]:
                raise UserError(
                    f"the priors of an ensemble must share a vocabulary; one has {rows} rows, "
                    f"another {self.head.weight.shape[0]}"
                )
        self.device = next(model.parameters()).device
        self.vocabulary = hf_vocabulary(tokenizer, self.head.weight.shape[0])
        self.batch_tokens = batch_tokens
        self._buffer: torch.Tensor | None = None
        probe = tokenizer("a").input_ids
        # A first token is conditioned on BOS exactly where this tokenizer adds one by default.
        self.prefix = [tokenizer.bos_token_id] if probe[:1] == [tokenizer.bos_token_id] else []
        limit = getattr(model.config, "max_position_embeddings", None) or max_length
        self.window = min(max_length, limit) - len(self.prefix)
        if self.window < 2:
            raise UserError(f"max_length={max_length} is too short: a window needs two tokens")
        # Without BOS the first token of a window has no context of its own, so it must overlap.
        self.overlap = max(min(overlap, self.window - 1), 0 if self.prefix else 1)
        for member in self.members:
            self._check_head(member)

    def tokenize(self, text: str) -> Tokens:
        encoded = self.tokenizer(
            text,
            add_special_tokens=False,
            return_offsets_mapping=True,
            verbose=False,
            return_attention_mask=False,
        )
        return locate(text, encoded["input_ids"], encoded["offset_mapping"], self.vocabulary.pieces)

    def score(self, texts: Sequence[str], candidates: CandidateRange) -> Iterator[TokenScores]:
        return self.score_tokens([self.tokenize(text) for text in texts], candidates)

    @torch.inference_mode()
    def score_tokens(
        self, documents: Sequence[Tokens], candidates: CandidateRange
    ) -> Iterator[TokenScores]:
        jobs = [
            (d, w)
            for d, tokens in enumerate(documents)
            for w in windows(len(tokens), self.window, self.overlap)
        ]
        logprobs = [np.full(len(tokens), np.nan, np.float32) for tokens in documents]
        kept: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in documents]
        for batch in self._batches(jobs):
            for document, positions, scores, rows, ids, values in self._forward(
                documents, batch, candidates
            ):
                logprobs[document][positions] = scores
                kept[document].append((positions[rows], ids, values))
        empty = (
            np.zeros(0, np.int32),
            np.zeros((0, candidates.k), np.int32),
            np.zeros((0, candidates.k), np.float32),
        )
        for tokens, scores, parts in zip(documents, logprobs, kept, strict=True):
            # Batches run longest first, so the windows of one document may come back in any order.
            parts.sort(key=lambda part: part[0][0] if len(part[0]) else -1)
            rows, ids, values = (
                np.concatenate(column) for column in zip(empty, *parts, strict=True)
            )
            yield TokenScores(tokens, scores, rows.astype(np.int32), ids.astype(np.int32), values)

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
    ):
        """One batch; yields (document, positions, logprobs, kept rows, ids, logprobs) a window."""
        width = len(self.prefix) + max(w.stop - w.start for _, w in batch)
        inputs = torch.zeros((len(batch), width), dtype=torch.long)
        places, targets, spans = [], [], []
        for row, (document, window) in enumerate(batch):
            ids = self.prefix + documents[document].ids[window.start : window.stop].tolist()
            inputs[row, : len(ids)] = torch.tensor(ids)
            # The hidden state before a token predicts it; without BOS nothing predicts the first.
            first = max(window.score_from, window.start + (0 if self.prefix else 1))
            positions = np.arange(first, window.stop)
            before = positions - window.start + len(self.prefix) - 1
            places.append(row * width + before)
            targets.append(documents[document].ids[positions])
            spans.append((document, positions))
        inputs = inputs.to(self.device)
        hidden = [
            model.base_model(input_ids=inputs, use_cache=False).last_hidden_state.flatten(0, 1)
            for model in self.members
        ]
        place = torch.from_numpy(np.concatenate(places)).to(self.device)
        target = torch.from_numpy(np.concatenate(targets).astype(np.int64)).to(self.device)
        scores, rows, ids, values = self._score_rows(
            [states[place] for states in hidden], target, candidates
        )
        offset = 0
        for document, positions in spans:
            end = offset + len(positions)
            low, high = np.searchsorted(rows, [offset, end])
            yield (
                document,
                positions,
                scores[offset:end],
                rows[low:high] - offset,
                ids[low:high],
                values[low:high],
            )
            offset = end

    def _score_rows(
        self, hidden: list[torch.Tensor], targets: torch.Tensor, candidates: CandidateRange
    ):
        """Log-probabilities of ``targets`` [r] given ``hidden`` [r, d] of each member model."""
        lower, upper = candidates.log_bounds()
        if candidates.k > self.head.weight.shape[0]:
            raise UserError(
                f"k={candidates.k} exceeds the prior's vocabulary of {self.head.weight.shape[0]}"
            )
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
