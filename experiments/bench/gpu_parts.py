"""Parts of ``make gpu-check``: parity of edits, speed of scoring and training, losses by precision.

Nothing is downloaded: models have random weights, the text is the file in ``experiments/data``, and
a tokenizer is trained on it. The speed of a model does not depend on the values of its weights.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from experiments.bench.gpu_setup import Figure, Setup
from experiments.config import ModelConfig
from experiments.config.launch import TORCHRUN, LaunchConfig
from experiments.stages.domains import SHIPPED_FILE
from experiments.stages.tokenizer import byte_level_bpe
from experiments.training import BLOCKS, CHECKPOINTS
from experiments.training.curves import data_sheet_peak
from experiments.training.launchers import train_together
from experiments.training.model import MODEL
from experiments.training.training_job import Job
from experiments.training.worker import train
from toedit.corpora.packing import pack
from toedit.devices import GPU_SHARE
from toedit.document import Tokens
from toedit.editor import EditedDocument, edit_texts
from toedit.priors import CandidateRange
from toedit.priors.hf import HFPrior
from toedit.priors.loading import load_model, load_tokenizer
from toedit.rules import PRESETS


def texts() -> list[str]:
    """The documents in the tree."""
    column: list[str] = pq.read_table(SHIPPED_FILE)["text"].to_pylist()
    return column


def tokenizer_for(rows: int) -> Any:
    """A small tokenizer of the text in the tree, for models with so many rows."""
    return byte_level_bpe(texts(), min(rows, 4096))


def llama(setup: Setup, shape: dict[str, Any], tokenizer: Any) -> LlamaForCausalLM:
    """A model with random weights, the same for every device."""
    torch.manual_seed(0)
    end = tokenizer.eos_token_id
    config = LlamaConfig(
        max_position_embeddings=setup.size.window, bos_token_id=end, eos_token_id=end, **shape
    )
    return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]


def job(setup: Setup, name: str, **changes: Any) -> Job:
    """A training of ``cpt_bio``'s model, from random weights, on the text in the tree."""
    base, config = setup.folder / "base", replace(setup.size.train, **changes)
    if not base.exists():
        shape = setup.size.shapes["135M"]
        tokenizer = tokenizer_for(shape["vocab_size"])
        llama(setup, shape, tokenizer).save_pretrained(base)
        tokenizer.save_pretrained(base)
        length, tokens = config.block_size, setup.size.train.tokens
        blocks = pack(texts(), tokenizer, tokenizer.eos_token_id, length, tokens)
        np.save(setup.folder / BLOCKS, blocks)
    (setup.folder / name).mkdir()
    blocks_file = str(setup.folder / BLOCKS)
    return Job(str(setup.folder / name), ModelConfig(str(base)), config, 0, [blocks_file])


def curve(work: Callable[..., dict[str, Any]], *arguments: Any) -> tuple[list[float], float]:
    """Losses of a training, and its tokens per second."""
    losses: list[float] = []
    metrics = work(*arguments, lambda values, step: losses.append(values["loss"]))
    return losses, metrics["speed"]["tokens_per_second"]


def gap(losses: list[float], others: list[float]) -> float:
    """Largest difference of a loss, as a share of the other."""
    return max(abs(a / b - 1) for a, b in zip(losses, others, strict=True))


def precision(setup: Setup) -> str:
    """That of a training of the paper's scale; a CPU may lack bfloat16 units."""
    return "bfloat16" if setup.device == "cuda" else "float32"


def parity(setup: Setup) -> dict[str, Figure]:
    """Edits on the CPU against the device: same text, same seed, float32.

    The prior is trained on the text that it edits, so that it is almost certain of many tokens.
    """
    tokens = setup.size.train.tokens * setup.size.epochs
    trained = job(setup, "prior", tokens=tokens, precision=precision(setup))
    train(trained, lambda values, step: None)
    folder = str(Path(trained.folder, MODEL))
    edited = []
    for device in ("cpu", setup.device):
        model = load_model(folder, None, "float32", device)
        prior = HFPrior(model, load_tokenizer(folder), max_length=setup.size.window)
        edited.append(edit_texts(texts()[: setup.size.edited], prior, PRESETS["forced"]))
    return differences(*edited)


def differences(first: list[EditedDocument], second: list[EditedDocument]) -> dict[str, Figure]:
    """Count where two edits of the same documents differ."""
    scores = [
        np.concatenate([e.scores.logprobs for e in side if e.scores]) for side in (first, second)
    ]
    eligible, ids = (
        [
            np.concatenate([getattr(e.edit, name) for e in side if e.edit])
            for side in (first, second)
        ]
        for name in ("eligible", "ids")
    )
    source = np.concatenate([e.scores.tokens.ids for e in first if e.scores])
    changed = ids[0] != source
    return {
        "tokens": Figure(len(source)),
        "eligible": Figure(eligible[0].sum(), low=10),
        "changed": Figure(changed.sum(), low=10),
        "eligible on one device only, share": Figure(
            (eligible[0] != eligible[1]).sum() / max(1, eligible[0].sum()), high=0.02
        ),
        "changed differently, share": Figure(
            (ids[0] != ids[1]).sum() / max(1, changed.sum()), high=0.02
        ),
        "largest difference of a log-probability": Figure(
            np.nanmax(np.abs(scores[0] - scores[1])), high=0.01
        ),
    }


def losses_by_precision(setup: Setup) -> dict[str, Figure]:
    """Training ``cpt_bio``'s model in bfloat16, against the same in float32."""
    tokens = 4 * setup.size.train.tokens
    (float32, slow), (bfloat16, fast) = (
        curve(train, job(setup, name, tokens=tokens, precision=name))
        for name in ("float32", "bfloat16")
    )
    return {
        "first loss": Figure(bfloat16[0]),
        "last loss, share of the first": Figure(bfloat16[-1] / bfloat16[0], high=0.95),
        "largest difference from float32, share": Figure(gap(bfloat16, float32), 1e-6, 0.02),
        "tokens/s, bfloat16": Figure(fast),
        "tokens/s, float32": Figure(slow),
    }


def sharded(setup: Setup) -> dict[str, Figure]:
    """Steps with FSDP in one process that torchrun starts, against steps without."""
    settings = {"tokens": 4 * setup.size.train.batch_tokens, "precision": precision(setup),
                "checkpoint_steps": 2}  # fmt: skip
    whole, fast = curve(train, job(setup, "whole", **settings))
    sharing = job(setup, "shared", fsdp=True, **settings)
    shared, slow = curve(train_together, sharing, LaunchConfig(TORCHRUN))
    parts = list(Path(sharing.folder, CHECKPOINTS).rglob("*.distcp"))  # of FSDP alone
    return {
        "files of its sharded checkpoint": Figure(len(parts), low=1),
        "largest difference of a loss, share": Figure(gap(shared, whole), high=0.02),
        "tokens/s": Figure(slow),
        "tokens/s without": Figure(fast),
    }


def pretraining(setup: Setup) -> dict[str, Figure]:
    """Speed of training GPT-2 124M from random weights, and model FLOPs utilization."""
    shape, figures = setup.size.gpt2, {}
    rows = shape.vocabulary or 0
    tokenizer_for(rows).save_pretrained(setup.folder / "tokenizer")
    for compiled in setup.size.compiled:
        config = replace(setup.size.pretrain, precision=precision(setup), compile=compiled)
        folder, label = setup.folder / str(compiled), "compiled" if compiled else "eager"
        folder.mkdir()
        ids = np.random.default_rng(0).integers(0, rows, config.tokens, dtype=np.int32)
        np.save(folder / BLOCKS, ids.reshape(-1, config.block_size))
        model = ModelConfig(scratch=shape)
        metrics = train(
            Job(str(folder), model, config, 0, tokenizer=str(setup.folder / "tokenizer")),
            lambda values, step: None,
        )
        figures[f"tokens/s, {label}"] = Figure(metrics["speed"]["tokens_per_second"])
        if "mfu" in metrics["speed"]:
            goal = setup.goal(0.45) if compiled else -math.inf
            figures[f"MFU, {label}"] = Figure(metrics["speed"]["mfu"], low=goal)
    return figures


def matmul_rate(setup: Setup, repeats: int = 30) -> float:
    """Operations per second of a large matrix product in bfloat16."""
    size = setup.size.matmul
    a = torch.randn(size, size, dtype=torch.bfloat16, device=setup.device)
    for count in (5, repeats):
        setup.synchronize()
        started = time.perf_counter()
        for _ in range(count):
            a @ a
        setup.synchronize()
    return repeats * 2 * size**3 / (time.perf_counter() - started)


def scoring(setup: Setup, name: str) -> dict[str, Figure]:
    """Speed of scoring by a prior with random weights in bfloat16, and share of the peak.

    The peak is that of the data sheet, else the rate of a large matrix product. Estimates of cost
    assume the share :data:`toedit.devices.GPU_SHARE`.
    """
    measured = matmul_rate(setup)
    peak = data_sheet_peak() or measured
    figures = {
        "matrix product, TFLOP/s": Figure(measured / 1e12, low=setup.goal(0.6 * peak / 1e12))
    }
    shape = setup.size.shapes[name]
    tokenizer = tokenizer_for(shape["vocab_size"])
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(setup.device):
            model = llama(setup, shape, tokenizer).eval()
    finally:
        torch.set_default_dtype(default)
    for compiled in setup.size.compiled:
        prior = HFPrior(
            model, tokenizer, max_length=setup.size.window, batch_tokens=setup.size.batch_tokens,
            compile_=compiled,
        )  # fmt: skip
        rate, label = scored_per_second(setup, prior), "compiled" if compiled else "eager"
        goal = setup.goal(GPU_SHARE) if name == "8B" else -math.inf
        figures[f"tokens/s, {label}"] = Figure(rate)
        figures[f"share of the peak, {label}"] = Figure(rate * prior.flops_per_token / peak, goal)
    return figures


def scored_per_second(setup: Setup, prior: HFPrior, batches: int = 2) -> float:
    """Tokens per second of scoring, with alternatives of near-certain tokens."""
    rng, rows = np.random.default_rng(0), len(prior.vocabulary.proposable)

    def documents() -> list[Tokens]:
        shape = (setup.size.batch_tokens // prior.window, prior.window)
        ids, empty = rng.integers(0, rows, shape, dtype=np.int32), np.zeros(prior.window, np.int32)
        return [Tokens(row, empty, empty, np.ones(prior.window, bool)) for row in ids]

    needed = CandidateRange(8, 0.99)
    list(prior.score_tokens(documents(), needed))  # compiles, and warms caches
    inputs = [documents() for _ in range(batches)]
    setup.synchronize()
    started = time.perf_counter()
    scored = sum(len(s.tokens) for batch in inputs for s in prior.score_tokens(batch, needed))
    return scored / (time.perf_counter() - started)
