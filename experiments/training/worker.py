"""One training run: packed blocks in, a model out, continued from its last whole checkpoint.

Everything a run needs is in a :class:`Job`.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import ProgressCallback
from transformers.trainer_utils import get_last_checkpoint, set_seed

from experiments.schema import ModelConfig, TrainConfig
from experiments.training import BLOCKS, CHECKPOINTS
from experiments.training.models import save, trainable
from toedit.corpora.files import damaged_as, read_json, write_json
from toedit.errors import UserError, damaged, environment_problem

WHOLE = "whole"
"""Inside a checkpoint, written after everything else in it: its files and their sizes."""

LogStep = Callable[[dict[str, float], int], None]


@dataclass
class Job:
    """A training run.

    Attributes:
        folder: where checkpoints and the model are written.
        model: the model to train.
        train: how.
        seed: order of the blocks, and initial weights of a model from scratch or of adapters.
        blocks: file of packed blocks; empty for the one in the folder.
        tokenizer: folder of the tokenizer of a model from scratch.
    """

    folder: str
    model: ModelConfig
    train: TrainConfig
    seed: int
    blocks: str = ""
    tokenizer: str = ""


class Blocks(Dataset):
    """Packed blocks as training examples; every token is predicted from those before it."""

    def __init__(self, path: Path) -> None:
        with damaged_as(path):
            self.blocks = np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = torch.from_numpy(self.blocks[index].astype(np.int64))
        return {"input_ids": ids, "labels": ids}


class _Bar(ProgressCallback):
    """The Trainer's bar with the loss beside it, instead of a printed line a step."""

    def on_log(self, args, state, control, logs=None, **_):
        if logs and "loss" in logs and getattr(self, "training_bar", None) is not None:
            self.training_bar.set_postfix_str(f"loss {float(logs['loss']):.3f}")

    def close(self) -> None:
        """Ends the line of a bar that an error cut short."""
        bar: Any = getattr(self, "training_bar", None)
        if bar is not None:
            bar.close()


class _Checkpoints(TrainerCallback):
    """Saves between steps, marks whole checkpoints, and logs the curves."""

    def __init__(self, every: int, log: LogStep) -> None:
        self.every, self.log, self.begun = every, log, False

    def on_step_begin(self, args, state, control, **_):
        self.begun = True
        return control

    def on_step_end(self, args, state, control, **_):
        control.should_save = (
            state.global_step % self.every == 0 and state.global_step < state.max_steps
        )
        return control

    def on_save(self, args, state, control, **_):
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        write_json(folder / WHOLE, {p.name: p.stat().st_size for p in folder.iterdir()})
        return control

    def on_log(self, args, state, control, logs=None, **_):
        if logs and "loss" in logs:
            if not math.isfinite(float(logs["loss"])):
                raise UserError(
                    f"training diverged: the loss of step {state.global_step} is {logs['loss']}; "
                    "lower train.learning_rate"
                )
            values = {
                key: float(logs[key])
                for key in ("loss", "grad_norm", "learning_rate")
                if key in logs
            }
            self.log(values, state.global_step)
        return control


def arguments(job: Job) -> TrainingArguments:
    """The Trainer's arguments of a job."""
    train = job.train
    schedule = {
        "cosine": "cosine_with_min_lr",
        "linear": "linear",
        "constant": "constant_with_warmup",
    }
    return TrainingArguments(
        output_dir=str(Path(job.folder, CHECKPOINTS)),
        max_steps=train.steps,
        per_device_train_batch_size=train.micro_batch,
        gradient_accumulation_steps=train.batch_tokens // (train.block_size * train.micro_batch),
        learning_rate=train.learning_rate,
        lr_scheduler_type=schedule[train.schedule],
        lr_scheduler_kwargs={"min_lr_rate": train.min_lr_ratio}
        if train.schedule == "cosine"
        else {},
        warmup_steps=train.warmup,
        weight_decay=train.weight_decay,
        adam_beta1=train.beta1,
        adam_beta2=train.beta2,
        max_grad_norm=train.max_grad_norm,
        optim="adamw_torch",
        bf16=train.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        seed=job.seed,
        data_seed=job.seed,
        logging_steps=1,
        logging_first_step=True,
        logging_nan_inf_filter=False,  # else a diverged loss is logged as 0
        save_total_limit=2,  # the newest, and the one before should it be damaged
        save_strategy="no",  # the callback decides, so that the last step saves no optimizer state
        report_to=[],
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
    )


def make_trainer(job: Job, log: LogStep) -> tuple[Trainer, _Checkpoints, _Bar]:
    """The Trainer of a job, ready to run, and its callbacks.

    Raises:
        UserError: several GPUs are visible, over which the Trainer would multiply the batch.
    """
    set_seed(job.seed)
    if torch.cuda.device_count() > 1:
        raise UserError(
            f"{torch.cuda.device_count()} GPUs are visible and would multiply train.batch_tokens; "
            "choose one: CUDA_VISIBLE_DEVICES=0"
        )
    checkpoints, bar = _Checkpoints(job.train.checkpoint_steps, log), _Bar()
    trainer = Trainer(
        model=trainable(job.model, job.train.gradient_checkpointing, job.tokenizer),
        args=arguments(job),
        train_dataset=Blocks(Path(job.blocks or Path(job.folder, BLOCKS))),
        callbacks=[checkpoints],
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(bar)
    return trainer, checkpoints, bar


def train(job: Job, log: LogStep) -> dict[str, Any]:
    """Trains a model and saves it as ``model/`` in the job's folder.

    Args:
        job: the run.
        log: receives loss, gradient norm and learning rate of every step.

    Returns:
        Steps, tokens seen, the last loss and the mean loss of the last tenth of the steps.
    """
    folder = Path(job.folder)
    trainer, curves, bar = make_trainer(job, log)
    checkpoint = last_checkpoint(folder / CHECKPOINTS)
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    except (UserError, ImportError, MemoryError, torch.OutOfMemoryError):
        raise  # says nothing about the checkpoint
    except Exception as error:
        device = "CUDA" in str(error)
        if checkpoint is None or curves.begun or device or environment_problem(error):
            raise
        raise _damaged_checkpoint(checkpoint, error) from error
    finally:
        bar.close()
    save(trainer.model, job.model, folder, job.tokenizer)
    history = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    tail = history[-max(1, len(history) // 10) :]
    return {
        "steps": trainer.state.global_step,
        "tokens": trainer.state.global_step * job.train.batch_tokens,
        "loss": history[-1],
        "loss_tail_mean": sum(tail) / len(tail),
    }


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint; ones that a kill cut short are removed.

    Raises:
        UserError: it was whole once and no longer is.
    """
    if not folder.is_dir():
        return None
    for path in folder.glob("checkpoint-*"):
        if not (path / WHOLE).exists():
            shutil.rmtree(path)
    newest = get_last_checkpoint(str(folder))
    if newest is not None:
        for name, size in read_json(Path(newest, WHOLE)).items():
            file = Path(newest, name)
            if not file.is_file() or file.stat().st_size != size:
                raise _damaged_checkpoint(newest, f"{name} is gone or cut short")
    return newest


def _damaged_checkpoint(path: str, error: BaseException | str) -> UserError:
    line = damaged(path, error)
    return UserError(f"{line}; delete it: training continues from the one before, or from step 0")
