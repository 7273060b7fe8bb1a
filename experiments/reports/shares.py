"""Shares of near-certain tokens of texts that are edited repeatedly (table 15)."""

from itertools import product
from typing import Any

import numpy as np

from experiments.analysis.compare import Arm, compare
from experiments.analysis.evidence import Evidence, Result
from experiments.analysis.levels import level
from experiments.analysis.metrics import near_certain
from experiments.store.runs import Run

LINES = ("generation", "measured")
"""Names, before the generation, of texts that are edited repeatedly: one that models are trained
on, and one that is only measured."""

PARTS = {
    "all tokens": near_certain(),
    "responses": near_certain("response_certain", "response_tokens"),
}


def shares(run: Run, evidence: Evidence) -> list[dict[str, Any]]:
    """Share of near-certain tokens by text, part and generation.

    ``change`` is the ratio to the generation before, None for the first one.
    """
    texts: dict[str, dict[int | None, Result]] = {}
    for result in evidence.of_run(run, "certain"):
        texts.setdefault(result.arm, {})[result.seed] = result
    rows = []
    for line, (part, metric) in product(LINES, PARTS.items()):
        before: Arm | None = None
        for name in (name for name in texts if name.removeprefix(line).isdecimal()):
            results = texts[name]
            arm, full = metric.arm(results), PARTS["all tokens"].arm(results)
            if arm is None or full is None:
                continue
            if metric.weight != "tokens" and all(
                np.array_equal(arm[seed].below, full[seed].below) for seed in arm
            ):
                break  # plain text: all of it may change
            first = next(iter(results.values()))
            config, corpus = first.record["config"], first.upstream("corpus")
            source = {} if corpus is None else corpus["config"]["corpus"]
            label = source.get("hub") or source.get("source") or line
            row = {
                "line": line,
                "text": f"{label}{' (trained on)' if line == LINES[0] else ''}",
                "part": part,
                "generation": int(name.removeprefix(line)),
                "condition": f"p {'>' if config['strict'] else '>='} {config['threshold']:g}",
                "tokens": float(np.mean([seed.below.sum() for seed in arm.values()])),
                "certain": float(np.mean([seed.above.sum() for seed in arm.values()])),
                "share": level([(arm, metric)]).to_json(),
                "change": None if before is None else compare(arm, before, metric).to_json(),
            }
            rows.append(row)
            before = arm
    return rows
