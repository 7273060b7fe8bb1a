"""Seconds and memory of a cost on a CPU or GPU of :mod:`toedit.devices`."""

import math

from experiments.costs import Cost
from toedit.devices import GB, Device

START = 2.0
"""Seconds until a model runs, without reading its files."""

FILES = 0.5 * GB
"""Bytes read or written per second: a training of SmolLM2 moves 2.7 GB in 8 s outside its steps."""


def seconds(cost: Cost, on: Device) -> float:
    """Wall-clock seconds on the devices that the stage uses, as far as they exist."""
    time = cost.seconds / cost.workers + cost.moved / FILES
    if cost.work:
        rate = on.rate(cost.work, cost.width, cost.dtype) * used(cost, on)
        time += START + cost.operations / rate + cost.layers * on.layer
    return time


def used(cost: Cost, on: Device) -> int:
    """Number of devices a stage uses; 0 where no model runs."""
    return min(cost.devices, on.count) if cost.work else 0


def memory(cost: Cost, on: Device, resident: float = 0.0) -> float:
    """Peak bytes of one device, with models that stay in the process; 0 where none is used."""
    if not cost.work:
        return 0.0
    return cost.memory * math.ceil(cost.replicas / on.count) + resident + on.host
