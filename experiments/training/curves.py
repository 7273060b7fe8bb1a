"""Trainer callbacks: log curves, measure speed, save checkpoints and intermediate models."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from experiments.config import TrainConfig
from experiments.training.training_job import LogStep
from toedit.corpora.files import write_json
from toedit.devices import DEVICES
from toedit.errors import UserError

COMPLETE = "whole"
"""File in a checkpoint that is written last: names and sizes of its files."""

PEAKS = {device.label: device.bfloat16 for name, device in DEVICES.items() if name != "cpu"}
"""Dense bfloat16 operations a second by the makers' data sheets, by part of the device's name."""

SPIKE_WINDOW, SPIKE_DEVIATIONS = 20, 6.0


class Curves(TrainerCallback):
    """Log every step, save checkpoints, mark complete ones, and measure speed.

    Args:
        train: number of steps, and when to save.
        log: receives loss, gradient norm and learning rate of every step.
        keep: saves the model as it is; receives the tokens it has seen.
        processes: how many share a step.
    """

    def __init__(
        self, train: TrainConfig, log: LogStep, keep: Callable[[int], None], processes: int = 1
    ) -> None:
        self.train, self.log, self.keep, self.processes = train, log, keep, processes
        self.started, self.log_time = False, 0.0
        self.rates: list[float] = []

    def on_train_begin(self, args, state, control, **_):
        if args.process_index:  # else all processes would draw the same dropout
            torch.manual_seed(args.seed + args.process_index)
        return control

    def on_epoch_begin(self, args, state, control, train_dataloader=None, **_):
        batches = state.global_step * args.gradient_accumulation_steps
        epoch = batches // len(train_dataloader)
        train_dataloader.dataset.epoch = epoch
        if args.world_size > 1:
            # A resumed run would use the order of the first epoch: the Trainer sets the epoch on a
            # loader that skips batches, which does not pass it on to the sampler.
            train_dataloader.set_epoch(epoch)
        return control

    def on_step_begin(self, args, state, control, **_):
        self.started = True
        return control

    def on_step_end(self, args, state, control, **_):
        control.should_save = (
            state.global_step % self.train.checkpoint_steps == 0
            and state.global_step < state.max_steps
        )
        for tokens in self.train.keep_tokens:
            if tokens // self.train.batch_tokens == state.global_step:
                self.keep(tokens)
        return control

    def on_save(self, args, state, control, **_):
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # each process writes its part of a checkpoint
        if state.is_world_process_zero:
            files = [path for path in folder.rglob("*") if path.is_file()]
            sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
            write_json(folder / COMPLETE, sizes)
        return control

    def on_log(self, args, state, control, logs=None, **_):
        if logs and "loss" in logs:
            if not math.isfinite(float(logs["loss"])):
                raise UserError(
                    f"training diverged: the loss of step {state.global_step} is {logs['loss']}; "
                    "lower train.learning_rate (the last good checkpoint: "
                    f"{_newest(args, state.global_step - 2)})"
                )
            names = ("loss", "grad_norm", "learning_rate")
            values = {name: float(logs[name]) for name in names if name in logs}
            # From log to log: the loss is read there, so the device has finished the step.
            now = time.perf_counter()
            if self.log_time:
                self.rates.append(self.train.batch_tokens / (now - self.log_time))
            self.log_time = now
            self.log(values, state.global_step)
        return control

    def speed(self, learned: int, frozen: int = 0) -> dict[str, float]:
        """Median tokens a second of the steps of this attempt, and model FLOPs utilization.

        A token counts as 6 operations per learned parameter and 4 per frozen one, without
        attention. Utilization is given in bfloat16, where the peak of the device is known.
        """
        if not self.rates:
            return {}
        rate = statistics.median(self.rates)
        flops = (6 * learned + 4 * frozen) * rate
        speed = {"tokens_per_second": rate, "flops_per_second": flops}
        peak = data_sheet_peak()
        if peak is not None and self.train.precision == "bfloat16":
            speed["mfu"] = flops / (peak * self.processes)
        return speed


def data_sheet_peak() -> float | None:
    """Dense bfloat16 operations a second of the first GPU; None if there is none, or unknown."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return next((value for label, value in PEAKS.items() if label in device), None)


def _newest(args: Any, last: int) -> str:
    """Name the newest complete checkpoint up to a step; the loss of the step after it is finite."""
    folders = [path.parent for path in Path(args.output_dir).glob(f"checkpoint-*/{COMPLETE}")]
    steps = [int(folder.name.rpartition("-")[2]) for folder in folders]
    newest = max((step for step in steps if step <= last), default=None)
    return "none" if newest is None else f"step {newest} in {args.output_dir}"


def spikes(losses: Sequence[float]) -> list[int]:
    """Steps, from 1, whose loss is far above that of the steps before.

    Far is more than :data:`SPIKE_DEVIATIONS` standard deviations above the mean of the
    :data:`SPIKE_WINDOW` steps before it.
    """
    steps = []
    for step in range(SPIKE_WINDOW, len(losses)):
        before = losses[step - SPIKE_WINDOW : step]
        limit = statistics.fmean(before) + SPIKE_DEVIATIONS * statistics.stdev(before)
        if losses[step] > limit:
            steps.append(step + 1)
    return steps
