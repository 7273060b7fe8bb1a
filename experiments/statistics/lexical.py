"""Statistics of words and pairs of words: distances between corpora, and lexical diversity."""

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.analysis.means import around, difference_of_means, mean_of
from experiments.analysis.resampling import permuted_p
from experiments.plans.statistics import HUMAN, REFERENCE
from experiments.stages import ngrams
from experiments.statistics.neighbours import Outputs
from toedit.stats.divergence import entropy, js_distance, spread

RANKS = 200
"""Maximum number of points of the curve of bucket shares by rank."""

MEASURES = ("type_token_ratio", "entropy", "zipf_slope", "distinct_2", "distinct_3",
            "self_repetition")  # fmt: skip

SCALES = {"distance": "distance", "excess": "distance", "unrepaired": "share of the excess"}
"""Units of the estimates of distances."""


def words(outputs: Outputs, corpora: list[str], edited: list[str]) -> dict[str, Any]:
    """Distances, measures and most frequent pairs by corpus.

    Documents of ``edited`` corpora are the human ones, edited, in the same order.

    Returns:
        ``distance`` from the reference, ``excess`` over that of human text, ``unrepaired`` (the
        share of the synthetic excess that remains), ``measures`` and their ``difference`` from
        human text, ``entropy`` of hashed words and pairs, ``ranks`` and ``pairs``. Empty if n-grams
        were not counted.
    """
    if f"ngrams/{HUMAN}" not in outputs:
        return {}
    counts, frequent, chunks = {}, {}, {}
    for name in corpora:
        counts[name], frequent[name], chunks[name] = ngrams.read(outputs[f"ngrams/{name}"][0])

    def by_kind(statistic: Callable[[np.ndarray], Any]) -> dict[str, dict[str, Any]]:
        """A statistic of bucket counts, of words and of pairs, by corpus."""
        return {
            name: {"words": statistic(words.sum(axis=0)), "pairs": statistic(pairs.sum(axis=0))}
            for name, (words, pairs) in counts.items()
        }

    return {
        **_distances(counts, edited),
        "measures": {
            name: {m: mean_of(_known(rows, m), m).to_json() for m in MEASURES}
            for name, rows in chunks.items()
        },
        "difference": {
            name: {m: _difference(rows, chunks[HUMAN], m) for m in MEASURES}
            for name, rows in chunks.items()
            if name != HUMAN
        },
        "chunks": {name: len(rows) for name, rows in chunks.items()},
        "entropy": by_kind(_entropy),
        "ranks": by_kind(_ranks),
        "pairs": {
            name: {
                "total": pairs["total"],
                "missing": pairs["missing"],
                "top": [[pair, n / max(pairs["total"], 1)] for pair, n in pairs["pairs"]],
            }
            for name, pairs in frequent.items()
        },
    }


def _distances(counts: dict[str, np.ndarray], edited: list[str]) -> dict[str, dict[str, Any]]:
    """Jensen–Shannon distances of all corpora from the reference, resampled together.

    Edited text has the groups of the human text it comes from and is resampled with it, so that
    their common variation cancels. ``counts`` are by corpus ``[2, groups, buckets]``.
    """
    names = [name for name in counts if name != REFERENCE]
    paired = [HUMAN, *edited]
    unpaired = [name for name in names if name not in paired]
    groups = {name: array.sum(axis=0) for name, array in counts.items()}

    def statistics(reference: np.ndarray, joint: np.ndarray, *others: np.ndarray) -> np.ndarray:
        parts = [*np.split(joint, len(paired), axis=-1), *others]
        distances = (js_distance(reference, part) for part in parts)
        distance = dict(zip([*paired, *unpaired], distances, strict=True))
        floor = distance[HUMAN]
        excesses = [distance[name] - floor for name in names]
        gap = distance.get("synthetic", np.full_like(floor, np.nan)) - floor
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = [excess / gap for excess in excesses]
        return np.stack([*(distance[name] for name in names), *excesses, *shares], axis=-1)

    joint = np.concatenate([groups[name] for name in paired], axis=1)
    samples = [groups[REFERENCE], joint, *(groups[name] for name in unpaired)]
    values = statistics(*(sample.sum(axis=0, dtype=float)[None] for sample in samples))[0]
    errors = spread(statistics, *samples)
    known = [None] * len(values) if errors is None else errors
    documents = min(map(len, groups.values()))
    estimates: dict[str, dict[str, Any]] = {}
    for i, (kind, scale) in enumerate(SCALES.items()):
        part = slice(i * len(names), (i + 1) * len(names))
        estimates[kind] = {
            name: around(float(value), error, documents, scale).to_json()
            for name, value, error in zip(names, values[part], known[part], strict=True)
        }
    del estimates["excess"][HUMAN], estimates["unrepaired"][HUMAN]
    estimates["unrepaired"].pop("synthetic", None)
    if errors is not None:
        for name, excess in estimates["excess"].items():
            excess["p"] = _excess_p(groups, name, name in edited)
    return estimates


def _excess_p(groups: dict[str, np.ndarray], name: str, paired: bool) -> float:
    """p of a corpus being as near the reference as human text, by permuting labels of groups."""
    reference = groups[REFERENCE].sum(axis=0, dtype=float)

    def excess(corpus: np.ndarray, human: np.ndarray) -> float:
        totals = (rows.sum(axis=0, dtype=float) for rows in (corpus, human))
        first, second = (js_distance(reference, total) for total in totals)
        return float(first - second)

    return permuted_p(excess, groups[name], groups[HUMAN], paired)


def _known(rows: list[dict[str, Any]], measure: str) -> list[float]:
    return [row[measure] for row in rows if row[measure] is not None]


def _difference(rows: list[dict], human: list[dict], measure: str) -> dict[str, Any]:
    first, second = _known(rows, measure), _known(human, measure)
    return difference_of_means(first, second, measure).to_json()


def _entropy(counts: np.ndarray) -> float | None:
    bits = entropy(counts)
    return float(bits) if np.isfinite(bits) else None


def _ranks(counts: np.ndarray) -> list[list[float]]:
    """Rank and share of buckets, thinned evenly on a logarithmic axis."""
    sizes = np.sort(counts[counts > 0])[::-1]
    if not len(sizes):
        return []
    ranks = np.unique(np.geomspace(1, len(sizes), RANKS).round().astype(int))
    return [[int(rank), float(sizes[rank - 1] / counts.sum())] for rank in ranks]
