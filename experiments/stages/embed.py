"""Compute sentence embeddings of the first documents of a corpus."""

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config.statistics import StatisticsConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import text_inputs, training_text
from toedit import embedded
from toedit.corpora.files import load_array, save_array
from toedit.stats.embeddings import SentenceEncoder

EMBEDDINGS = "embeddings.npy"
PARAMETERS, WIDTH = 10_646_784, 384
"""Parameters and width of the layers of the embedded encoder; its embedding is a lookup."""


@dataclass
class EmbedStage(StageConfig, kind="embed"):
    """The encoder, its maximum tokens per document, and the number of documents."""

    encoder: str = field(metadata={"identity": "model"})
    length: int
    documents: int | None
    revision: str | None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write ``embeddings.npy``; return its shape."""
        from toedit.priors.hf import pick_device

        hub = self.revision if self.encoder != "embedded" else None
        encoder = SentenceEncoder(self.encoder, self.length, hub, pick_device("auto"))
        texts = [d.text for d in islice(training_text(context), self.documents)]
        embeddings = encoder.encode(texts, f"embed {context.stage.name}")
        save_array(context.folder / EMBEDDINGS, embeddings)
        return {"documents": len(embeddings), "width": embeddings.shape[1]}


def stage(text: Stage, name: str, config: StatisticsConfig, arm: str) -> Stage:
    """The embeddings of a corpus."""
    shipped = config.encoder == "embedded"
    revision = embedded.ENCODER.revision if shipped else config.encoder_revision
    encoder = EmbedStage(config.encoder, config.encoder_length, config.embedded, revision)
    return Stage(encoder, name, text_inputs([text]), arm=arm, tracked=True)


def read(folder: Path) -> np.ndarray:
    """Embeddings, float32 ``[documents, width]``."""
    return load_array(folder / EMBEDDINGS)
