"""Steps that read the documents of a unit or a file, and their stored scores."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from datatrove.pipeline.base import PipelineStep

from toedit.corpora.documents import Reading, read_documents
from toedit.corpora.remote import short_names
from toedit.corpora.scores import pair_scores, read_scores, row_groups
from toedit.corpora.sources import file_documents
from toedit.corpora.units import Unit, read_units
from toedit.document import Document
from toedit.pipeline.base import SCORES, FolderStep, shard_name
from toedit.priors.base import CandidateRange


@lru_cache(maxsize=2)
def _manifest(path: str, changed: int) -> list[Unit]:
    return read_units(Path(path))


class ReadUnit(PipelineStep):
    """Read the documents of the task's unit; unlike datatrove's readers it drops none."""

    name, type = "unit", "reader"

    def __init__(self, manifest: str, reading: Reading = Reading()) -> None:  # noqa: B008
        super().__init__()
        self.manifest, self.reading = manifest, reading

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        units = _manifest(self.manifest, os.stat(self.manifest).st_mtime_ns)
        yield from read_documents(units[rank], self.reading)


class ReadFile(PipelineStep):
    """Read a whole local or remote file; its columns other than id and text are dropped.

    Args:
        files: addresses of the files, one a task.
        folder: folder for temporary copies of remote files.
        reading: how records become documents.
        metadata: metadata of every document.
        prefix: prefix of the id of every document.
    """

    name, type = "file", "reader"

    def __init__(
        self,
        files: Sequence[str],
        folder: str,
        reading: Reading,
        metadata: Mapping[str, str],
        prefix: str = "",
    ) -> None:
        super().__init__()
        self.files, self.folder, self.prefix = list(files), folder, prefix
        self.reading, self.metadata = reading, dict(metadata)

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        name, folder = short_names(self.files)[rank], Path(self.folder) / f"{rank:05d}"
        for document in file_documents(self.files[rank], name, folder, self.reading, self.prefix):
            yield Document(document.id, document.text, dict(self.metadata))


@lru_cache(maxsize=2)
def _groups(folder: str, units: int) -> list[tuple[Path, int]]:
    return row_groups(Path(folder), units)


class AttachScores(FolderStep):
    """Attach the scores of the same unit from an earlier scoring pass.

    Args:
        folder: of the scores, a shard a unit.
        need: the candidates to attach, of files with a row group a unit; None for all, of shards.
    """

    name, type = "scores", "reader"

    def __init__(self, folder: str, need: CandidateRange | None = None) -> None:
        super().__init__(folder)
        self.need = need

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        if self.need is None:
            stored = read_scores(Path(self.folder) / shard_name(rank))
        else:
            stored = read_scores(*_groups(self.folder, world_size)[rank])
        for document, scores in pair_scores(data, stored):
            if scores is not None and self.need is not None:
                scores = scores.narrowed(self.need)
            document.metadata[SCORES] = scores
            yield document
