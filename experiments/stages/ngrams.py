"""Count words and pairs of words of a corpus, and measure how varied they are."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config.statistics import StatisticsConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import text_inputs, training_text
from toedit.corpora.files import load_array, read_json, save_array, write_json
from toedit.progress import counted
from toedit.stats.lexical import FrequentPairs, chunks, lexical
from toedit.stats.ngrams import HashedNgrams

ORDER = 2
COUNTS, PAIRS, CHUNKS = "counts.npy", "pairs.json", "chunks.json"


@dataclass
class NgramsStage(StageConfig, kind="ngrams"):
    """How n-grams are counted (:class:`StatisticsConfig`)."""

    buckets: int
    groups: int
    chunks: int
    chunk_words: int
    top: int

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write counts by group of documents, pairs and measures by chunk; return their means.

        The text is read twice; only the chunks are held in memory.
        """
        pairs, features = FrequentPairs(), HashedNgrams(ORDER, self.buckets)

        def texts() -> Iterator[str]:
            label = f"n-grams {context.stage.name}"
            for document in counted(training_text(context), label, "documents"):
                pairs.add(document.text)
                yield document.text

        counts = features.grouped(texts(), self.groups)
        samples = chunks((d.text for d in training_text(context)), self.chunks, self.chunk_words)
        measures = [asdict(lexical(sample)) for sample in samples]
        save_array(context.folder / COUNTS, counts)
        write_json(context.folder / CHUNKS, measures)
        frequent = {"pairs": pairs.top(self.top), "total": pairs.total, "missing": pairs.missing}
        write_json(context.folder / PAIRS, frequent)
        means = {
            name: float(np.mean([row[name] for row in measures]))
            for name in (measures[0] if measures else ())
            if all(row[name] is not None for row in measures)
        }
        sums = counts.sum(axis=(1, 2))
        return {"words": int(sums[0]), "pairs": int(sums[1]), "chunks": len(samples), **means}


def stage(text: Stage, name: str, config: StatisticsConfig, arm: str) -> Stage:
    """The n-grams of a corpus."""
    settings = NgramsStage(
        config.buckets, config.groups, config.chunks, config.chunk_words, config.top
    )
    return Stage(settings, name, text_inputs([text]), arm=arm, tracked=True)


def read(folder: Path) -> tuple[np.ndarray, dict[str, Any], list[dict[str, Any]]]:
    """Counts ``[2, groups, buckets]`` of words and pairs, the most frequent pairs, and the measures
    of each chunk."""
    counts = load_array(folder / COUNTS)
    return counts, read_json(folder / PAIRS), read_json(folder / CHUNKS)
