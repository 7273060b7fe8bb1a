"""Steps that find documents sharing n-grams with other texts, and that drop them."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from datatrove.pipeline.base import PipelineStep

from toedit.corpora import files
from toedit.corpora.split import ngrams, shared
from toedit.document import Document
from toedit.pipeline.base import FolderStep


class WriteOverlap(PipelineStep):
    """Write which documents of a unit share an n-gram of words with an index, and the n-grams.

    Args:
        folder: output folder.
        index: ``.npz`` file with the sorted n-gram hashes of each group (:func:`write_index`).
    """

    name, type = "overlap", "writer"

    def __init__(self, folder: str, index: str) -> None:
        super().__init__()
        self.folder, self.index = folder, index

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        index, ids = _index(self.index), []
        counts: Counter[str] = Counter()
        shared_ngrams: dict[str, list[np.ndarray]] = {name: [] for name in index}
        documents = 0
        for document in data:
            documents += 1
            hashes = ngrams(document.text)
            overlap = {name: shared(hashes, known) for name, known in index.items()}
            overlap = {name: common for name, common in overlap.items() if len(common)}
            counts.update(overlap.keys())
            for name, common in overlap.items():
                shared_ngrams[name].append(common)
            if overlap:
                ids.append(document.id)
        path = Path(self.folder) / f"{rank:05d}.json"
        write_index(path.with_suffix(".npz"), shared_ngrams)
        files.save_table(path.with_suffix(".parquet"), pa.table({"id": pa.array(ids, pa.string())}))
        files.write_json(path, {"documents": documents, "overlapping": dict(counts)})


def write_index(path: Path, hashes: dict[str, list[np.ndarray]]) -> None:
    """Write the sorted, distinct n-gram hashes (uint64) of each group."""
    empty = np.zeros(0, np.uint64)
    arrays = {name: np.unique(np.concatenate([empty, *parts])) for name, parts in hashes.items()}
    with files.atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **arrays)


@lru_cache(maxsize=1)
def _index(path: str) -> dict[str, np.ndarray]:
    return read_index(Path(path))


def read_index(path: Path) -> dict[str, np.ndarray]:
    """Read the file of :func:`write_index`."""
    with files.damaged_as(path), np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def read_overlap(folder: Path) -> tuple[int, dict[str, int], dict[str, np.ndarray]]:
    """Sum up the files of :class:`WriteOverlap` over all units.

    Returns:
        Number of documents, number of overlapping documents by group, and the shared n-grams.
    """
    documents, overlapping = 0, Counter[str]()
    ngrams_by_group: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*.json")):
        with files.damaged_as(path):
            counts = files.read_json(path)
            documents += counts["documents"]
            overlapping.update(counts["overlapping"])
        for name, hashes in read_index(path.with_suffix(".npz")).items():
            known = ngrams_by_group.get(name, hashes)
            ngrams_by_group[name] = np.union1d(known, hashes)
    return documents, dict(overlapping), ngrams_by_group


class Without(FolderStep):
    """Drop the documents that :class:`WriteOverlap` wrote to ``folder``."""

    name, type = "without", "filter"

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        overlapping = _overlapping_ids(self.folder)
        yield from (document for document in data if document.id not in overlapping)


@lru_cache(maxsize=1)
def _overlapping_ids(folder: str) -> frozenset[str]:
    paths = sorted(Path(folder).glob("*.parquet"))
    return frozenset(
        identity for path in paths for identity in files.load_table(path)["id"].to_pylist()
    )
