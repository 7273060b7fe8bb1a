"""Settings that would make a stage fit the memory of its device."""

from collections.abc import Iterator
from dataclasses import replace

from experiments.config.training import ModelConfig, TrainConfig
from experiments.costs import Cost
from experiments.costs.compute import training_memory
from experiments.costs.shapes import sized
from experiments.stage import Stage
from toedit.devices import Device

MOST_DEVICES = 64


def advice(stage: Stage, cost: Cost, device: Device, memory: float) -> str:
    """Settings by which a stage fits its device, or other remedies; it needs ``memory`` bytes."""
    if stage.kind == "train":
        model, train, number = sized(stage.config.model), stage.config.train, cost.devices
        resident = memory - training_memory(model, train, number)
        for smaller, devices in _smaller(model, train, number):
            if resident + training_memory(model, smaller, devices) <= device.memory:
                return _settings(train, smaller, devices)
        return "it needs devices with more memory, or a smaller model"
    if cost.replicas > device.count:
        return (
            f"{cost.replicas} workers share {device.count}: fewer engine.workers, or engine=slurm "
            "engine.gpus=1"
        )
    if stage.kind == "evaluate":
        return "eval.batch_size=1, eval.dtype=bfloat16, or a device with more memory"
    return "prior.batch_tokens lower, prior.dtype=bfloat16, or a device with more memory"


def _smaller(
    model: ModelConfig, train: TrainConfig, devices: int
) -> Iterator[tuple[TrainConfig, int]]:
    """Trainings of decreasing memory and their devices, those with the same result first."""
    sizes = [n for n in range(train.micro_batch, 0, -1) if train.micro_batch % n == 0]
    yield from ((replace(train, micro_batch=n), devices) for n in sizes)
    frugal = replace(train, micro_batch=1, gradient_checkpointing=True)
    yield from ((replace(frugal, micro_batch=n), devices) for n in sizes)
    number = max(2, devices)
    while number <= MOST_DEVICES and not model.lora_rank:
        if train.batch_tokens % (train.block_size * number):
            return
        yield replace(frugal, fsdp=True), number
        number *= 2


def _settings(before: TrainConfig, after: TrainConfig, devices: int) -> str:
    changed = [
        f"train.{name}={str(getattr(after, name)).lower()}"
        for name in ("micro_batch", "gradient_checkpointing")
        if getattr(after, name) != getattr(before, name)
    ]
    if after.fsdp:
        changed += ["launch=fsdp", f"launch.devices={devices}"]
    return " ".join(changed) + " would"
