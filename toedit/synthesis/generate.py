"""Generate texts with transformers; draws are keyed by (seed, generation, id, position).

Batches do not depend on the worker, so the same settings give the same texts for any number of
workers and after any interruption.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from toedit.corpora.conversations import render
from toedit.errors import UserError
from toedit.sampling import KeyedUniforms
from toedit.synthesis.settings import Synthesis


class KeyedSampling(LogitsProcessor):
    """Sample one token per text: allow only the inverse of the CDF at a keyed uniform number.

    Args:
        uniforms: float64 ``[texts, positions]``.
        prompt: length of the (padded) prompts in tokens.
        settings: temperature, ``top_p`` and ``top_k``.
    """

    def __init__(self, uniforms: np.ndarray, prompt: int, settings: Synthesis) -> None:
        self.uniforms, self.prompt, self.settings = torch.from_numpy(uniforms), prompt, settings

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        probabilities = (scores.double() / self.settings.temperature).softmax(dim=1)
        width = min(self.settings.top_k or scores.shape[1], scores.shape[1])
        top, columns = probabilities.topk(width, dim=1)  # sorted, most probable first
        before = top.cumsum(dim=1) - top
        top = top.masked_fill(before >= self.settings.top_p, 0.0)
        cumulative = top.cumsum(dim=1)
        position = input_ids.shape[1] - self.prompt
        total = cumulative[:, -1:]
        target = self.uniforms[:, position, None].to(top.device) * total
        # As in sampling.inverse_cdf, the second condition is for a product that rounds up.
        drawn = (~((cumulative > target) | (cumulative == total))).sum(dim=1, keepdim=True)
        only = torch.full_like(scores, -torch.inf)
        return only.scatter(1, columns.gather(1, drawn), 0.0)


def generate(
    model: Any,
    tokenizer: Any,
    names: Sequence[str],
    prompts: Sequence[str],
    settings: Synthesis,
    seed: int = 0,
    generation: int = 0,
) -> list[str]:
    """Generate one text for each prompt of a batch.

    Args:
        model: a causal language model of transformers in evaluation mode.
        tokenizer: its tokenizer, with a chat template unless the mode is ``continue``.
        names: ids of the texts, which key their random numbers.
        prompts: the prompts, without chat template.
        settings: sampling settings.
        seed: seed of the run.
        generation: of the model.

    Raises:
        UserError: the model has no chat template and the mode needs one, or prompt and text exceed
            the model's context (in mode ``continue`` the prompt is cut instead).
    """
    limit = getattr(model.config, "max_position_embeddings", None)
    ids = prompt_ids(tokenizer, prompts, settings, limit)
    longest = max(map(len, ids))
    end = tokenizer.eos_token_id
    rows = torch.full((len(ids), longest), end if end is not None else 0)
    mask = torch.zeros_like(rows)
    for row, tokens in enumerate(ids):  # padded on the left: all prompts end together
        rows[row, longest - len(tokens) :] = torch.tensor(tokens)
        mask[row, longest - len(tokens) :] = 1
    positions = np.arange(settings.max_new_tokens)
    uniforms = np.stack(
        [KeyedUniforms([name], (), seed, generation)(positions, 1)[:, 0] for name in names]
    )
    device = next(model.parameters()).device
    with torch.inference_mode():
        output = model.generate(
            input_ids=rows.to(device),
            attention_mask=mask.to(device),
            logits_processor=LogitsProcessorList([KeyedSampling(uniforms, longest, settings)]),
            do_sample=False,
            max_new_tokens=settings.max_new_tokens,
            pad_token_id=end,
        )
    return tokenizer.batch_decode(output[:, longest:].cpu(), skip_special_tokens=True)


def prompt_ids(
    tokenizer: Any, prompts: Sequence[str], settings: Synthesis, limit: int | None
) -> list[list[int]]:
    """Tokenize prompts for a model that takes at most ``limit`` tokens with the text after them.

    Raises:
        UserError: as :func:`generate`.
    """
    ids = [_prompt_ids(tokenizer, prompt, settings.mode) for prompt in prompts]
    if settings.mode == "continue" and limit is not None and limit > settings.max_new_tokens:
        ids = [tokens[: limit - settings.max_new_tokens] for tokens in ids]
    longest = max(map(len, ids))
    if limit is not None and longest + settings.max_new_tokens > limit:
        raise UserError(
            f"a prompt of {longest} tokens and synthesis.max_new_tokens={settings.max_new_tokens} "
            f"exceed the {limit} tokens the model takes; lower synthesis.extract or max_new_tokens"
        )
    return ids


def _prompt_ids(tokenizer: Any, prompt: str, mode: str) -> list[int]:
    if mode == "continue":
        ids = tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
        return ids or [tokenizer.eos_token_id]
    if tokenizer.chat_template is None:
        raise UserError(
            "the model has no chat template, so it cannot be asked to write; use an instruct model "
            "or synthesis.mode=continue"
        )
    text, _ = render([{"role": "user", "content": prompt}], tokenizer, prompt=True)
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
