"""Speed against plain baselines in the same process: ``make bench``.

Ours and the baseline alternate on the same model, dtype, batches and threads: a machine whose speed
drifts slows both. Editing counts everything: tokenizing, scoring, sampling, splicing and
writing. Its baseline is ``model(input_ids).logits`` and nothing else; training's is a bare PyTorch
loop. Peak memory is taken from a process of its own for each side.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evals.items import sciriff_contexts
from experiments import provenance
from experiments.schema import ModelConfig, TrainConfig
from experiments.training.models import trainable
from experiments.training.worker import BLOCKS, Blocks, Job, make_trainer
from toedit.corpora.documents import write_documents
from toedit.corpora.files import write_json
from toedit.corpora.packing import pack
from toedit.document import Document, windows
from toedit.editor import candidates_for, edit_document, score_documents
from toedit.models import EMBEDDED, load_tokenizer
from toedit.priors import PriorConfig, load_prior
from toedit.priors.hf import HFPrior
from toedit.rules import PRESETS

ROUNDS = {"editing": 24, "training": 8}
"""Many short rounds: the speed of a shared machine drifts within tens of seconds."""

DOCUMENTS = 3
STEPS = 4
RESULTS = Path("bench/results.json")
TRAIN = TrainConfig(
    tokens=(STEPS + 1) * 256, block_size=128, batch_tokens=256, warmup_steps=1, micro_batch=2,
    precision="float32", checkpoint_steps=10**9,
)  # fmt: skip


def documents() -> list[Document]:
    """The first documents of the embedded biomedical text."""
    contexts = sciriff_contexts("bioasq")
    return [
        Document(d["id"], d["context"]) for d, _ in zip(contexts, range(DOCUMENTS), strict=False)
    ]


def editing() -> tuple[Callable[[], float], Callable[[], float], int]:
    """(seconds of an edit, seconds of a plain forward pass, tokens) over the same documents."""
    prior = load_prior(PriorConfig())
    assert isinstance(prior, HFPrior)
    rule, texts = PRESETS["released_code"], documents()
    tokens = [prior.tokenize(d.text) for d in texts]
    jobs = [
        (i, w) for i, t in enumerate(tokens) for w in windows(len(t), prior.window, prior.overlap)
    ]
    batches = []
    for batch in prior._batches(jobs):
        width = max(w.stop - w.start for _, w in batch)
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        for row, (i, w) in enumerate(batch):
            ids[row, : w.stop - w.start] = torch.from_numpy(
                tokens[i].ids[w.start : w.stop].astype(np.int64)
            )
        batches.append(ids)

    def ours() -> float:
        started = time.perf_counter()
        scored = score_documents(texts, prior, candidates_for(rule))
        edited = [edit_document(d, s, rule, prior.vocabulary).document for d, s in scored]
        with tempfile.TemporaryDirectory() as folder:
            write_documents(Path(folder, "00000.parquet"), edited)
        return time.perf_counter() - started

    def plain() -> float:
        started = time.perf_counter()
        with torch.inference_mode():
            for ids in batches:
                prior.model(ids).logits  # noqa: B018
        return time.perf_counter() - started

    return ours, plain, sum(map(len, tokens))


def training() -> tuple[Callable[[], float], Callable[[], float], int]:
    """(seconds of Trainer steps, seconds of bare steps, tokens); the first step warms up."""
    folder = Path(tempfile.mkdtemp())
    texts = (d["context"] for d in sciriff_contexts("bioasq"))
    np.save(
        folder / BLOCKS, pack(texts, load_tokenizer(EMBEDDED), 0, TRAIN.block_size, TRAIN.tokens)
    )
    job = Job(str(folder), ModelConfig(), TRAIN, seed=0)

    def ours() -> float:
        stamps: list[float] = []
        trainer, _, _ = make_trainer(job, lambda values, step: stamps.append(time.perf_counter()))
        trainer.train()
        return stamps[-1] - stamps[0]

    def bare() -> float:
        model, stamps = trainable(job.model), []
        optimizer = torch.optim.AdamW(model.parameters(), lr=TRAIN.learning_rate, weight_decay=0.1)
        loader = torch.utils.data.DataLoader(Blocks(folder / BLOCKS), batch_size=2, shuffle=True)
        for batch in loader:
            model(**batch).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            stamps.append(time.perf_counter())
        return stamps[-1] - stamps[0]

    return ours, bare, STEPS * TRAIN.batch_tokens


Case = Callable[[], tuple[Callable[[], float], Callable[[], float], int]]


def matmul_rate(dtype: torch.dtype, seconds: float = 1.0) -> float:
    """Operations a second, in GFLOP/s, of the matrix product that dominates the embedded model."""
    a, b = torch.randn(512, 576, dtype=dtype), torch.randn(1536, 576, dtype=dtype)
    torch.nn.functional.linear(a, b)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        torch.nn.functional.linear(a, b)
        count += 1
    return count * 2 * 512 * 576 * 1536 / (time.perf_counter() - started) / 1e9


CASES: dict[str, Case] = {"editing": editing, "training": training}
GOALS = {"editing": 1.0, "training": 0.97}
"""The ratio of speeds, ours to the baseline's, that each is meant to reach."""


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Alternates both sides; medians of tokens per second and of the ratio round by round."""
    ours, baseline, tokens = CASES[name]()
    pairs = []
    for number in range(rounds + 1):
        order = (ours, baseline) if number % 2 else (baseline, ours)
        if number == 0 and name == "training":
            continue  # its sides leave out their own first step
        seconds = {side: side() for side in order}
        if number:  # the first round warms caches and allocators
            pairs.append((seconds[ours], seconds[baseline]))
            print(
                f"{name} {number}/{rounds}: ratio {pairs[-1][1] / pairs[-1][0]:.3f}",
                file=sys.stderr,
            )
    ratios = [b / a for a, b in pairs]
    return {
        "ours_tokens_per_second": tokens / statistics.median(a for a, _ in pairs),
        "baseline_tokens_per_second": tokens / statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "goal": GOALS[name],
        "tokens": tokens,
        "rounds": rounds,
    }


def _peak(name: str, side: int, pipe: Any) -> None:
    ours, baseline, _ = CASES[name]()
    provenance.reset_peak_memory()  # loading the model needs more than some of what is measured
    (ours, baseline)[side]()
    pipe.send(provenance.peak_memory_gb())


def peak_memory(name: str) -> list[float]:
    """Peak memory in GB of [ours, baseline], each in a fresh process."""
    context, peaks = multiprocessing.get_context("spawn"), []
    for side in (0, 1):
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=_peak, args=(name, side, send))
        process.start()
        send.close()  # else a child that dies leaves the next line waiting
        peaks.append(receive.recv())
        process.join()
    return peaks


def main() -> None:
    """Runs every case, prints a table and saves it with the machine it ran on."""
    results = {}
    for name in CASES:
        results[name] = measure(name, ROUNDS[name])
        results[name]["peak_memory_gb"] = peak_memory(name)
    print(f"{'':<10}{'ours':>12}{'baseline':>12}{'ratio':>8}{'goal':>7}   peak memory, GB")
    for name, row in results.items():
        peaks = " against ".join(f"{peak:.2f}" for peak in row["peak_memory_gb"])
        speeds = (row["ours_tokens_per_second"], row["baseline_tokens_per_second"])
        columns = "".join(f"{speed:>8.0f} t/s" for speed in speeds)
        print(f"{name:<10}{columns}{row['ratio']:>8.3f}{row['goal']:>7.2f}   {peaks}")
    rates = {str(d).removeprefix("torch."): matmul_rate(d) for d in (torch.float32, torch.bfloat16)}
    print(
        "matrix products: " + ", ".join(f"{rate:.0f} GFLOP/s in {d}" for d, rate in rates.items())
    )
    environment = {
        **provenance.environment(),
        "threads": torch.get_num_threads(),
        "dtype": "float32",
    }
    write_json(RESULTS, {"results": results, "matmul_gflops": rates, **environment})
    print(f"saved as {RESULTS}; {json.dumps(provenance.hardware())}")


if __name__ == "__main__":
    main()
