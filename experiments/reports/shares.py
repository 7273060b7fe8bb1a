"""Shares of near-certain tokens of texts that are edited again and again (table 15)."""

from typing import Any

import numpy as np

from experiments.analysis.compare import Arm, compare
from experiments.analysis.estimate import Estimate
from experiments.analysis.evidence import Evidence
from experiments.analysis.levels import level
from experiments.analysis.metrics import Metric, near_certain
from experiments.analysis.result import Result
from experiments.store.runs import Run

LINES = ("generation", "measured")
"""Names of texts that are edited again and again, before the generation: one is trained on, the
other only measured."""

PARTS = {
    "all tokens": near_certain(),
    "responses": near_certain("response_certain", "response_tokens"),
}


def shares(run: Run, evidence: Evidence) -> list[dict[str, Any]]:
    """Share of near-certain tokens by text, part and generation, and its change since the one
    before, as a ratio."""
    texts: dict[str, dict[int | None, Result]] = {}
    for own in evidence.of_run(run, "certain"):
        texts.setdefault(own.arm, {})[own.seed] = own
    found = []
    for line in LINES:
        names = [name for name in texts if name.removeprefix(line).isdecimal()]
        for part, metric in PARTS.items():
            before: Arm | None = None
            for name in names:
                arm, whole = (m.arm(texts[name]) for m in (metric, PARTS["all tokens"]))
                if arm is None or whole is None:
                    continue
                if metric.weight != "tokens" and all(
                    np.array_equal(arm[seed].below, whole[seed].below) for seed in arm
                ):
                    break  # plain text: all of it may change
                change = None if before is None else compare(arm, before, metric)
                found.append(_share(line, part, name, texts[name], arm, metric, change))
                before = arm
    return found


def _share(
    line: str, part: str, name: str, results: dict[int | None, Result], arm: Arm, metric: Metric,
    change: Estimate | None,
) -> dict[str, Any]:  # fmt: skip
    config = next(iter(results.values())).record["config"]
    corpus = next(iter(results.values())).upstream("corpus")
    source = {} if corpus is None else corpus["config"]["corpus"]
    label = source.get("hub") or source.get("source") or line
    return {
        "line": line,
        "text": f"{label}{' (trained on)' if line == LINES[0] else ''}",
        "part": part,
        "generation": int(name.removeprefix(line)),
        "condition": f"p {'>' if config['strict'] else '>='} {config['threshold']:g}",
        "tokens": float(np.mean([own.below.sum() for own in arm.values()])),
        "certain": float(np.mean([own.above.sum() for own in arm.values()])),
        "share": level([(arm, metric)]).to_json(),
        "change": None if change is None else change.to_json(),
    }
