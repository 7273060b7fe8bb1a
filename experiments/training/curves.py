"""What is logged and kept while a model trains: curves, speed, checkpoints, models on the way."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_callback import ProgressCallback

from experiments.config import TrainConfig
from experiments.costs.devices import DEVICES
from toedit.corpora.files import write_json
from toedit.errors import UserError

LogStep = Callable[[dict[str, float], int], None]

WHOLE = "whole"
"""Inside a checkpoint, written after everything else in it: its files and their sizes."""

PEAKS = {device.label: device.bfloat16 for name, device in DEVICES.items() if name != "cpu"}
"""Dense bfloat16 operations a second by the makers' data sheets, by part of the device's name."""

SPIKE_WINDOW, SPIKE_DEVIATIONS = 20, 6.0


class Bar(ProgressCallback):
    """The Trainer's bar with the loss beside it, instead of a printed line a step."""

    def on_log(self, args, state, control, logs=None, **_):
        if logs and "loss" in logs and getattr(self, "training_bar", None) is not None:
            self.training_bar.set_postfix_str(f"loss {float(logs['loss']):.3f}")

    def close(self) -> None:
        """Ends the line of a bar that an error cut short."""
        bar: Any = getattr(self, "training_bar", None)
        if bar is not None:
            bar.close()


class Curves(TrainerCallback):
    """Logs every step, saves between steps, marks whole checkpoints, and takes the time.

    Args:
        train: how long, and when to save.
        log: receives loss, gradient norm and learning rate of every step.
        keep: saves the model as it is, under the tokens it has seen.
        processes: how many share a step.
    """

    def __init__(
        self, train: TrainConfig, log: LogStep, keep: Callable[[int], None], processes: int = 1
    ) -> None:
        self.train, self.log, self.keep, self.processes = train, log, keep, processes
        self.begun, self.logged = False, 0.0
        self.rates: list[float] = []

    def on_train_begin(self, args, state, control, **_):
        if args.process_index:  # else all processes would draw the same dropout
            torch.manual_seed(args.seed + args.process_index)
        return control

    def on_epoch_begin(self, args, state, control, train_dataloader=None, **_):
        done = state.global_step * args.gradient_accumulation_steps
        epoch = done // len(train_dataloader)
        train_dataloader.dataset.epoch = epoch
        if args.world_size > 1:
            # A run that is resumed would take the order of the first epoch: the Trainer tells the
            # epoch to a loader that skips, from which it does not reach the sampler.
            train_dataloader.set_epoch(epoch)
        return control

    def on_step_begin(self, args, state, control, **_):
        self.begun = True
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
            torch.distributed.barrier()  # each process has its part of a checkpoint
        if state.is_world_process_zero:
            files = [path for path in folder.rglob("*") if path.is_file()]
            sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
            write_json(folder / WHOLE, sizes)
        return control

    def on_log(self, args, state, control, logs=None, **_):
        if logs and "loss" in logs:
            if not math.isfinite(float(logs["loss"])):
                raise UserError(
                    f"training diverged: the loss of step {state.global_step} is {logs['loss']}; "
                    "lower train.learning_rate (the last good checkpoint: "
                    f"{_newest(args, state.global_step - 2)})"
                )
            values = {
                key: float(logs[key])
                for key in ("loss", "grad_norm", "learning_rate")
                if key in logs
            }
            # From log to log: the loss is read there, so the device has finished the step.
            now = time.perf_counter()
            if self.logged:
                self.rates.append(self.train.batch_tokens / (now - self.logged))
            self.logged = now
            self.log(values, state.global_step)
        return control

    def speed(self, learned: int, frozen: int = 0) -> dict[str, float]:
        """Median tokens a second of the steps of this attempt, and the share of the device's peak.

        A token counts as 6 operations a parameter that is learned and 4 a frozen one, attention
        left out. The share is given in bfloat16, where the peak of the device is known.
        """
        if not self.rates:
            return {}
        rate = statistics.median(self.rates)
        flops = (6 * learned + 4 * frozen) * rate
        found = {"tokens_per_second": rate, "flops_per_second": flops}
        name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
        peak = next((value for key, value in PEAKS.items() if key in name), None)
        if peak is not None and self.train.precision == "bfloat16":
            found["mfu"] = flops / (peak * self.processes)
        return found


def _newest(args: Any, until: int) -> str:
    """The newest checkpoint whose weights gave a finite loss in the step after it."""
    whole = [p.parent for p in Path(args.output_dir).glob(f"checkpoint-*/{WHOLE}")]
    steps = sorted(s for p in whole if (s := int(p.name.rpartition("-")[2])) <= until)
    return f"step {steps[-1]} in {args.output_dir}" if steps else "none"


def spikes(losses: Sequence[float]) -> list[int]:
    """Steps, from 1, whose loss stands far above that of the steps before.

    Far is more than :data:`SPIKE_DEVIATIONS` standard deviations above the mean of the
    :data:`SPIKE_WINDOW` steps before it.
    """
    found = []
    for step in range(SPIKE_WINDOW, len(losses)):
        before = losses[step - SPIKE_WINDOW : step]
        limit = statistics.fmean(before) + SPIKE_DEVIATIONS * statistics.stdev(before)
        if losses[step] > limit:
            found.append(step + 1)
    return found
