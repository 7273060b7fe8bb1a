"""CPUs and GPUs that estimates of time know, with measured rates and those of data sheets.

On two CPU cores matrix products reach one rate and everything else takes time in proportion to
activations, so that a model reaches a share of that rate that grows with its width:
``width / (width + half)``. On a GPU one share is assumed for all widths.
"""

import os
import re
from dataclasses import dataclass, replace

from toedit.errors import UserError, require_choice

FORWARD, TRAIN, GENERATE = "forward", "train", "generate"

GB = 1e9


@dataclass(frozen=True)
class Device:
    """A CPU or GPU.

    Attributes:
        label: name in the table.
        float32: operations per second of matrix products in float32.
        bfloat16: operations per second of matrix products in bfloat16.
        memory: bytes of one device.
        share: of these rates that a model reaches at most.
        half: width that reaches half of that share, by kind of work; empty if every width does.
        layer: seconds per layer of a forward pass, however short its input.
        host: bytes of the process, where it shares the device's memory.
        count: number of devices.
    """

    label: str
    float32: float
    bfloat16: float
    memory: float
    share: float = 1.0
    half: tuple[tuple[str, float], ...] = ()
    layer: float = 0.0
    host: float = 0.0
    count: int = 1

    def rate(self, work: str, width: int, dtype: str) -> float:
        """Operations per second of one device."""
        peak = self.float32 if dtype == "float32" else self.bfloat16
        kind = FORWARD if work == GENERATE else work
        half = dict(self.half).get(kind, 0.0)
        share = self.share * (width / (width + half) if half else 1.0)
        return peak * share * (GENERATING if work == GENERATE else 1.0)


GENERATING = 0.1
"""Rate of generation relative to a forward pass: 42 against 420 tokens per second on two cores."""

GPU_SHARE, GPU_LAYER = 0.4, 0.0005

DEVICES = {
    # Rates: docs/benchmarks.md. Widths: 0.77 of the rate in a forward pass of SmolLM2 there; and in
    # training 100 GFLOP/s at width 576 and 60 at 192. A layer: the remaining time of evaluations of
    # 428 and 472 short prompts by 30 layers.
    "cpu": Device(
        "2 CPU cores",
        1.5e11,
        1.9e10,
        0.0,
        half=((FORWARD, 170.0), (TRAIN, 260.0)),
        layer=0.003,
        host=0.95 * GB,
    ),
    # Dense peaks and memory by the maker's data sheets.
    "a100": Device("A100", 1.95e13, 3.12e14, 80 * GB, GPU_SHARE, layer=GPU_LAYER),
    "h100": Device("H100", 6.7e13, 9.89e14, 80 * GB, GPU_SHARE, layer=GPU_LAYER),
    "h200": Device("H200", 6.7e13, 9.89e14, 141 * GB, GPU_SHARE, layer=GPU_LAYER),
}


def device(name: str) -> Device:
    """The device of a name, ``8xh100`` for eight.

    Raises:
        UserError: no such device.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,3})x(.+)", name)
    number, kind = (int(match[1]), match[2]) if match else (1, name)
    require_choice("device", kind, DEVICES)
    if kind != "cpu":
        return replace(DEVICES[kind], count=number)
    if number != 1:
        raise UserError(f"device={name!r}: the cores of one machine are one device: device=cpu")
    memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return replace(DEVICES[kind], memory=memory)


def is_device(name: str) -> bool:
    """Whether a name is that of a GPU in the table, or of several: ``h100``, ``8xh100``."""
    return re.sub(r"^[0-9]+x", "", name) in DEVICES.keys() - {"cpu"}
