"""The words and pairs of words of a corpus: hashed, the commonest, and how varied they are."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config.statistics import StatisticsConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import text_inputs, training_text
from toedit.corpora.files import load_array, read_json, save_array, write_json

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
        """Writes counts by group of documents, pairs and measures by chunk; returns their means.

        The text is read in two passes, and no more of it is held than the chunks.
        """
        from tqdm import tqdm

        from toedit.stats.lexical import FrequentPairs, chunks, lexical
        from toedit.stats.ngrams import HashedNgrams

        pairs, features = FrequentPairs(), HashedNgrams(ORDER, self.buckets)

        def texts() -> Iterator[str]:
            bar = tqdm(desc=f"n-grams {context.stage.name}", unit="doc", mininterval=1, delay=5)
            with bar:
                for document in training_text(context):
                    pairs.add(document.text)
                    yield document.text
                    bar.update()

        counts = features.grouped(texts(), self.groups)
        samples = chunks((d.text for d in training_text(context)), self.chunks, self.chunk_words)
        measured = [asdict(lexical(sample)) for sample in samples]
        save_array(context.folder / COUNTS, counts)
        write_json(context.folder / CHUNKS, measured)
        found = {"pairs": pairs.top(self.top), "total": pairs.total, "missing": pairs.missing}
        write_json(context.folder / PAIRS, found)
        means = {
            name: float(np.mean([row[name] for row in measured]))
            for name in (measured[0] if measured else ())
            if all(row[name] is not None for row in measured)
        }
        sums = counts.sum(axis=(1, 2))
        return {"words": int(sums[0]), "pairs": int(sums[1]), "chunks": len(samples), **means}


def stage(text: Stage, name: str, config: StatisticsConfig, arm: str) -> Stage:
    """The n-grams of a corpus."""
    own = NgramsStage(config.buckets, config.groups, config.chunks, config.chunk_words, config.top)
    return Stage(own, name, text_inputs([text]), arm=arm, tracked=True)


def read(folder: Path) -> tuple[np.ndarray, dict[str, Any], list[dict[str, Any]]]:
    """Counts ``[2, groups, buckets]`` of words and pairs; the commonest pairs; the chunks."""
    counts = load_array(folder / COUNTS)
    return counts, read_json(folder / PAIRS), read_json(folder / CHUNKS)
