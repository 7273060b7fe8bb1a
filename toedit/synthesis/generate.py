"""Sampling of texts: transformers generates, every draw is keyed by (seed, generation, id, place).

A batch holds the same texts whatever worker runs it, so the same settings give the same text on any
number of workers, after any interruption.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from toedit.errors import UserError
from toedit.sampling import KeyedUniforms
from toedit.synthesis.settings import Synthesis


class KeyedSampling(LogitsProcessor):
    """Leaves one token a text: the inverse of the cumulative distribution at a keyed uniform.

    Args:
        uniforms: float64 ``[texts, places]``.
        prompt: length of the (padded) prompts.
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
        place = input_ids.shape[1] - self.prompt
        total = cumulative[:, -1:]
        target = self.uniforms[:, place, None].to(top.device) * total
        # As sampling.inverse_cdf: the second catches a product that rounds up to the total.
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
    """Texts that a model writes, one batch.

    Args:
        model: a causal language model of transformers in evaluation mode.
        tokenizer: its tokenizer, with a chat template unless the mode is ``continue``.
        names: of the texts.
        prompts: what it is asked.
        settings: how it samples.
        seed: of the run.
        generation: of the model.

    Raises:
        UserError: the model has no chat template and is asked something, or a prompt and its text
            are longer than the model's context (what is to be continued is cut instead).
    """
    ids = [_prompt_ids(tokenizer, prompt, settings.mode) for prompt in prompts]
    limit = getattr(model.config, "max_position_embeddings", None)
    if settings.mode == "continue" and limit is not None and limit > settings.max_new_tokens:
        ids = [own[: limit - settings.max_new_tokens] for own in ids]
    longest = max(map(len, ids))
    if limit is not None and longest + settings.max_new_tokens > limit:
        raise UserError(
            f"a prompt of {longest} tokens and synthesis.max_new_tokens={settings.max_new_tokens} "
            f"exceed the {limit} tokens the model takes; lower synthesis.extract or max_new_tokens"
        )
    end = tokenizer.eos_token_id
    rows = torch.full((len(ids), longest), end if end is not None else 0)
    mask = torch.zeros_like(rows)
    for row, own in enumerate(ids):  # padded on the left: all prompts end together
        rows[row, longest - len(own) :] = torch.tensor(own)
        mask[row, longest - len(own) :] = 1
    places = np.arange(settings.max_new_tokens)
    uniforms = np.stack(
        [KeyedUniforms([name], (), seed, generation)(places, 1)[:, 0] for name in names]
    )
    device = next(model.parameters()).device
    with torch.inference_mode():
        whole = model.generate(
            input_ids=rows.to(device),
            attention_mask=mask.to(device),
            logits_processor=LogitsProcessorList([KeyedSampling(uniforms, longest, settings)]),
            do_sample=False,
            max_new_tokens=settings.max_new_tokens,
            pad_token_id=end,
        )
    return tokenizer.batch_decode(whole[:, longest:].cpu(), skip_special_tokens=True)


def _prompt_ids(tokenizer: Any, prompt: str, mode: str) -> list[int]:
    if mode == "continue":
        ids = tokenizer(prompt, add_special_tokens=False, verbose=False)["input_ids"]
        return ids or [tokenizer.eos_token_id]
    if tokenizer.chat_template is None:
        raise UserError(
            "the model has no chat template, so it cannot be asked to write; use an instruct model "
            "or synthesis.mode=continue"
        )
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
