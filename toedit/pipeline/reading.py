"""Steps that read: the documents of a unit or a file, and the scores kept of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from datatrove.data import Document as StepDocument
from datatrove.pipeline.base import PipelineStep

from toedit.corpora.documents import EDITABLE, Reading, read_documents
from toedit.corpora.remote import short_names
from toedit.corpora.scores import read_scores
from toedit.corpora.sources import file_documents
from toedit.corpora.units import Unit, read_units
from toedit.errors import UserError
from toedit.pipeline.base import SCORES, shard_name


@lru_cache(maxsize=2)
def _manifest(path: str) -> list[Unit]:
    return read_units(Path(path))


class ReadUnit(PipelineStep):
    """Reads the rows of the task's unit; unlike datatrove's readers it drops no document."""

    name, type = "unit", "reader"

    def __init__(self, manifest: str, reading: Reading = Reading()) -> None:  # noqa: B008
        super().__init__()
        self.manifest, self.reading = manifest, reading

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[StepDocument]:
        unit = _manifest(self.manifest)[rank]
        for document in read_documents(unit, self.reading):
            carrier = StepDocument(text=document.text, id=document.id, metadata=document.metadata)
            if document.editable is not None:
                carrier.metadata[EDITABLE] = document.editable
            yield carrier


class ReadFile(PipelineStep):
    """Reads a whole file, wherever it lies; of other columns nothing is kept.

    Args:
        files: addresses of the files, one a task.
        folder: where copies of files from elsewhere lie meanwhile.
        reading: how records become documents.
        metadata: of every document.
        prefix: before the id of every document.
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
        self.prefix = prefix
        self.files, self.folder = list(files), folder
        self.reading, self.metadata = reading, dict(metadata)

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[StepDocument]:
        name, folder = short_names(self.files)[rank], Path(self.folder) / f"{rank:05d}"
        for document in file_documents(self.files[rank], name, folder, self.reading, self.prefix):
            yield StepDocument(text=document.text, id=document.id, metadata=dict(self.metadata))


class AttachScores(PipelineStep):
    """Reads the scores of the same unit from an earlier scoring pass."""

    name, type = "scores", "reader"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[StepDocument]:
        for carrier, (identity, scores) in zip(
            data, read_scores(Path(self.folder) / shard_name(rank)), strict=True
        ):
            if carrier.id != identity:
                raise UserError(
                    f"scores of document {identity!r} stand where {carrier.id!r} was "
                    "expected: score again"
                )
            carrier.metadata[SCORES] = scores
            yield carrier
