"""Statistics of density, selection weights and nearest neighbours of corpora."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.analysis import means, resampling
from experiments.plans.statistics import HUMAN, REFERENCE
from experiments.stages import density as density_stage
from experiments.stages import embed, embedding_map
from experiments.stages.select import SELECTION
from toedit.corpora.files import load_table
from toedit.stats import embeddings

Outputs = dict[str, tuple[Path, dict[str, Any]]]
"""Folder and record of each stage, by ``kind/name``."""

BINS = 40


def density(outputs: Outputs, corpora: list[str]) -> dict[str, Any]:
    """Histograms of the responses of documents on common edges, and the difference of their mean
    from that of human text (``more``); empty if not measured."""
    responses = {}
    for name in corpora:
        if f"density/{name}" in outputs:
            values = density_stage.read(outputs[f"density/{name}"][0])
            values = values[~np.isnan(values)]
            if len(values):
                responses[name] = values
    if not responses:
        return {}
    every = np.concatenate(list(responses.values()))
    edges = np.linspace(min(every.min(), 0), every.max() + 1e-9, BINS + 1)
    similar = {name: means.mean_similarity(values) for name, values in responses.items()}
    return {
        "edges": edges.tolist(),
        "corpora": {
            name: {
                "documents": len(values),
                "quartiles": np.quantile(values, [0.25, 0.5, 0.75]).tolist(),
                "histogram": (np.histogram(values, edges)[0] / len(values)).tolist(),
            }
            for name, values in responses.items()
        },
        "more": {
            name: means.minus(estimate, similar[HUMAN]).to_json()
            for name, estimate in similar.items()
            if name != HUMAN and HUMAN in similar
        },
    }


def selections(outputs: Outputs) -> dict[str, Any]:
    """Histograms of the weights of all and of the chosen documents, on common edges, by method."""
    values = {}
    for label, (folder, record) in outputs.items():
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


def purity(outputs: Outputs, edited: list[str]) -> dict[str, Any]:
    """Map coordinates of documents and nearest-neighbour purity of each corpus.

    Purity is the mean share of a document's neighbours that are of its corpus, among the corpus and
    as many documents of the reference. ``more`` is its excess over that of human text, with p of
    permuted labels. Documents of ``edited`` corpora are the human ones, edited.
    """
    if "map/corpora" not in outputs:
        return {}
    folder, record = outputs["map/corpora"]
    rows = embedding_map.read(folder)
    neighbours = record["config"]["neighbours"]
    names = list(dict.fromkeys(rows["corpus"].tolist()))
    embedded = {name: embed.read(outputs[f"embed/{name}"][0]) for name in [*names, REFERENCE]}
    corpora: dict[str, dict[str, Any]] = {}
    for name in names:
        selected = rows["corpus"] == name
        corpora[name] = {
            "documents": int(selected.sum()),
            **_purity(embedded, name, name in edited, neighbours),
            "x": rows["x"][selected].tolist(),
            "y": rows["y"][selected].tolist(),
        }
    return corpora


def _purity(
    embedded: dict[str, np.ndarray], name: str, paired: bool, neighbours: int
) -> dict[str, Any]:
    """Purity of a corpus, and its excess over that of human text on the same subsamples."""
    human, reference, corpus = embedded[HUMAN], embedded[REFERENCE], embedded[name]
    paired = paired and len(corpus) == len(human)

    def share(rows: np.ndarray, others: np.ndarray) -> float:
        size = min(len(rows), len(others))
        both = np.concatenate([rows[:size], others[:size]])
        labels = np.repeat([0, 1], size)
        return float(embeddings.purity(both, labels, neighbours)[:size].mean())

    def statistics(first: np.ndarray, second: np.ndarray, others: np.ndarray) -> np.ndarray:
        value = share(first, others)
        return np.array([value, value - share(second, others)])

    groups = [0, 0 if paired or name == HUMAN else 1, 2]
    scales = ["share of neighbours"] * 2
    values = resampling.subsampled(statistics, [corpus, human, reference], groups, scales)
    more = values[1].to_json()
    if name != HUMAN and min(len(corpus), len(human)) > 1:
        more["p"] = resampling.permuted_p(
            lambda a, b: float(statistics(a, b, reference)[1]), corpus, human, paired
        )
    return {"purity": values[0].to_json(), "more": more}
