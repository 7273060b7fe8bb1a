"""Measure the machine and the process that do some work, for the record of the work."""

import contextlib
import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any


def hardware() -> dict[str, Any]:
    """Processor, cores and accelerators."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = (line for line in info.read_text().splitlines() if line.startswith("model name"))
        model = next(lines, f": {model}").split(":", 1)[1].strip()
    torch = sys.modules.get("torch")  # only if the stage itself loaded it
    gpus = []
    if torch is not None and torch.cuda.is_available():
        gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"cpu": model, "cores": os.cpu_count(), "gpus": gpus}


def reset_peak_memory() -> None:
    """Reset :func:`peak_memory_gb` to the present use, on Linux."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_gb() -> float:
    """Peak resident memory of this process, in GB, since its start or the last reset."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def measured(seconds: float) -> dict[str, Any]:
    """What this process used for its work so far, in the fields of a record."""
    return {
        "seconds": round(seconds, 2),
        "peak_memory_gb": round(peak_memory_gb(), 2),
        "hardware": hardware(),
    }
