"""Corpora on one map, and how much each keeps to itself beside human text of the same kind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from experiments.config.statistics import StatisticsConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages import embed
from toedit.corpora.files import load_table, save_table

MAP = "map.parquet"


@dataclass
class MapStage(StageConfig, kind="map"):
    """The reference, neighbours counted, and how t-SNE is run."""

    reference: str
    neighbours: int
    perplexity: float
    seed: int

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes coordinates and purity of every document; returns the mean purity by corpus.

        The reference takes part in the neighbourhoods, each corpus with it alone and equally many
        of both, but not in the picture, which would only grow denser.
        """
        from toedit.stats.embeddings import purity

        found = {name: embed.read(folder) for name, folder in context.inputs.items()}
        reference = found.pop(self.reference)
        purities = {}
        for name, own in found.items():
            size = min(len(own), len(reference))
            both = np.concatenate([own[:size], reference[:size]])
            labels = np.repeat([0, 1], size)
            of_own = purity(both, labels, self.neighbours)[:size]
            purities[name] = np.concatenate([of_own, np.full(len(own) - size, np.nan)])
        places = _places(np.concatenate(list(found.values())), self)
        table = pa.table(
            {
                "corpus": [name for name, own in found.items() for _ in own],
                "x": places[:, 0],
                "y": places[:, 1],
                "purity": np.concatenate(list(purities.values())),
            }
        )
        save_table(context.folder / MAP, table)
        known = {name: values[~np.isnan(values)] for name, values in purities.items()}
        return {name: float(v.mean()) if len(v) else None for name, v in known.items()}


def stage(embedded: dict[str, Stage], reference: str, config: StatisticsConfig, seed: int) -> Stage:
    """The map of embedded corpora; ``reference`` names the one the others are compared with."""
    own = MapStage(reference, config.neighbours, config.tsne_perplexity, seed)
    return Stage(own, "corpora", dict(embedded), arm="map", seed=seed, tracked=True)


def _places(embeddings: np.ndarray, config: MapStage) -> np.ndarray:
    """Coordinates ``[n, 2]``; too few documents for t-SNE, or all alike, lie at the origin."""
    from sklearn.manifold import TSNE

    count = len(embeddings)
    if count < 4 or np.ptp(embeddings, axis=0).max() == 0:
        return np.zeros((count, 2))
    neighbours = min(config.perplexity, (count - 1) / 3)
    return TSNE(perplexity=neighbours, init="pca", random_state=config.seed).fit_transform(
        embeddings.astype(np.float64)
    )


def read(folder: Path) -> dict[str, np.ndarray]:
    """Columns ``corpus``, ``x``, ``y`` and ``purity``, a row a document."""
    table = load_table(folder / MAP)
    return {name: np.array(table[name].to_pylist()) for name in table.column_names}
