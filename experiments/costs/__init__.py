"""What a stage costs before it is run: its work, memory and files, from its configuration alone.

Stages say what they cost by the functions of :mod:`experiments.costs.work`; what that takes on a
machine is up to :mod:`experiments.costs.devices`. Every constant says where it is from, and none of
this imports torch.
"""

from dataclasses import dataclass

FORWARD, TRAIN, GENERATE = "forward", "train", "generate"


@dataclass(frozen=True)
class Cost:
    """An estimate of a stage's work and of what it leaves.

    Attributes:
        tokens: that a model reads or writes, or that a text holds.
        heldout: tokens of the held-out text beside it.
        flops: floating-point operations with weights.
        attention: those between tokens.
        work: ``forward``, ``train`` or ``generate``; empty where no model runs.
        width: of the model, on which the rate of a processor depends.
        dtype: what is computed in.
        layers: layers run by forward passes that are too short to be worth their operations alone.
        seconds: of processors, whatever the device; of one core a worker.
        workers: among whom these are divided.
        moved: bytes read and written.
        disk: bytes left.
        scratch: bytes that an unfinished stage holds besides, at most.
        memory: bytes on a device, at most.
        copies: processes that take so much each, shared out over the devices.
        resident: bytes that stay in the memory of the process afterwards.
        devices: that work together.
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
    copies: int = 1
    resident: float = 0.0
    devices: int = 1

    @property
    def operations(self) -> float:
        """Floating-point operations of all kinds."""
        return self.flops + self.attention


NO_COST = Cost()
"""Of a stage that takes moments."""
