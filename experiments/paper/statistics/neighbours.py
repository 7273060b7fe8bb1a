"""Densities, selection weights and the map of corpora."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.paper.statistics.intervals import Found, around, bootstrap, minus
from experiments.plans.statistics import HUMAN
from experiments.stages import density as density_stage
from experiments.stages import embedding_map
from experiments.stages.select import SELECTION
from toedit.corpora.files import damaged_as

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
            name: bootstrap(lambda a, b: [a.mean(axis=-1) - b.mean(axis=-1)], [own, known[HUMAN]])[
                0
            ]
            for name, own in known.items()
            if name != HUMAN and len(own) and len(known[HUMAN])
        },
    }


def selections(found: Found) -> dict[str, Any]:
    """Weights of all documents and of the chosen ones, on common edges, by method."""
    import pyarrow.parquet as pq

    values = {}
    for label, (folder, record) in found.items():
        kind, _, name = label.partition("/")
        if kind != "select":
            continue
        with damaged_as(folder / SELECTION):
            table = pq.read_table(folder / SELECTION, columns=["weight", "chosen"])
        weights, chosen = (table[column].to_numpy() for column in ("weight", "chosen"))
        edges = np.linspace(weights.min(), weights.max() + 1e-9, BINS + 1)
        values[name] = {
            "edges": edges.tolist(),
            "all": (np.histogram(weights, edges)[0] / len(weights)).tolist(),
            "chosen": (np.histogram(weights[chosen], edges)[0] / chosen.sum()).tolist(),
            "metrics": record["metrics"],
        }
    return values


def purity(found: Found) -> dict[str, Any]:
    """Places of documents, the purity of each corpus beside the reference, and by how much it
    exceeds that of human text (``more``)."""
    if "map/corpora" not in found:
        return {}
    rows = embedding_map.read(found["map/corpora"][0])
    corpora: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(rows["corpus"].tolist()):
        own = rows["corpus"] == name
        known = rows["purity"][own & ~np.isnan(rows["purity"])]
        error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else None
        corpora[name] = {
            "documents": int(own.sum()),
            "purity": around(float(known.mean()) if len(known) else np.nan, error),
            "x": rows["x"][own].tolist(),
            "y": rows["y"][own].tolist(),
        }
    for row in corpora.values():
        row["more"] = minus(row["purity"], corpora[HUMAN]["purity"])
    return corpora
