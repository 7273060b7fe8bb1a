"""``make bench-gpu``: scoring and training on an accelerator, against what it could do at most.

Two priors with random weights: the shape of the embedded model and that of Llama-3-8B, in bfloat16,
with and without ``torch.compile``. Speed does not depend on the weights' values.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from experiments import provenance
from experiments.config import ModelConfig, TrainConfig
from experiments.config.pretraining import ArchitectureConfig
from experiments.training.training_job import Job
from experiments.training.worker import train
from toedit.corpora.files import write_json
from toedit.document import Tokens
from toedit.errors import Parser, UserError, one_line_errors
from toedit.priors import CandidateRange
from toedit.priors.hf import HFPrior
from toedit.priors.loading import EMBEDDED, load_tokenizer, locate_model

RESULTS = Path("bench/gpu.json")
SHAPES: dict[str, dict[str, Any]] = {
    "135M": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
             "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
             "tie_word_embeddings": True},
    "8B": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
           "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
           "tie_word_embeddings": False},
}  # fmt: skip
LENGTH, BATCH_TOKENS = 2048, 65536


def matmul_peak(device: str, size: int = 8192, repeats: int = 30) -> float:
    """Operations per second of a large bfloat16 matrix product."""
    a = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    for _ in range(5):
        a @ a
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(repeats):
        a @ a
    torch.cuda.synchronize()
    return repeats * 2 * size**3 / (time.perf_counter() - started)


def random_prior(shape: dict[str, Any], device: str, compile_: bool) -> HFPrior:
    """A Llama of some shape with random weights."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            config = LlamaConfig(max_position_embeddings=LENGTH, **shape)
            model = LlamaForCausalLM(config).eval()  # type: ignore[no-untyped-call]
    finally:
        torch.set_default_dtype(default)
    return HFPrior(
        model,
        load_tokenizer(EMBEDDED),
        max_length=LENGTH,
        batch_tokens=BATCH_TOKENS,
        compile_=compile_,
    )


def speed(prior: HFPrior, batches: int = 4) -> float:
    """Tokens per second of scoring, with alternatives of near-certain tokens."""
    rng, rows = np.random.default_rng(0), len(prior.vocabulary.proposable)

    def documents() -> list[Tokens]:
        ids = rng.integers(0, rows, (BATCH_TOKENS // LENGTH, prior.window), dtype=np.int32)
        empty = np.zeros(prior.window, np.int32)
        return [Tokens(row, empty, empty, np.ones(prior.window, bool)) for row in ids]

    needed = CandidateRange(8, 0.99)
    list(prior.score_tokens(documents(), needed))  # compiles, and warms caches
    inputs = [documents() for _ in range(batches)]
    torch.cuda.synchronize()
    started = time.perf_counter()
    for batch in inputs:
        list(prior.score_tokens(batch, needed))
    seconds = time.perf_counter() - started
    return sum(len(tokens) for batch in inputs for tokens in batch) / seconds


def training_speed(compile_: bool, steps: int = 30) -> dict[str, float]:
    """Speed of training GPT-2 124M from scratch in bfloat16, blocks of 1,024 tokens."""
    batch, block = 256 * 1024, 1024
    config = TrainConfig(
        tokens=steps * batch, block_size=block, batch_tokens=batch, micro_batch=32,
        learning_rate=6e-4, warmup_steps=1, precision="bfloat16", checkpoint_steps=10**9,
        compile=compile_,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        blocks = Path(folder, "blocks.npy")
        ids = np.random.default_rng(0).integers(0, 49152, (steps * batch // block, block))
        np.save(blocks, ids.astype(np.int32))
        model = ModelConfig(scratch=ArchitectureConfig("gpt2", 12, 768, 12, None, 1024, 50257))
        job = Job(folder, model, config, 0, [str(blocks)], locate_model(EMBEDDED))
        speed: dict[str, float] = train(job, lambda values, step: None)["speed"]
    return speed


def main() -> None:
    """Measure scoring of every shape with and without compiling, then training."""
    Parser(prog="python -m experiments.bench.gpu", description=__doc__).parse_args()
    if not torch.cuda.is_available():
        raise UserError(
            "make bench-gpu needs a CUDA device and finds none; `make bench` needs none"
        )
    peak = matmul_peak("cuda")
    print(f"{torch.cuda.get_device_name()}: matrix products {peak / 1e12:.0f} TFLOP/s in bfloat16")
    results = {}
    for name, shape in SHAPES.items():
        for compile_ in (False, True):
            prior = random_prior(shape, "cuda", compile_)
            rate = speed(prior)
            share = rate * prior.flops_per_token / peak
            label = f"{name}, {'compiled' if compile_ else 'eager'}"
            results[label] = {"tokens_per_second": rate, "share_of_peak": share}
            print(f"{label:<16}{rate:>12,.0f} tokens/s, {share:.2f} of the matrix-product rate")
            del prior
            torch.cuda.empty_cache()
    for compile_ in (False, True):
        label = f"train GPT-2 124M, {'compiled' if compile_ else 'eager'}"
        row = results[label] = training_speed(compile_)
        print(f"{label}: {row['tokens_per_second']:,.0f} tokens/s, MFU "
              f"{row.get('mfu', float('nan')):.2f} (goal 0.45)")  # fmt: skip
    machine = {"device": torch.cuda.get_device_name(), **provenance.environment()}
    write_json(RESULTS, {"results": results, "matmul_tflops": peak / 1e12, **machine})
    print(f"saved as {RESULTS}")


if __name__ == "__main__":
    with one_line_errors():
        main()
