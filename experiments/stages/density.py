"""How densely a corpus covers the neighbourhood of each of its documents."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config.statistics import StatisticsConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import text_inputs, training_text
from toedit.corpora.files import load_array, save_array

RESPONSES = "responses.npy"


@dataclass
class DensityStage(StageConfig, kind="density"):
    """The sketch, whose hash functions are the same for every corpus, and how much goes in."""

    repetitions: int
    buckets: int
    documents: int | None = None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes a response a document; returns their quartiles.

        A document's own share of the buckets is left out, so that the response of one that
        resembles no other comes from collisions alone, near zero.
        """
        from tqdm import tqdm

        from toedit.stats.density import Density

        sketch = Density(self.repetitions, self.buckets)

        def texts() -> Iterator[str]:
            found = islice(training_text(context), self.documents)
            label = f"density {context.stage.name}"
            return (d.text for d in tqdm(found, label, unit="doc", mininterval=1, delay=5))

        sketch.add(texts())
        count = sketch.documents
        with_itself = np.fromiter(map(sketch.response, texts()), float)
        responses = (with_itself * count - 1) / (count - 1) if count > 1 else np.full(count, np.nan)
        save_array(context.folder / RESPONSES, responses)
        known = responses[~np.isnan(responses)]
        quartiles = np.quantile(known, [0.25, 0.5, 0.75]).tolist() if len(known) else None
        return {"documents": count, "response_quartiles": quartiles}


def stage(text: Stage, name: str, config: StatisticsConfig, arm: str) -> Stage:
    """The responses of a corpus to a sketch of itself."""
    own = DensityStage(config.repetitions, config.density_buckets, config.density_documents)
    return Stage(own, name, text_inputs([text]), arm=arm, tracked=True)


def read(folder: Path) -> np.ndarray:
    """Responses of all documents, float64 ``[n]``; NaN for the only one."""
    return load_array(folder / RESPONSES)
