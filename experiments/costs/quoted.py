"""Write estimated costs where files state them: heads of experiments, and the example of a page.

One function computes each, so a number that stands twice is the same.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from experiments import CONF
from experiments.config.compose import compose
from experiments.config.headers import names
from experiments.costs.estimate import estimate
from experiments.costs.report import describe, totals
from experiments.plans import plan
from experiments.stage import Stage
from toedit.devices import device

EXAMPLE = ["+exp=paper/cpt_bio", "dry_run=true", "device=h100"]
"""Dry run whose output docs/scaling.md shows."""

WIDTH = 100
"""Of that output."""

BLOCK = re.compile(r"(<!-- dry_run:begin -->\n).*?(<!-- dry_run:end -->)", re.DOTALL)
TOTAL = re.compile(r"(?<=dry_run=true estimates )[\d.,]+(?= GPU-hours)")
SCORING = re.compile(r"[\d.,]+(?= of them scoring)")


def paper_names() -> list[str]:
    """Experiments at the paper's scale."""
    return [name for name in names() if name.startswith("paper/")]


def gpu_hours(name: str) -> tuple[str, str]:
    """Estimate the GPU-hours of an experiment, of all stages and of scoring, three digits each."""
    # Of files that the user names their size counts, which the experiment states.
    config = compose([f"+exp={name}", f"corpus.paths=['{CONF / 'config.yaml'}']"])
    stages, card = plan(config), device(config.device)
    costs = estimate(stages)

    def hours(some: Sequence[Stage]) -> str:
        return f"{totals({stage: costs[stage] for stage in some}, card).device_hours:.3g}"

    return hours(stages), hours([stage for stage in stages if stage.kind == "score"])


def head(name: str) -> str:
    """The file of an experiment with the estimates of now."""
    total, scoring = gpu_hours(name)
    text = (CONF / "exp" / f"{name}.yaml").read_text(encoding="utf-8")
    return SCORING.sub(scoring, TOTAL.sub(total, text, count=1), count=1)


def scaling_page(text: str) -> str:
    """The text of docs/scaling.md with the example of now: first, longest and last lines."""
    config = compose(EXAMPLE)
    lines = describe(config, plan(config), Path("no store"), WIDTH).splitlines()
    trained = [line for line in lines if line.startswith("train/")]
    shown = [*lines[:3], "...", trained[-1], lines[-1]]
    command = f"`python -m experiments.run {' '.join(EXAMPLE)}` (assumptions cut):"
    block = "\n".join(["", command, "", "```", *shown, "```", "", ""])
    return BLOCK.sub(lambda found: f"{found[1]}{block}{found[2]}", text)
