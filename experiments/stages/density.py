"""Estimate how densely a corpus covers the neighbourhood of each of its documents."""

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
from toedit.progress import counted
from toedit.stats.density import Density

RESPONSES = "responses.npy"


@dataclass
class DensityStage(StageConfig, kind="density"):
    """Size of the sketch, whose hash functions are the same for every corpus, and the number of
    documents in it."""

    repetitions: int
    buckets: int
    documents: int | None = None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write the response of the sketch to each document; return quartiles.

        A document's own share of the buckets is left out: the response to a document that resembles
        no other comes from collisions alone and is near 0.
        """
        sketch = Density(self.repetitions, self.buckets)

        def texts() -> Iterator[str]:
            documents = islice(training_text(context), self.documents)
            label = f"density {context.stage.name}"
            return (d.text for d in counted(documents, label, "documents"))

        sketch.add(texts())
        count = sketch.documents
        with_itself = np.fromiter(map(sketch.response, texts()), float)
        responses = (with_itself * count - 1) / (count - 1) if count > 1 else np.full(count, np.nan)
        save_array(context.folder / RESPONSES, responses)
        known = responses[~np.isnan(responses)]
        quartiles = np.quantile(known, [0.25, 0.5, 0.75]).tolist() if len(known) else None
        return {"documents": count, "response_quartiles": quartiles}


def stage(text: Stage, name: str, config: StatisticsConfig, arm: str) -> Stage:
    """The responses of a sketch of a corpus to its documents."""
    sketch = DensityStage(config.repetitions, config.density_buckets, config.density_documents)
    return Stage(sketch, name, text_inputs([text]), arm=arm, tracked=True)


def read(folder: Path) -> np.ndarray:
    """Responses to all documents, float64 ``[n]``; NaN if there is only one document."""
    return load_array(folder / RESPONSES)
