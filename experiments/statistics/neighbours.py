"""Densities, selection weights and the map of corpora."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.analysis import means, resampling
from experiments.plans.statistics import HUMAN, REFERENCE
from experiments.stages import density as density_stage
from experiments.stages import embed, embedding_map
from experiments.stages.select import SELECTION
from toedit.corpora.files import load_table

Found = dict[str, tuple[Path, dict[str, Any]]]
"""Folder and record of each stage, by ``kind/name``."""

BINS = 40


def density(found: Found, corpora: list[str]) -> dict[str, Any]:
    """Histograms of the responses of documents on common edges, and by how much their mean exceeds
    that of human text (``more``); empty where not measured."""
    names = [name for name in corpora if f"density/{name}" in found]
    responses = {name: density_stage.read(found[f"density/{name}"][0]) for name in names}
    known = {name: own[~np.isnan(own)] for name, own in responses.items()}
    every = np.concatenate([np.zeros(0), *known.values()])
    if not len(every):
        return {}
    edges = np.linspace(min(every.min(), 0), every.max() + 1e-9, BINS + 1)
    similar = {name: means.mean_similarity(own) for name, own in known.items() if len(own)}
    return {
        "edges": edges.tolist(),
        "corpora": {
            name: {
                "documents": len(own),
                "quartiles": np.quantile(own, [0.25, 0.5, 0.75]).tolist(),
                "histogram": (np.histogram(own, edges)[0] / len(own)).tolist(),
            }
            for name, own in known.items()
            if len(own)
        },
        "more": {
            name: means.minus(own, similar[HUMAN]).to_json()
            for name, own in similar.items()
            if name != HUMAN and HUMAN in similar
        },
    }


def selections(found: Found) -> dict[str, Any]:
    """Weights of all documents and of the chosen ones, on common edges, by method."""
    values = {}
    for label, (folder, record) in found.items():
        kind, _, name = label.partition("/")
        if kind != "select":
            continue
        table = load_table(folder / SELECTION, ["weight", "chosen"])
        weights, chosen = (table[column].to_numpy() for column in ("weight", "chosen"))
        edges = np.linspace(weights.min(), weights.max() + 1e-9, BINS + 1)
        values[name] = {
            "edges": edges.tolist(),
            "all": (np.histogram(weights, edges)[0] / len(weights)).tolist(),
            "chosen": (np.histogram(weights[chosen], edges)[0] / chosen.sum()).tolist(),
            "metrics": record["metrics"],
        }
    return values


def purity(found: Found, edited: list[str]) -> dict[str, Any]:
    """Places of documents, the purity of each corpus beside the reference, and by how much it
    exceeds that of human text (``more``), with p of permuted labels.

    Args:
        found: folders and records.
        edited: corpora whose documents are the human ones, edited.
    """
    if "map/corpora" not in found:
        return {}
    folder, record = found["map/corpora"]
    rows = embedding_map.read(folder)
    neighbours = record["config"]["neighbours"]
    names = list(dict.fromkeys(rows["corpus"].tolist()))
    embedded = {name: embed.read(found[f"embed/{name}"][0]) for name in [*names, REFERENCE]}
    corpora: dict[str, dict[str, Any]] = {}
    for name in names:
        own = rows["corpus"] == name
        paired = name in edited
        corpora[name] = {
            "documents": int(own.sum()),
            **_compared(embedded, name, paired, neighbours),
            "x": rows["x"][own].tolist(),
            "y": rows["y"][own].tolist(),
        }
    return corpora


def _compared(
    embedded: dict[str, np.ndarray], name: str, paired: bool, neighbours: int
) -> dict[str, Any]:
    """Purity of a corpus, and how much it exceeds the human one's on the same subsamples."""
    human, reference, own = embedded[HUMAN], embedded[REFERENCE], embedded[name]
    paired = paired and len(own) == len(human)

    def both(first: np.ndarray, second: np.ndarray, other: np.ndarray) -> np.ndarray:
        purities = [_purity(rows, other, neighbours) for rows in (first, second)]
        return np.array([purities[0], purities[0] - purities[1]])

    groups = [0, 0 if paired or name == HUMAN else 1, 2]
    scales = ["share of neighbours"] * 2
    values = resampling.subsampled(both, [own, human, reference], groups, scales)
    more = values[1].to_json()
    if name != HUMAN and min(len(own), len(human)) > 1:
        more["p"] = resampling.permuted_p(
            lambda a, b: float(both(a, b, reference)[1]), own, human, paired
        )
    return {"purity": values[0].to_json(), "more": more}


def _purity(own: np.ndarray, reference: np.ndarray, neighbours: int) -> float:
    """Mean share of a corpus's nearest neighbours that are its own, beside as many others."""
    from toedit.stats.embeddings import purity as of_own

    size = min(len(own), len(reference))
    both = np.concatenate([own[:size], reference[:size]])
    return float(of_own(both, np.repeat([0, 1], size), neighbours)[:size].mean())
