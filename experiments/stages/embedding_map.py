"""Map embedded corpora to two dimensions, and measure how well each separates from a reference."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from experiments.config.statistics import StatisticsConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages import embed
from toedit.corpora.files import load_table, save_table
from toedit.stats.embeddings import purity

MAP = "map.parquet"


@dataclass
class MapStage(StageConfig, kind="map"):
    """Name of the reference corpus, number of neighbours, and perplexity and seed of t-SNE."""

    reference: str
    neighbours: int
    perplexity: float
    seed: int

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write coordinates and purity of every document; return the mean purity by corpus.

        Purity compares each corpus with equally many documents of the reference. The reference is
        left out of the map, which would only grow denser.
        """
        corpora = {name: embed.read(folder) for name, folder in context.inputs.items()}
        reference = corpora.pop(self.reference)
        purities = {}
        for name, embeddings in corpora.items():
            size = min(len(embeddings), len(reference))
            both = np.concatenate([embeddings[:size], reference[:size]])
            values = purity(both, np.repeat([0, 1], size), self.neighbours)[:size]
            missing = np.full(len(embeddings) - size, np.nan)
            purities[name] = np.concatenate([values, missing])
        points = _tsne(np.concatenate(list(corpora.values())), self)
        table = pa.table(
            {
                "corpus": [name for name, embeddings in corpora.items() for _ in embeddings],
                "x": points[:, 0],
                "y": points[:, 1],
                "purity": np.concatenate(list(purities.values())),
            }
        )
        save_table(context.folder / MAP, table)
        known = {name: values[~np.isnan(values)] for name, values in purities.items()}
        return {name: float(v.mean()) if len(v) else None for name, v in known.items()}


def stage(embedded: dict[str, Stage], reference: str, config: StatisticsConfig, seed: int) -> Stage:
    """The map of embedded corpora, which are compared with the corpus named ``reference``."""
    settings = MapStage(reference, config.neighbours, config.tsne_perplexity, seed)
    return Stage(settings, "corpora", dict(embedded), arm="map", seed=seed, tracked=True)


def _tsne(embeddings: np.ndarray, config: MapStage) -> np.ndarray:
    """Coordinates ``[n, 2]`` by t-SNE; 0 for fewer than 4 documents or identical ones."""
    from sklearn.manifold import TSNE

    count = len(embeddings)
    if count < 4 or np.ptp(embeddings, axis=0).max() == 0:
        return np.zeros((count, 2))
    neighbours = min(config.perplexity, (count - 1) / 3)
    return TSNE(perplexity=neighbours, init="pca", random_state=config.seed).fit_transform(
        embeddings.astype(np.float64)
    )


def read(folder: Path) -> dict[str, np.ndarray]:
    """Columns ``corpus``, ``x``, ``y`` and ``purity``, a row per document."""
    table = load_table(folder / MAP)
    return {name: np.array(table[name].to_pylist()) for name in table.column_names}
