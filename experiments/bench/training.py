"""Benchmarks of training steps: against a bare PyTorch loop, and against steps with dropout."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from evals.items import sciriff_contexts
from experiments.bench.compare import Side
from experiments.config import ModelConfig, TrainConfig
from experiments.config.pretraining import ArchitectureConfig
from experiments.stages.tokenizer import byte_level_bpe
from experiments.training import BLOCKS
from experiments.training.model import trainable
from experiments.training.training_job import Job
from experiments.training.worker import Blocks, make_trainer
from toedit.corpora.packing import pack
from toedit.priors.loading import EMBEDDED, load_tokenizer

STEPS = 4
TRAIN = TrainConfig(
    tokens=(STEPS + 1) * 256, block_size=128, batch_tokens=256, warmup_steps=1, micro_batch=2,
    precision="float32", checkpoint_steps=10**9,
)  # fmt: skip
FAMILY = ArchitectureConfig()
"""The small GPT-2 of pre-training, with the dropout of its family."""


def steps() -> tuple[Side, Side, int]:
    """Trainer steps against bare steps; the first step of each is not timed."""
    folder = Path(tempfile.mkdtemp())
    texts = (d["context"] for d in sciriff_contexts("bioasq"))
    np.save(
        folder / BLOCKS, pack(texts, load_tokenizer(EMBEDDED), 0, TRAIN.block_size, TRAIN.tokens)
    )
    job = Job(str(folder), ModelConfig(), TRAIN, seed=0)
    return _trainer(job), _bare(job, job.model), STEPS * TRAIN.batch_tokens


def small_steps() -> tuple[Side, Side, int]:
    """Steps of pre-training the small GPT-2, against bare ones with the dropout of its family."""
    folder = Path(tempfile.mkdtemp())
    train = replace(TRAIN, tokens=(2 * STEPS + 1) * 2048, block_size=256, batch_tokens=2048,
                    micro_batch=8)  # fmt: skip
    texts = [d["context"] for d in sciriff_contexts("bioasq")]
    tokenizer = byte_level_bpe(texts, 4096)
    tokenizer.save_pretrained(folder / "tokenizer")
    np.save(folder / BLOCKS, pack(texts, tokenizer, 0, train.block_size, train.tokens))
    job = Job(str(folder), ModelConfig(scratch=replace(FAMILY, dropout=0.0)), train, seed=0,
              tokenizer=str(folder / "tokenizer"))  # fmt: skip
    return _trainer(job), _bare(job, ModelConfig(scratch=FAMILY)), 2 * STEPS * train.batch_tokens


def _trainer(job: Job) -> Side:
    def ours() -> float:
        stamps: list[float] = []
        trainer, _ = make_trainer(job, lambda values, step: stamps.append(time.perf_counter()))
        trainer.train()
        return stamps[-1] - stamps[0]

    return ours


def _bare(job: Job, config: ModelConfig) -> Side:
    train = job.train

    def bare() -> float:
        model, stamps = trainable(config, tokenizer=job.tokenizer), []
        optimizer = torch.optim.AdamW(model.parameters(), lr=train.learning_rate, weight_decay=0.1)
        loader = torch.utils.data.DataLoader(
            Blocks([Path(job.folder, BLOCKS)]), batch_size=train.micro_batch, shuffle=True
        )
        for batch in loader:
            model(**batch).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            stamps.append(time.perf_counter())
        return stamps[-1] - stamps[0]

    return bare
