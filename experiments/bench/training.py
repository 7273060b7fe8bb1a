"""What the Trainer costs over the same steps written out."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from evals.items import sciriff_contexts
from experiments.bench.compare import Side
from experiments.schema import ModelConfig, TrainConfig
from experiments.training.models import trainable
from experiments.training.worker import BLOCKS, Blocks, Job, make_trainer
from toedit.corpora.packing import pack
from toedit.models import EMBEDDED, load_tokenizer

STEPS = 4
TRAIN = TrainConfig(
    tokens=(STEPS + 1) * 256, block_size=128, batch_tokens=256, warmup_steps=1, micro_batch=2,
    precision="float32", checkpoint_steps=10**9,
)  # fmt: skip


def steps() -> tuple[Side, Side, int]:
    """Seconds of Trainer steps and of bare steps; each leaves out its own first one."""
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
