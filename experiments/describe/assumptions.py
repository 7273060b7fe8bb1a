"""What estimates rest on, a fact with its number a line."""

from collections.abc import Sequence

from experiments.costs import FORWARD, GENERATE, TRAIN
from experiments.costs.devices import FILES, GB, GENERATING, GPU_SHARE, START, Device
from experiments.costs.text import CHARACTERS_PER_TOKEN, CHARACTERS_PER_TURN_TOKEN
from experiments.costs.work import TRAINED_BYTES
from experiments.fingerprint import Stage


def assumptions(stages: Sequence[Stage], on: Device) -> list[str]:
    """Those that concern some stages and a device."""
    works = {stage.cost.work for stage in stages}
    said = [f"rate: {line}" for line in _rates(stages, on)]
    if works & {FORWARD, GENERATE}:
        said.append("operations: 2 a weight and token that is read, and those of causal attention")
    if TRAIN in works:
        said.append(
            "training: 6 operations a weight and token (4 where it is frozen, 2 more where "
            f"activations are recomputed); {TRAINED_BYTES} bytes a weight for itself, gradient and "
            "AdamW, shared out by fsdp alone"
        )
    several = max((s.cost.devices for s in stages), default=1)
    if several > on.count:
        said.append(
            f"devices: memory is that of one of {several}; time is as if {on.count} did all the "
            f"work (device={several}x{on.label.lower()} for theirs)"
        )
    if GENERATE in works:
        said.append(f"writing: {GENERATING:g} of the rate of reading")
    if works - {""}:
        said.append(f"a model starts in {START:g} s; files move at {FILES / GB:g} GB/s")
    said.append(
        f"text: {CHARACTERS_PER_TOKEN:g} characters a token, {CHARACTERS_PER_TURN_TOKEN:g} in "
        "conversations"
    )
    unsaid = [s.name for s in stages if s.kind == "score" and not s.inputs["corpus"].cost.tokens]
    if unsaid:
        said.append(
            f"score {', '.join(unsaid)}: as many tokens as are trained on, since "
            "corpus.train_characters is not set"
        )
    return said


def _rates(stages: Sequence[Stage], on: Device) -> list[str]:
    if on.half:
        shapes = {(s.cost.work, s.cost.width, s.cost.dtype) for s in stages}
        return [
            f"{work}, width {width}, {dtype}: {on.rate(work, width, dtype) / 1e9:.0f} GFLOP/s, "
            "measured on two cores of an AMD EPYC"
            for work, width, dtype in sorted(shapes)
            if work
        ]
    return [
        f"{GPU_SHARE:.0%} of the maker's {rate / 1e12:.4g} TFLOP/s in {dtype}, not measured"
        for dtype, rate in (("bfloat16", on.bfloat16), ("float32", on.float32))
        if any(s.cost.work and (s.cost.dtype == "float32") == (dtype == "float32") for s in stages)
    ]
