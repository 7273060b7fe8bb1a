"""Train a model on packed blocks with the Trainer, resuming from the last complete checkpoint."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import get_last_checkpoint, set_seed

from experiments.training import BLOCKS, CHECKPOINTS, sharding
from experiments.training.curves import COMPLETE, Curves, spikes
from experiments.training.model import MODEL, adapted, kept_name, save, trainable
from experiments.training.training_job import Job, LogStep
from toedit.corpora.files import damaged_as, read_json, remove
from toedit.corpora.packing import IGNORED
from toedit.corpora.paths import inside
from toedit.errors import UserError, damaged, environment_problem


class Blocks(Dataset):
    """Packed blocks as training examples for next-token prediction.

    Args:
        paths: files with the same number of blocks, one per epoch, repeated from the first. Blocks
            are tokens, or fields with predicted tokens in ``labels`` and starts of records in
            ``position_ids`` (:mod:`toedit.corpora.packing`).
        separator: id of the token that ends a document, for document masks: positions restart
            after it, by which transformers' attention masks separate documents, and the first token
            of a document is not predicted. None masks nothing.
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
        indices = torch.arange(len(ids))
        starts = torch.zeros_like(ids)
        starts[1:] = torch.where(ids[:-1] == self.separator, indices[1:], 0)
        positions = indices - starts.cummax(0).values
        return {
            "input_ids": ids,
            "labels": ids.masked_fill(positions == 0, IGNORED),
            "position_ids": positions,
        }


def arguments(job: Job) -> TrainingArguments:
    """The Trainer's arguments for a job."""
    train = job.train
    schedules = {
        "cosine": "cosine_with_min_lr",
        "linear": "linear",
        "constant": "constant_with_warmup",
    }
    decay = {"min_lr_rate": train.min_lr_ratio} if train.schedule == "cosine" else {}
    sequences = train.batch_tokens // train.block_size
    return TrainingArguments(
        output_dir=str(Path(job.folder, CHECKPOINTS)),
        max_steps=train.steps,
        per_device_train_batch_size=train.micro_batch,
        gradient_accumulation_steps=sequences // (train.micro_batch * job.processes),
        learning_rate=train.learning_rate,
        lr_scheduler_type=schedules[train.schedule],
        lr_scheduler_kwargs=decay,
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
        save_total_limit=2,  # the newest, and the one before in case it is damaged
        save_strategy="no",  # the callback decides, so that the last step saves no optimizer state
        report_to=[],
        disable_tqdm=True,  # the driver shows the steps
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
    )


def make_trainer(job: Job, log: LogStep) -> tuple[Trainer, Curves]:
    """Create the Trainer of a job and its callbacks.

    Raises:
        UserError: several GPUs are visible to one process, or the number of processes is not that
            of the job; either would change the batch.
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
    curves = Curves(job.train, log, keep, job.processes)
    trainer = JobTrainer(
        job,
        model=model,
        args=arguments(job),
        train_dataset=Blocks(files, job.separator),
        callbacks=[curves],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, curves


class JobTrainer(Trainer):
    """A Trainer that can smooth labels of marked tokens (``smoothed`` of an example) and shard
    weights on any device."""

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

    The target of a marked token mixes the token, with weight ``1 - amount``, and a uniform
    distribution over the vocabulary (Szegedy et al., 2016, section 7).

    Args:
        logits: ``[batch, n, vocabulary]``.
        labels: int ``[batch, n]``, :data:`IGNORED` where nothing is predicted.
        smoothed: ``[batch, n]``, 1 for the tokens whose prediction is smoothed.
        amount: weight of the uniform distribution, in [0, 1].
        items: number of tokens to divide by; None for those predicted here.

    Returns:
        A scalar, nats per token.
    """
    logprobs = logits[:, :-1].float().log_softmax(-1)
    targets, marked = labels[:, 1:], smoothed[:, 1:]
    predicted = targets != IGNORED
    nll = -logprobs.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    loss = torch.lerp(nll, -logprobs.mean(-1), amount * marked.to(nll.dtype))
    return (loss * predicted).sum() / (predicted.sum() if items is None else items)


def save_together(trainer: Trainer, job: Job, name: str) -> None:
    """Save the model in the main process; all processes call this, to gather a sharded model."""
    accelerator: Any = trainer.accelerator
    model = accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
    first = accelerator.is_main_process
    weights = sharding.gathered(model, first) if job.train.fsdp else None
    if first:
        save(model, job.model, Path(job.folder), job.tokenizer, name, weights)
    accelerator.wait_for_everyone()


def train(job: Job, log: LogStep) -> dict[str, Any]:
    """Train in this process and save the model as ``model/`` in the job's folder.

    Returns:
        Steps, tokens seen, the last loss, the mean loss of the last tenth of the steps, the steps
        of loss spikes, and the speed of this attempt.
    """
    trainer, curves = make_trainer(job, log)
    first = trainer.accelerator.is_main_process  # it alone looks and removes checkpoints
    checkpoint = last_checkpoint(Path(job.folder, CHECKPOINTS)) if first else None
    checkpoint = broadcast_object_list([checkpoint])[0]
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    except (UserError, ImportError, MemoryError, torch.OutOfMemoryError):
        raise  # not caused by the checkpoint
    except Exception as error:
        device = "CUDA" in str(error)
        lost = isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
        known = device or lost or environment_problem(error)
        if checkpoint is None or curves.started or known:
            raise
        raise _damaged_checkpoint(checkpoint, error) from error
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
    """The newest complete checkpoint; incomplete ones, left by a kill, are removed.

    Raises:
        UserError: files of a complete checkpoint are missing or truncated.
    """
    if not folder.is_dir():
        return None
    for path in folder.glob("checkpoint-*"):
        if not (path / COMPLETE).exists():
            remove(path)
    newest = get_last_checkpoint(str(folder))
    if newest is not None:
        for name, size in read_json(Path(newest, COMPLETE), dict).items():
            file = inside(Path(newest), name)
            if not file.is_file() or file.stat().st_size != size:
                raise _damaged_checkpoint(newest, f"{name} is gone or cut short")
    return newest


def _damaged_checkpoint(path: str, error: BaseException | str) -> UserError:
    line = damaged(path, error)
    return UserError(f"{line}; delete it: training continues from the one before, or from step 0")
