"""Generate texts with vLLM; the draws of a text are keyed by (seed, generation, id).

vLLM draws by a generator of its own for each text, so texts differ from those of transformers. The
same batch gives the same texts again on the same machine, version and settings; another batch may
change the last bits of a probability, and so a word.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from toedit.errors import UserError
from toedit.sampling import KeyedUniforms
from toedit.synthesis.generate import prompt_ids
from toedit.synthesis.settings import Synthesis

TEMPERATURES = (0.01, 2.0)
"""What vLLM takes; it would raise lower ones in silence."""


def generate(
    engine: Any,
    tokenizer: Any,
    names: Sequence[str],
    prompts: Sequence[str],
    settings: Synthesis,
    seed: int = 0,
    generation: int = 0,
) -> list[str]:
    """Generate one text for each prompt of a batch.

    Args:
        engine: a ``vllm.LLM``.

    The rest, and the errors, are those of :func:`toedit.synthesis.generate.generate`.
    """
    from vllm import SamplingParams, TokensPrompt

    low, high = TEMPERATURES
    if not low <= settings.temperature <= high:
        raise UserError(
            f"synthesis.temperature={settings.temperature} is out of the range of vLLM; "
            f"allowed: {low} to {high}"
        )
    limit = engine.llm_engine.model_config.max_model_len
    ids = prompt_ids(tokenizer, prompts, settings, limit)
    sampling = [
        SamplingParams(
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=settings.top_k or 0,
            max_tokens=settings.max_new_tokens,
            seed=text_seed(name, seed, generation),
            detokenize=False,
        )
        for name in names
    ]
    outputs = engine.generate(
        [TokensPrompt(prompt_token_ids=tokens) for tokens in ids], sampling, use_tqdm=False
    )
    written = [list(output.outputs[0].token_ids) for output in outputs]
    return tokenizer.batch_decode(written, skip_special_tokens=True)


def text_seed(name: str, seed: int, generation: int) -> int:
    """The seed of one text's draws, 53 bits."""
    uniform = KeyedUniforms([name], (), seed, generation)(np.arange(1), 1)[0, 0]
    return int(uniform * 2**53)
