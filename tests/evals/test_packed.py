"""Options scored together: the log-probabilities of lm-eval, which reads each prompt by itself."""

import random

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    FalconConfig,
    GemmaConfig,
    GPT2Config,
    GPTNeoXConfig,
    JambaConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    OlmoConfig,
    Qwen2Config,
)

from evals import packed
from evals.language_models import transformers_model
from toedit.priors.loading import load_tokenizer

SIZE = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 48, "max_position_embeddings": 48}  # fmt: skip
PACKABLE = {
    "llama": LlamaConfig(**SIZE, num_key_value_heads=2),
    "qwen2": Qwen2Config(**SIZE, num_key_value_heads=2),
    "olmo": OlmoConfig(**SIZE),
    "gemma": GemmaConfig(**SIZE, num_key_value_heads=2, head_dim=8),
    "neox": GPTNeoXConfig(**SIZE),
    "gpt2": GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=48),
}
OTHERS = {
    "mistral": MistralConfig(**SIZE, num_key_value_heads=2, sliding_window=8),
    "mamba": MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=4),
    "jamba": JambaConfig(
        **SIZE,
        num_key_value_heads=2,
        num_experts=1,
        num_experts_per_tok=1,
        attn_layer_period=2,
        attn_layer_offset=1,
        use_mamba_kernels=False,
    ),
    "bloom": BloomConfig(vocab_size=64, hidden_size=32, n_layer=2, n_head=4),
    "falcon": FalconConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        alibi=True,
        max_position_embeddings=48,
    ),
}


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return load_tokenizer(str(tiny_model))


def made(config) -> torch.nn.Module:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    for weights in model.parameters():
        weights.data.normal_(std=0.3)  # else all tokens are about as probable
    return model


def requests(seed: int = 0) -> list[tuple[tuple[str, str], list[int], list[int]]]:
    """Prompts with options of several lengths, some of them longer than the model reads."""
    draw = random.Random(seed)

    def tokens(low: int, high: int) -> list[int]:
        return [draw.randrange(1, 64) for _ in range(draw.randint(low, high))]

    found = []
    for number in range(9):
        prompt = tokens(40, 60) if number % 3 == 0 else tokens(1, 20)
        options = [tokens(1, 9) for _ in range(4)]
        options += [options[0], options[1][:1]]  # twice the same, and the beginning of another
        found += [(("", ""), prompt, option) for option in options]
    draw.shuffle(found)
    return found


def stock(model, tokenizer, asked) -> list[tuple[float, bool]]:
    from lm_eval.models.huggingface import HFLM

    theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, softmax_dtype="float32")
    return HFLM._loglikelihood_tokens(theirs, asked, disable_tqdm=True)


@pytest.mark.parametrize("most", [1, 5])
@pytest.mark.parametrize("family", PACKABLE)
def test_options_have_the_log_probabilities_that_lm_eval_computes(
    tokenizer, family, most, monkeypatch
):
    model, asked = made(PACKABLE[family]), requests()
    assert packed.is_packable(model)
    read = []
    real = packed.option_logprobs
    monkeypatch.setattr(packed, "option_logprobs", lambda m, i: read.append(len(i)) or real(m, i))
    ours = transformers_model(model, tokenizer, batch_size=most)
    ours.begin("task", None, allow_cut=True)
    ours.items = [("task", number) for number in range(len(asked))]
    found = ours._loglikelihood_tokens(asked, disable_tqdm=True)
    expected = stock(model, tokenizer, asked)
    assert [score for score, _ in found] == pytest.approx([s for s, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert max(read) == most
    assert sum(ours.cut.values()) > 0


@pytest.mark.parametrize("family", OTHERS)
def test_models_that_take_no_such_mask_are_left_to_lm_eval(tokenizer, family):
    model, asked = made(OTHERS[family]), requests()[:12]
    assert not packed.is_packable(model)
    ours = transformers_model(model, tokenizer)
    ours.begin("task", None, allow_cut=True)
    ours.items = [("task", number) for number in range(len(asked))]
    found = ours._loglikelihood_tokens(asked, disable_tqdm=True)
    assert [score for score, _ in found] == pytest.approx(
        [s for s, _ in stock(model, tokenizer, asked)]
    )


def test_a_prompt_is_read_once_and_only_rows_of_options_reach_the_output_layer():
    model = made(PACKABLE["llama"])
    read: list[torch.Size] = []
    model.model.register_forward_hook(
        lambda _, inputs, output: read.append(output.last_hidden_state.shape)
    )
    model.lm_head.register_forward_hook(lambda _, inputs, output: read.append(output.shape))
    prompt = tuple(range(1, 31))
    packed.logprobs(model, [(prompt, (7, 8, 9)), (prompt, (7, 6)), (prompt, (5,))])
    # Last tokens are predicted, not read; the first of all options is predicted by one row.
    assert read == [(1, 30 + 2 + 1, 32), (1, 1 + 2 + 1, 64)]


def test_a_pass_holds_items_up_to_its_tokens(monkeypatch):
    monkeypatch.setattr(packed, "PASS_TOKENS", 20)
    items = [packed.Item((1,) * size, ((2,), (3, 4))) for size in (3, 30, 8, 5, 4)]
    lengths = [[len(item) for item in batch] for batch in packed.passes(items, 8)]
    assert lengths == [[31], [9, 6, 5], [4]]
    assert [len(batch) for batch in packed.passes(items, 2)] == [1, 2, 2]
