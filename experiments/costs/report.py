"""Table of a dry run: stages, hit or miss, estimated cost, and its assumptions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from experiments.config import Config
from experiments.costs import FORWARD, GENERATE, TRAIN, Cost, compute, devices
from experiments.costs.advice import advice
from experiments.costs.estimate import estimate, uncounted
from experiments.runner import forced_stages
from experiments.stage import Stage
from experiments.stages.edit import EditStage
from experiments.store import Store
from toedit.devices import GB, GENERATING, GPU_SHARE, Device, device
from toedit.layout import fill, table, terminal_width

COLUMNS = ("tokens", "FLOPs", "time", "memory", "disk")
OPTIONAL, WIDE = "FLOPs", 100
"""A column whose sum is printed anyway, and the width from which it is shown."""


def describe(
    config: Config, stages: list[Stage], store_root: Path, width: int | None = None
) -> str:
    """A row per stage, with its cost on ``config.device``, and the total, as wide as the terminal.

    Time is wall-clock time of a stage. Memory is that of one device, on a CPU that of the process.
    Disk is the size of the finished stage and, after a +, of further files of the unfinished one.
    The last line sums up the stages that are not computed yet, one after another.
    """
    store = Store(store_root, create=False) if store_root.is_dir() else None
    forced, on = forced_stages(config.force, stages), device(config.device)
    costs = estimate(stages)
    done = {s for s in stages if store is not None and s not in forced and store.record(s)}
    missing = {stage: costs[stage] for stage in stages if stage not in done}
    needed = peak_memory(missing, on)
    name = on.label
    if not on.half:
        time_of = "them" if on.count > 1 else "one"
        name = f"{on.count} {on.label}: time of {time_of}, GPU-hours below"
    rows, notes = [], []
    for stage in stages:
        state = "force" if stage in forced else "hit" if stage in done else "miss"
        rows.append([stage.label, state, *_cells(costs[stage], on, needed.get(stage))])
        if needed.get(stage, 0.0) > on.memory:
            settings = advice(stage, costs[stage], on, needed[stage])
            notes.append(f"{stage.label}: does not fit {_bytes(on.memory)}: {settings}")
    for stage in stages:
        if isinstance(stage.config, EditStage):
            control = f", {stage.config.control}" if stage.config.control else ""
            rule = stage.config.rule.describe()
            notes.append(f"{stage.kind}/{stage.name}: {rule}{control}")
    width = width or terminal_width()
    lines = [
        fill(f"{config.name}: {len(stages)} stages, cost on {name}", width),
        _table(rows, width),
        *(fill(line, width, "  ", "    ") for line in notes),
        "",
        *(fill(line, width, "- ", "  ") for line in assumptions(costs, missing, on)),
        "",
    ]
    sums = totals(missing, on)
    parts = [f"total {sums.operations:.2g} FLOPs", duration(sums.seconds), _bytes(sums.memory)]
    if sums.disk:
        lines.append(f"disk {_bytes(sums.disk)} at the end, {_bytes(sums.peak_disk)} at most")
    if not on.half:
        parts.append(f"{_number(sums.device_hours)} GPU-hours")
    return "\n".join([*lines, fill(", ".join(parts), width)]).replace("\xa0", " ")


def _table(rows: list[list[str]], width: int) -> str:
    """The rows, without :data:`OPTIONAL` where a line has no room for them."""
    header = ["stage", "state", *COLUMNS]
    shown = [i for i, name in enumerate(header) if width >= WIDE or name != OPTIONAL]
    return table([header[i] for i in shown], [[row[i] for i in shown] for row in rows], width)


def _cells(cost: Cost, on: Device, needed: float | None) -> list[str]:
    time = devices.seconds(cost, on)
    scratch = f"\xa0+{_bytes(cost.scratch)}" if cost.scratch >= 5e5 else ""
    return [
        f"{cost.tokens:.3g}" if cost.tokens else "-",
        f"{cost.operations:.2g}" if cost.operations else "-",
        duration(time) if time else "-",
        _bytes(needed or 0.0),
        _bytes(cost.disk) + scratch,
    ]


def _bytes(size: float) -> str:
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{_number(size / unit)}\xa0{name}"
    return "-"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def missing_seconds(config: Config, stages: list[Stage], store_root: Path) -> dict[str, float]:
    """Estimated seconds of each stage that is not computed yet, by label."""
    store = Store(store_root, create=False) if store_root.is_dir() else None
    costs, on = estimate(stages), device(config.device)
    missing = [stage for stage in stages if store is None or not store.record(stage)]
    return {stage.label: devices.seconds(costs[stage], on) for stage in missing}


def duration(seconds: float) -> str:
    """Seconds, in minutes from 120 s and in hours from two."""
    if seconds < 120:
        return f"{seconds:.1f}\xa0s" if seconds < 10 else f"{seconds:.0f}\xa0s"
    return f"{seconds / 60:.0f}\xa0min" if seconds < 7200 else f"{seconds / 3600:,.1f}\xa0h"


@dataclass(frozen=True)
class Totals:
    """Sums and peaks over stages that run one after another.

    Attributes:
        operations: floating-point operations of models.
        seconds: wall-clock time of all stages.
        device_hours: hours of all devices together.
        memory: peak bytes of one device.
        disk: bytes of the finished stages.
        peak_disk: peak bytes, with those of the stage that runs.
    """

    operations: float
    seconds: float
    device_hours: float
    memory: float
    disk: float
    peak_disk: float


def totals(costs: Mapping[Stage, Cost], on: Device) -> Totals:
    """Total cost of stages that run one after another on a device."""
    disk = peak = 0.0
    for cost in costs.values():
        peak = max(peak, disk + cost.disk + cost.scratch)
        disk += cost.disk
    times = [(devices.seconds(cost, on), devices.used(cost, on)) for cost in costs.values()]
    return Totals(
        sum(cost.operations for cost in costs.values()),
        sum(time for time, _ in times),
        sum(time * number for time, number in times) / 3600,
        max(peak_memory(costs, on).values(), default=0.0),
        disk,
        peak,
    )


def peak_memory(costs: Mapping[Stage, Cost], on: Device) -> dict[Stage, float]:
    """Peak bytes of a device per stage, in the order of ``costs``.

    A model that scores or generates stays in the process until another one is loaded, in addition
    to models that are trained or evaluated there (``toedit/priors/__init__.py``).
    """
    needed, resident = {}, 0.0
    for stage, cost in costs.items():
        needed[stage] = devices.memory(cost, on, 0.0 if cost.resident else resident)
        resident = cost.resident or resident
    return needed


def assumptions(
    costs: Mapping[Stage, Cost], missing: Mapping[Stage, Cost], on: Device
) -> list[str]:
    """Assumptions of the estimates of ``missing`` stages, one line each; ``costs`` are of all."""
    works = {cost.work for cost in missing.values()}
    lines = [f"rate: {line}" for line in _rates(missing, on)]
    if works & {FORWARD, GENERATE}:
        lines.append("operations: 2 a weight and token that is read, and those of causal attention")
    if TRAIN in works:
        lines.append(
            "training: 6 operations a weight and token (4 where it is frozen, 2 more where "
            f"activations are recomputed); {compute.TRAINED_BYTES} bytes a weight for itself, "
            "gradient and AdamW, shared out by fsdp alone"
        )
    several = max((cost.devices for cost in missing.values()), default=1)
    if several > on.count:
        lines.append(
            f"devices: memory is that of one of {several}; time is as if {on.count} did all the "
            f"work (device={several}x{on.label.lower()} for theirs)"
        )
    if GENERATE in works:
        lines.append(f"writing: {GENERATING:g} of the rate of reading")
    if works - {""}:
        speed = devices.FILES / GB
        lines.append(f"a model starts in {devices.START:g} s; files move at {speed:g} GB/s")
    lines.append(
        f"text: {compute.CHARACTERS_PER_TOKEN:g} characters a token, "
        f"{compute.CHARACTERS_PER_TURN_TOKEN:g} in conversations"
    )
    lines += [
        f"{name}: its operations and memory are not counted, since its number of parameters is "
        "not set (model.parameters, prior.parameters)"
        for name in dict.fromkeys(filter(None, map(uncounted, missing)))
    ]
    scores = [stage for stage in missing if stage.kind == "score"]
    unknown = [stage.name for stage in scores if not costs[stage.inputs["corpus"]].tokens]
    if unknown:
        trained = any(costs[stage].tokens for stage in scores if stage.name in unknown)
        size = (
            "as many tokens as are trained on"
            if trained
            else "not counted, since nothing is trained"
        )
        lines.append(f"score {', '.join(unknown)}: {size}; corpus.train_characters is not set")
    return lines


def _rates(costs: Mapping[Stage, Cost], on: Device) -> list[str]:
    with_model = [cost for cost in costs.values() if cost.work]
    if on.half:
        return [
            f"{work}, width {width}, {dtype}: {on.rate(work, width, dtype) / 1e9:.0f} GFLOP/s, "
            "measured on two cores of an AMD EPYC"
            for work, width, dtype in sorted({(c.work, c.width, c.dtype) for c in with_model})
        ]
    return [
        f"{GPU_SHARE:.0%} of the maker's {rate / 1e12:.4g} TFLOP/s in {dtype}, not measured"
        for dtype, rate in (("bfloat16", on.bfloat16), ("float32", on.float32))
        if any((cost.dtype == "float32") == (dtype == "float32") for cost in with_model)
    ]
