"""What the stages of an experiment come to on a device, one after another."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.costs.devices import Device, memory, seconds, used
from experiments.fingerprint import Stage


@dataclass(frozen=True)
class Totals:
    """Sums, and the largest of what is needed at a time.

    Attributes:
        operations: of models.
        seconds: of all stages.
        device_hours: of the devices that models run on, those that run at once added up.
        memory: bytes of one device, at most.
        disk: bytes that remain.
        peak_disk: bytes at most, with what an unfinished stage holds.
    """

    operations: float
    seconds: float
    device_hours: float
    memory: float
    disk: float
    peak_disk: float


def totals(stages: Sequence[Stage], on: Device, rooms: dict[Stage, float]) -> Totals:
    """The totals of stages, with the memory that :func:`memories` found."""
    left = peak = 0.0
    for stage in stages:
        peak = max(peak, left + stage.cost.disk + stage.cost.scratch)
        left += stage.cost.disk
    costs = [stage.cost for stage in stages]
    return Totals(
        sum(cost.operations for cost in costs),
        sum(seconds(cost, on) for cost in costs),
        sum(seconds(cost, on) * used(cost, on) for cost in costs) / 3600,
        max((rooms[stage] for stage in stages), default=0.0),
        left,
        peak,
    )


def memories(stages: Sequence[Stage], on: Device) -> dict[Stage, float]:
    """Bytes of a device that each stage takes.

    A model that scores or writes stays in the process until another one does, beside whatever is
    trained or evaluated there (``toedit/priors/__init__.py``).
    """
    found, resident = {}, 0.0
    for stage in stages:
        loads = stage.cost.resident
        found[stage] = memory(stage.cost, on, 0.0 if loads else resident)
        resident = loads or resident
    return found
