"""Steps about runs of words that a text shares with others: finding them, and leaving texts out."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from datatrove.data import Document as StepDocument
from datatrove.pipeline.base import PipelineStep

from toedit.corpora.files import (
    atomic_path,
    damaged_as,
    load_table,
    read_json,
    save_table,
    write_json,
)
from toedit.corpora.split import ngrams, shared


class WriteOverlap(PipelineStep):
    """Writes which documents of a unit share a run of words with an index, and which runs.

    Args:
        folder: where.
        index: file of numpy with the sorted runs of each group (:func:`write_index`).
    """

    name, type = "overlap", "writer"

    def __init__(self, folder: str, index: str) -> None:
        super().__init__()
        self.folder, self.index = folder, index

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        index, ids = _index(self.index), []
        counts: Counter[str] = Counter()
        found: dict[str, list[np.ndarray]] = {name: [] for name in index}
        number = 0
        for carrier in data:
            number += 1
            runs = ngrams(carrier.text)
            own = {name: shared(runs, known) for name, known in index.items()}
            overlapping = {name: same for name, same in own.items() if len(same)}
            counts.update(overlapping.keys())
            for name, same in overlapping.items():
                found[name].append(same)
            if overlapping:
                ids.append(carrier.id)
        folder = Path(self.folder)
        write_index(folder / f"{rank:05d}.npz", found)
        save_table(folder / f"{rank:05d}.parquet", pa.table({"id": pa.array(ids, pa.string())}))
        write_json(folder / f"{rank:05d}.json", {"documents": number, "overlapping": dict(counts)})


def write_index(path: Path, runs: dict[str, list[np.ndarray]]) -> None:
    """Writes runs of words by group, sorted, each once."""
    empty = np.zeros(0, np.uint64)
    found = {name: np.unique(np.concatenate([empty, *own])) for name, own in runs.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **found)


@lru_cache(maxsize=1)
def _index(path: str) -> dict[str, np.ndarray]:
    return read_index(Path(path))


def read_index(path: Path) -> dict[str, np.ndarray]:
    """What :func:`write_index` wrote."""
    with damaged_as(path), np.load(path, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


def read_overlap(folder: Path) -> tuple[int, dict[str, int], dict[str, np.ndarray]]:
    """Sums over the units that :class:`WriteOverlap` left in a folder.

    Returns:
        How many documents there are, how many of them each group touches, and the shared runs.
    """
    documents, overlapping = 0, Counter[str]()
    runs: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*.json")):
        with damaged_as(path):
            counts = read_json(path)
            documents += counts["documents"]
            overlapping.update(counts["overlapping"])
        for name, own in read_index(path.with_suffix(".npz")).items():
            runs[name] = np.union1d(runs[name], own) if name in runs else own
    return documents, dict(overlapping), runs


class Without(PipelineStep):
    """Leaves out documents that :class:`WriteOverlap` found.

    Args:
        folder: where it wrote.
    """

    name, type = "without", "filter"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[StepDocument]:
        overlapping = _touched(self.folder)
        yield from (carrier for carrier in data if carrier.id not in overlapping)


@lru_cache(maxsize=1)
def _touched(folder: str) -> frozenset[str]:
    ids: set[str] = set()
    for path in sorted(Path(folder).glob("*.parquet")):
        ids.update(load_table(path)["id"].to_pylist())
    return frozenset(ids)
