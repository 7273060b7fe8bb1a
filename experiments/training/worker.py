"""One training run: packed blocks in, a model out, continued from its last whole checkpoint.

Everything a run needs is in a :class:`Job`.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import ProgressCallback
from transformers.trainer_utils import get_last_checkpoint, set_seed

from experiments.config import ModelConfig, TrainConfig
from experiments.training import BLOCKS, CHECKPOINTS, sharding
from experiments.training.curves import WHOLE, Bar, Curves, LogStep, spikes
from experiments.training.model import MODEL, adapted, kept_name, save, trainable
from toedit.corpora.files import damaged_as, read_json
from toedit.corpora.packing import IGNORED
from toedit.errors import UserError, damaged, environment_problem


@dataclass
class Job:
    """A training run.

    Attributes:
        folder: where checkpoints and the model are written.
        model: the model to train.
        train: how.
        seed: order of the blocks, and initial weights of a model from scratch or of adapters.
        blocks: files of packed blocks, for one epoch each and over again; none for the one in the
            folder.
        tokenizer: folder of the tokenizer of a model from scratch.
        separator: id of the token that ends a document, where documents are masked.
        smoothing: label smoothing of the tokens that the blocks mark.
        processes: how many processes share a step.
        start: folder of the weights that a model of the shape starts from; empty for random ones.
    """

    folder: str
    model: ModelConfig
    train: TrainConfig
    seed: int
    blocks: list[str] = field(default_factory=list)
    tokenizer: str = ""
    separator: int | None = None
    smoothing: float = 0.0
    processes: int = 1
    start: str = ""


class Blocks(Dataset):
    """Packed blocks as training examples; every token is predicted from those before it.

    Args:
        paths: files of equally many blocks, for one epoch each and over again: tokens, or fields of
            which ``labels`` says what is predicted and ``position_ids`` where records begin
            (:mod:`toedit.corpora.packing`).
        separator: ends a document, beyond which no token then sees: positions begin anew after it,
            by which transformers' attention masks tell documents apart, and the first token of a
            document is not predicted. None masks nothing.
    """

    def __init__(self, paths: Sequence[Path], separator: int | None = None) -> None:
        self.separator, self.files, self.epoch = separator, [], 0
        for path in paths:
            with damaged_as(path):
                self.files.append(np.load(path, mmap_mode="r"))

    def __len__(self) -> int:
        return len(self.files[0])

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        block = self.files[self.epoch % len(self.files)][index]
        if block.dtype.names:
            fields = {n: torch.from_numpy(block[n].astype(np.int64)) for n in block.dtype.names}
            return {"labels": fields["input_ids"], **fields}
        ids = torch.from_numpy(block.astype(np.int64))
        if self.separator is None:
            return {"input_ids": ids, "labels": ids}
        places = torch.arange(len(ids))
        starts = torch.zeros_like(ids)
        starts[1:] = torch.where(ids[:-1] == self.separator, places[1:], 0)
        positions = places - starts.cummax(0).values
        return {
            "input_ids": ids,
            "labels": ids.masked_fill(positions == 0, IGNORED),
            "position_ids": positions,
        }


def arguments(job: Job) -> TrainingArguments:
    """The Trainer's arguments of a job."""
    train = job.train
    schedule = {
        "cosine": "cosine_with_min_lr",
        "linear": "linear",
        "constant": "constant_with_warmup",
    }
    sequences = train.batch_tokens // train.block_size
    return TrainingArguments(
        output_dir=str(Path(job.folder, CHECKPOINTS)),
        max_steps=train.steps,
        per_device_train_batch_size=train.micro_batch,
        gradient_accumulation_steps=sequences // (train.micro_batch * job.processes),
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
        torch_compile=train.compile,
        bf16=train.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        ddp_backend="gloo" if job.processes > 1 and not torch.cuda.is_available() else None,
        ddp_find_unused_parameters=False,  # a dense model uses all of them in every step
        **sharding.fsdp_arguments(train),
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


def make_trainer(job: Job, log: LogStep) -> tuple[Trainer, Curves, Bar]:
    """The Trainer of a job, ready to run, and its callbacks.

    Raises:
        UserError: several GPUs are visible to one process, or there are more or fewer processes
            than the job says, either of which would change the batch.
    """
    set_seed(job.seed)
    gpus, started = torch.cuda.device_count(), int(os.environ.get("WORLD_SIZE", "1"))
    if gpus > 1 and job.processes == 1:
        raise UserError(
            f"{gpus} GPUs are visible and would multiply train.batch_tokens; use them, "
            f"launch=torchrun launch.devices={gpus}, or CUDA_VISIBLE_DEVICES=0"
        )
    if started != job.processes:
        raise UserError(
            f"{started} processes were started for a training that {job.processes} share"
        )
    fsdp, recompute = job.train.fsdp, job.train.gradient_checkpointing
    model = trainable(job.model, recompute and not fsdp, job.tokenizer, job.start)
    if fsdp and recompute:
        sharding.recompute(model)

    def keep(tokens: int) -> None:
        save_together(trainer, job, kept_name(tokens))

    files = [Path(file) for file in job.blocks] or [Path(job.folder, BLOCKS)]
    curves, bar = Curves(job.train, log, keep, job.processes), Bar()
    trainer = JobTrainer(
        job,
        model=model,
        args=arguments(job),
        train_dataset=Blocks(files, job.separator),
        callbacks=[curves],
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(bar)
    return trainer, curves, bar


class JobTrainer(Trainer):
    """A Trainer with label smoothing of marked tokens (``smoothed`` of an example), where asked,
    which shares weights out on any device."""

    def __init__(self, job: Job, **settings: Any) -> None:
        self.job = job
        super().__init__(**settings)
        self.smoothed: Any = None
        amount = job.smoothing
        if amount:
            self.compute_loss_func = lambda outputs, labels, num_items_in_batch=None: smoothed_loss(
                outputs["logits"], labels, self.smoothed, amount, num_items_in_batch
            )

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        if self.job.train.fsdp:
            sharding.prepare(self.accelerator, self.args, self.job.train)
            self.is_fsdp_enabled = True

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **settings: Any) -> Any:
        self.smoothed = inputs.pop("smoothed", None)
        return super().compute_loss(model, inputs, *args, **settings)


def smoothed_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    smoothed: torch.Tensor,
    amount: float,
    items: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """Cross entropy of the next token, with label smoothing of some tokens only.

    The target of a marked token is itself with ``1 - amount``, and all of the vocabulary alike with
    the rest (Szegedy et al., 2016, section 7).

    Args:
        logits: ``[batch, n, vocabulary]``.
        labels: int ``[batch, n]``, :data:`IGNORED` where nothing is predicted.
        smoothed: ``[batch, n]``, 1 for the tokens whose prediction is smoothed.
        amount: mass that a marked token gives away, in [0, 1].
        items: tokens over which the mean is taken; None for those predicted here.

    Returns:
        A scalar, nats a token.
    """
    logprobs = logits[:, :-1].float().log_softmax(-1)
    targets, marked = labels[:, 1:], smoothed[:, 1:]
    predicted = targets != IGNORED
    own = -logprobs.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    loss = torch.lerp(own, -logprobs.mean(-1), amount * marked.to(own.dtype))
    return (loss * predicted).sum() / (predicted.sum() if items is None else items)


def save_together(trainer: Trainer, job: Job, name: str) -> None:
    """Saves the model of all processes, once."""
    own: Any = trainer.accelerator
    model = own.unwrap_model(trainer.model, keep_torch_compile=False)
    # Weights that are shared out have to be gathered; otherwise every process has them all.
    weights = sharding.gathered(model, own.is_main_process) if job.train.fsdp else None
    if own.is_main_process:
        save(model, job.model, Path(job.folder), job.tokenizer, name, weights)
    own.wait_for_everyone()


def train(job: Job, log: LogStep) -> dict[str, Any]:
    """Trains a model and saves it as ``model/`` in the job's folder, in this process.

    Args:
        job: the run.
        log: receives loss, gradient norm and learning rate of every step.

    Returns:
        Steps, tokens seen, the last loss, the mean loss of the last tenth of the steps, the steps
        at which it jumped, and how fast this attempt was.
    """
    folder = Path(job.folder)
    trainer, curves, bar = make_trainer(job, log)
    first = trainer.accelerator.is_main_process
    # One process looks, and removes what a kill cut short.
    found = last_checkpoint(folder / CHECKPOINTS) if first else None
    checkpoint = broadcast_object_list([found])[0]
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    except (UserError, ImportError, MemoryError, torch.OutOfMemoryError):
        raise  # says nothing about the checkpoint
    except Exception as error:
        device = "CUDA" in str(error)
        lost = isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
        known = device or lost or environment_problem(error)
        if checkpoint is None or curves.begun or known:
            raise
        raise _damaged_checkpoint(checkpoint, error) from error
    finally:
        bar.close()
    model: Any = trainer.model
    lora = {"lora": adapted(model)} if job.model.lora_rank else {}
    save_together(trainer, job, MODEL)
    history = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    tail = history[-max(1, len(history) // 10) :]
    frozen = sum(w.numel() for w in model.parameters() if not w.requires_grad)
    return {
        "steps": trainer.state.global_step,
        "tokens": trainer.state.global_step * job.train.batch_tokens,
        "loss": history[-1],
        "loss_tail_mean": sum(tail) / len(tail),
        "loss_spikes": spikes(history),
        "speed": curves.speed(model.num_parameters() - frozen, frozen),
        **lora,
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
