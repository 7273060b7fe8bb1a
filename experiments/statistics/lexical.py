"""Words and pairs of words: distances between corpora, and how concentrated each is."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.analysis.means import around, difference_of_means, mean_of
from experiments.analysis.resampling import permuted_p
from experiments.plans.statistics import HUMAN, REFERENCE
from experiments.stages import ngrams
from experiments.statistics.neighbours import Found
from toedit.stats.divergence import entropy, js_distance, spread

RANKS = 200
"""Points of the curve of bucket shares by rank."""

MEASURES = ("type_token_ratio", "entropy", "zipf_slope", "distinct_2", "distinct_3",
            "self_repetition")  # fmt: skip


def words(found: Found, corpora: list[str], edited: list[str]) -> dict[str, Any]:
    """Distances, measures and commonest pairs by corpus.

    Args:
        found: folders and records.
        corpora: names.
        edited: those whose documents are the human ones, edited, in the same order.

    Returns:
        ``distance`` from the reference, ``excess`` over that of human text, ``unrepaired`` (the
        share of the synthetic excess that remains), ``measures`` and their ``difference`` from
        human text, ``entropy`` of hashed words and pairs, ``ranks`` and ``pairs``. Empty where
        n-grams were not counted.
    """
    if f"ngrams/{HUMAN}" not in found:
        return {}
    read = {name: ngrams.read(_folder(found, name)) for name in corpora}
    counts = {name: own[0] for name, own in read.items()}
    chunks = {name: own[2] for name, own in read.items()}
    return {
        **_distances(counts, edited),
        "measures": {
            name: {m: _mean([row[m] for row in rows], m) for m in MEASURES}
            for name, rows in chunks.items()
        },
        "difference": {
            name: {m: _difference(rows, chunks[HUMAN], m) for m in MEASURES}
            for name, rows in chunks.items()
            if name != HUMAN
        },
        "chunks": {name: len(rows) for name, rows in chunks.items()},
        "entropy": {
            name: {kind: _number(entropy(own[order].sum(axis=0)))
                   for order, kind in enumerate(("words", "pairs"))}
            for name, own in counts.items()
        },
        "ranks": {
            name: {kind: _ranks(own[order].sum(axis=0))
                   for order, kind in enumerate(("words", "pairs"))}
            for name, own in counts.items()
        },
        "pairs": {
            name: {"total": own[1]["total"], "missing": own[1]["missing"],
                   "top": [[pair, count / max(own[1]["total"], 1)]
                           for pair, count in own[1]["pairs"]]}
            for name, own in read.items()
        },
    }  # fmt: skip


def _folder(found: Found, name: str) -> Path:
    return found[f"ngrams/{name}"][0]


def _distances(counts: dict[str, np.ndarray], edited: list[str]) -> dict[str, dict[str, Any]]:
    """Distances of all corpora from the reference, resampled together.

    Edited text has the groups of the human text it comes from and is resampled with it, so that
    what they share cancels.
    """
    names = [name for name in counts if name != REFERENCE]
    together = [HUMAN, *edited]
    apart = [name for name in names if name not in together]
    groups = {name: own.sum(axis=0) for name, own in counts.items()}
    buckets = groups[HUMAN].shape[1]

    def measured(reference: np.ndarray, joint: np.ndarray, *others: np.ndarray) -> np.ndarray:
        parts = [joint[..., i * buckets : (i + 1) * buckets] for i in range(len(together))]
        distance = dict(
            zip(
                [*together, *apart],
                [js_distance(reference, part) for part in [*parts, *others]],
                strict=True,
            )
        )
        floor = distance[HUMAN]
        columns = [distance[name] for name in names]
        columns += [distance[name] - floor for name in names]
        gap = distance.get("synthetic", np.full_like(floor, np.nan)) - floor
        with np.errstate(divide="ignore", invalid="ignore"):
            columns += [(distance[name] - floor) / gap for name in names]
        return np.stack(columns, axis=-1)

    joint = np.concatenate([groups[name] for name in together], axis=1)
    given = [groups[REFERENCE], joint, *(groups[name] for name in apart)]
    values = measured(*(group.sum(axis=0, dtype=float)[None] for group in given))[0]
    errors = spread(measured, *given)
    known = errors if errors is not None else [None] * len(values)
    documents = min(len(group) for group in groups.values())
    size = len(names)
    kinds = {"distance": "distance", "excess": "distance", "unrepaired": "share of the excess"}
    rows = [
        around(float(value), error, documents, scale).to_json()
        for value, error, scale in zip(
            values, known, [scale for scale in kinds.values() for _ in names], strict=True
        )
    ]
    found = {
        kind: dict(zip(names, rows[i * size : (i + 1) * size], strict=True))
        for i, kind in enumerate(kinds)
    }
    for kind, dropped in (("excess", (HUMAN,)), ("unrepaired", (HUMAN, "synthetic"))):
        found[kind] = {name: v for name, v in found[kind].items() if name not in dropped}
    for name, own in found["excess"].items():
        if errors is not None:
            own["p"] = _excess_p(groups, name, name in edited)
    return found


def _excess_p(groups: dict[str, np.ndarray], name: str, paired: bool) -> float:
    """p of a corpus being as near the reference as human text, by permuting labels of groups."""
    reference = groups[REFERENCE].sum(axis=0, dtype=float)

    def excess(own: np.ndarray, human: np.ndarray) -> float:
        both = [js_distance(reference, rows.sum(axis=0, dtype=float)) for rows in (own, human)]
        return float(both[0] - both[1])

    return permuted_p(excess, groups[name], groups[HUMAN], paired)


def _mean(values: list[float | None], measure: str) -> dict[str, Any]:
    return mean_of([value for value in values if value is not None], measure).to_json()


def _difference(own: list[dict], human: list[dict], measure: str) -> dict[str, Any]:
    first, second = ([r[measure] for r in rows if r[measure] is not None] for rows in (own, human))
    return difference_of_means(first, second, measure).to_json()


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _ranks(counts: np.ndarray) -> list[list[float]]:
    """Rank and share of buckets, thinned evenly on a logarithmic axis."""
    held = np.sort(counts[counts > 0])[::-1]
    if not len(held):
        return []
    chosen = np.unique(np.geomspace(1, len(held), RANKS).round().astype(int))
    return [[int(rank), float(held[rank - 1] / counts.sum())] for rank in chosen]
