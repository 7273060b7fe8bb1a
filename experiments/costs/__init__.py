"""Estimate FLOPs, memory, time and disk of an experiment before it runs.

:mod:`.estimate` has one function per kind of stage, :mod:`.compute` the formulas of training,
scoring, generation and evaluation, :mod:`.devices` turns operations into seconds, :mod:`.report`
prints the table of a dry run and :mod:`.advice` names settings that make a stage fit its device.
Every constant names its source. No module here imports torch.
"""

from dataclasses import dataclass

from toedit.devices import FORWARD as FORWARD
from toedit.devices import GENERATE as GENERATE
from toedit.devices import TRAIN as TRAIN


@dataclass(frozen=True)
class Cost:
    """Estimated work, memory and files of a stage.

    Attributes:
        tokens: read or written by a model, or held by a text.
        heldout: tokens of held-out text.
        flops: floating-point operations with weights.
        attention: floating-point operations between tokens.
        work: ``forward``, ``train`` or ``generate``; empty if no model runs.
        width: hidden size, on which the rate of a CPU depends.
        dtype: of the computation.
        layers: layers run in forward passes too short for their operations to dominate.
        seconds: of one core, on any device.
        workers: processes that share these seconds.
        moved: bytes read and written.
        disk: bytes of the finished stage.
        scratch: further bytes of the unfinished stage, at most.
        memory: peak bytes on a device.
        replicas: processes that need this memory each, spread over the devices.
        resident: bytes that stay in the driver's memory afterwards.
        devices: used together.
    """

    tokens: float = 0.0
    heldout: float = 0.0
    flops: float = 0.0
    attention: float = 0.0
    work: str = ""
    width: int = 0
    dtype: str = "float32"
    layers: float = 0.0
    seconds: float = 0.0
    workers: int = 1
    moved: float = 0.0
    disk: float = 0.0
    scratch: float = 0.0
    memory: float = 0.0
    replicas: int = 1
    resident: float = 0.0
    devices: int = 1

    @property
    def operations(self) -> float:
        """Floating-point operations with weights and between tokens."""
        return self.flops + self.attention
