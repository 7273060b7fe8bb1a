"""What an experiment would do and cost: its stages as a table, with what the numbers assume."""

from collections.abc import Sequence
from pathlib import Path

from experiments.costs import Cost
from experiments.costs.devices import Device, device, seconds
from experiments.describe.assumptions import assumptions
from experiments.describe.remedies import remedy
from experiments.describe.totals import memories, totals
from experiments.fingerprint import Stage
from experiments.runner import forced_stages
from experiments.schema import Config
from experiments.store import Store

COLUMNS = ("tokens", "FLOPs", "time", "memory", "disk")


def describe(config: Config, stages: list[Stage], store_root: Path) -> str:
    """The stages: hit or miss, and what each would cost on ``config.device``.

    Time is from beginning to end of a stage. Memory is that of one device; on processor cores that
    of the process. Disk is what a stage leaves and, behind a +, what it holds besides until it is
    done. The last line sums up the stages that are still to be computed, one after another.
    """
    store = Store(store_root, create=False) if store_root.is_dir() else None
    forced, on = forced_stages(config.force, stages), device(config.device)
    done = {s for s in stages if store is not None and s not in forced and store.record(s)}
    missing = [stage for stage in stages if stage not in done]
    rooms = memories(missing, on)
    width = max(len(stage.label) for stage in stages)
    lines = [
        f"{config.name}: {len(stages)} stages, cost on {_name(on)}",
        _line("stage", "state", COLUMNS, width),
    ]
    for stage in stages:
        state = "force" if stage in forced else "hit" if stage in done else "miss"
        cells = _cells(stage.cost, seconds(stage.cost, on), rooms.get(stage, 0.0))
        lines.append(_line(stage.label, state, cells, width))
        if rooms.get(stage, 0.0) > on.memory:
            lines.append(f"  does not fit {_bytes(on.memory)}: {remedy(stage, on, rooms[stage])}")
    lines += ["", *(f"- {line}" for line in assumptions(missing, on)), ""]
    found = totals(missing, on, rooms)
    disk = _bytes(found.disk) + (f" (at most {_bytes(found.peak_disk)})" if found.disk else "")
    cells = ["", f"{found.operations:.2g}", _duration(found.seconds), _bytes(found.memory), disk]
    total = _line("total", "", cells, width)
    lines.append(total if on.half else f"{total}, {_number(found.device_hours)} GPU-hours")
    return "\n".join(lines)


def _name(on: Device) -> str:
    if on.half:
        return on.label
    return f"{on.count} {on.label}: time of {'them' if on.count > 1 else 'one'}, GPU-hours below"


def _cells(cost: Cost, time: float, room: float) -> list[str]:
    scratch = f"+{_bytes(cost.scratch)}" if cost.scratch >= 5e5 else ""
    return [
        f"{cost.tokens:.3g}" if cost.tokens else "-",
        f"{cost.operations:.2g}" if cost.operations else "-",
        _duration(time) if time else "-",
        _bytes(room),
        _bytes(cost.disk) + scratch,
    ]


def _line(label: str, state: str, cells: Sequence[str], width: int) -> str:
    tokens, flops, time, room, disk = cells
    return f"{label:<{width}} {state:<6} {tokens:>9} {flops:>9} {time:>9} {room:>9} {disk:>9}"


def _bytes(size: float) -> str:
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{_number(size / unit)} {name}"
    return "-"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
