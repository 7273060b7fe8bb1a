"""Half precision against float32 on small models of several families, and attention in blocks."""

import pytest
import torch
import transformers
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from toedit.priors.hf import HFPrior
from toedit.priors.loading import load_model, load_tokenizer
from toedit.priors.precision import causal_attention, keep_float32, products_in

SIZES = dict(
    vocab_size=300, hidden_size=64, intermediate_size=128, num_hidden_layers=3,
    num_attention_heads=4, max_position_embeddings=512, bos_token_id=1, eos_token_id=2,
    pad_token_id=0,
)  # fmt: skip
GROUPED = dict(SIZES, num_key_value_heads=2)
FAMILIES = {
    "Llama": GROUPED,
    "Qwen3": dict(GROUPED, head_dim=16),
    "Mistral": dict(GROUPED, sliding_window=50),  # attention that is not plain causal
    "Gemma": dict(GROUPED, head_dim=16),
    "Phi": SIZES,
    "GPT2": dict(vocab_size=300, n_embd=64, n_layer=3, n_head=4, bos_token_id=1, eos_token_id=2),
}


class Layer(torch.nn.Module):
    is_causal = True
    num_key_value_groups = 3


@pytest.mark.parametrize("family", FAMILIES)
def test_float32_between_products_brings_scores_closer_to_those_of_float32(family):
    config = getattr(transformers, f"{family}Config")(**FAMILIES[family])
    torch.manual_seed(0)
    half, exact = (transformers.AutoModelForCausalLM.from_config(config).eval() for _ in "ab")
    for weights in half.parameters():
        weights.data.mul_(4 if weights.ndim > 1 else 1)  # logits as wide as those of a trained one
    half.bfloat16()
    exact.load_state_dict({name: value.float() for name, value in half.state_dict().items()})
    ids = torch.randint(3, 300, (2, 200))

    def logprobs(model):
        with torch.inference_mode(), products_in(model.dtype, model.device):
            return model(input_ids=ids, use_cache=False).logits.float().log_softmax(2)

    expected = logprobs(exact)
    with torch.inference_mode():
        plain = half(input_ids=ids, use_cache=False).logits.float().log_softmax(2)
    keep_float32(half)
    error = (logprobs(half) - expected).abs().mean()
    assert 0 < error < 0.95 * (plain - expected).abs().mean()
    assert half.get_output_embeddings().weight.dtype == torch.bfloat16  # as large as before


def test_a_model_in_float32_stays_as_it_is(tiny_model):
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model)
    keep_float32(model)
    assert model.config._attn_implementation == "sdpa"
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("length", [1, 5, 127, 128, 129, 300])
def test_attention_in_blocks_is_causal_attention(length):
    torch.manual_seed(length)
    query, key, value = (torch.randn(2, heads, length, 16) for heads in (6, 2, 2))
    ours, _ = causal_attention(Layer(), query, key, value, None, scaling=0.3)
    expected = scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=0.3, enable_gqa=True
    )
    assert ours.shape == (2, length, 6, 16)
    assert torch.allclose(ours, expected.transpose(1, 2), atol=1e-6)


def test_masked_attention_is_that_of_transformers():
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, 40, 16) for heads in (6, 2, 2))
    mask = torch.ones(40, 40, dtype=torch.bool).tril().triu(-5)[None, None]
    layer = Layer()
    ours, _ = causal_attention(layer, query, key, value, mask, scaling=0.25, dropout=0.0)
    expected, _ = sdpa_attention_forward(layer, query, key, value, mask, scaling=0.25)
    assert torch.equal(ours, expected)


def test_the_largest_logits_of_half_precision_are_those_of_float32(tiny_model):
    prior = HFPrior(load_model(str(tiny_model), dtype="bfloat16"), load_tokenizer(str(tiny_model)))
    weights = prior.head.weight.float()
    hidden = 20 * torch.randn(5, weights.shape[1], generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits, exact = prior._logits(prior.model, hidden), hidden @ weights.T
    error = (logits - exact).abs()
    top = logits.topk(3).indices
    assert error.gather(1, top).max() < 1e-4 < error.max()
