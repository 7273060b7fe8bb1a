"""Half-precision models that compute in float32 between their matrix products.

A model in bfloat16 rounds its hidden states after every step: normalisation, rotary embedding,
activation, and the sum of all layers before. Here only the inputs and outputs of matrix products
are rounded, which halves the error of log-probabilities (docs/benchmarks.md).
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

BLOCK_ROWS = 128
"""Rows of attention computed at once; each sees the columns up to its own."""
ATTENTION = "toedit_causal"
"""The name of :func:`causal_attention` in transformers."""


def keep_float32(model: Any) -> None:
    """Let a model in half precision keep float32 between matrix products; no other is changed.

    The model must run in :func:`products_in`, which rounds the inputs of matrix products.
    """
    dtype = model.dtype
    if dtype == torch.float32:
        return
    model.get_input_embeddings().register_forward_hook(lambda _, inputs, output: output.float())
    for module in model.modules():
        if "norm" in type(module).__name__.lower():
            module.float()  # its output is rounded once, for all products that it enters
            module.register_forward_hook(lambda _, inputs, output, to=dtype: output.to(to))
        elif type(module).__module__ in ("transformers.activations", torch.nn.SiLU.__module__):
            module.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(), *inputs[1:]))
    if model.device.type == "cpu" and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(ATTENTION)


def products_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager:
    """Compute matrix products in a dtype of half precision; nothing is changed for float32."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype)


@torch.compiler.disable  # the number of blocks would be compiled in, for every length anew
def causal_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention in blocks of rows, with its softmax in float32.

    On a CPU it takes half the time of PyTorch's kernel in bfloat16: a block is one product for all
    heads that share a key, and no column beyond its last row is computed. Other attention than
    plain causal is left to that kernel.

    Args:
        module: the layer.
        query: ``[b, h, n, d]``.
        key: ``[b, g, n, d]``; g divides h.
        value: ``[b, g, n, d]``.
        attention_mask: None if the attention is causal.
        scaling: factor of the scores, by default ``d ** -0.5``.
        options: further options of transformers' attention functions.

    Returns:
        ``[b, n, h, d]`` in the dtype of ``value``, and None for the weights.
    """
    length = query.shape[2]
    plain = attention_mask is None and getattr(module, "is_causal", True)
    if not plain or key.shape[2] != length or options.get("position_bias") is not None:
        query, key = query.to(value.dtype), key.to(value.dtype)
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
    scale = query.shape[3] ** -0.5 if scaling is None else scaling
    grouped = (query * scale).to(value.dtype).unflatten(1, (key.shape[1], -1))  # [b, g, h/g, n, d]
    columns = key.to(value.dtype).transpose(2, 3)
    future = torch.ones(BLOCK_ROWS, BLOCK_ROWS, dtype=torch.bool, device=query.device).triu_(1)
    blocks = []
    for start in range(0, length, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, length)
        rows = grouped[:, :, :, start:stop]
        scores = (rows.flatten(2, 3) @ columns[..., :stop]).float().unflatten(2, rows.shape[2:4])
        scores[..., start:].masked_fill_(future[: stop - start, : stop - start], -torch.inf)
        weights = scores.softmax(dim=4).to(value.dtype).flatten(2, 3)
        blocks.append((weights @ value[:, :, :stop]).unflatten(2, rows.shape[2:4]))
    return torch.cat(blocks, dim=3).flatten(1, 2).transpose(1, 2), None


AttentionInterface.register(ATTENTION, causal_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
