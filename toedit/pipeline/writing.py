"""Steps that write scores and edited documents, one shard a unit, and the unit's statistics."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from datatrove.pipeline.base import PipelineStep

from toedit.corpora import SHARDS, WORK
from toedit.corpora.columns import write_changes, write_rows
from toedit.corpora.documents import write_documents, write_shards
from toedit.corpora.files import damaged_as, read_json, write_json
from toedit.corpora.records import Reading
from toedit.corpora.schema import read_schema
from toedit.corpora.scores import write_document_scores, write_scores
from toedit.document import Document
from toedit.editor import Change, EditedDocument
from toedit.errors import UserError
from toedit.pipeline.base import CANDIDATES, CHANGED, EDITED, SCORES, shard_name
from toedit.stats.edits import EditStats
from toedit.stats.scores import ScoreStats
from toedit.stats.sums import Sums

STATISTICS = f"{WORK}/edits"
SAMPLED = 64
"""Changes of a unit that are written as examples if not all are."""

PART = 65_536
"""Documents in a shard of a large text: few shards, since a mixture keeps many of them open."""


class WriteScores(PipelineStep):
    """Write the scores of a unit, with ``k`` candidates a position, as one shard."""

    name, type = "scores", "writer"

    def __init__(self, folder: str, k: int) -> None:
        super().__init__()
        self.folder, self.k = folder, k

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        scored = ((document.id, document.metadata[SCORES]) for document in data)
        write_scores(Path(self.folder) / shard_name(rank), scored, self.k)


class WriteDocuments(PipelineStep):
    """Write the documents of a unit as one shard, with their changes and statistics.

    Args:
        folder: output folder.
        schema: file with the schema of the source: columns are written as they came, and so is
            every change. None writes id, text, the other columns as JSON, and a sample of the
            changes.
        reading: how the documents were read, with a schema.
        generation: how many times the texts were edited before.
    """

    name, type = "documents", "writer"

    def __init__(
        self,
        folder: str,
        schema: str | None = None,
        reading: Reading = Reading(),  # noqa: B008
        generation: int = 0,
    ) -> None:
        super().__init__()
        self.folder, self.schema, self.reading = folder, schema, reading
        self.generation = generation

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        folder = Path(self.folder)
        path = folder / SHARDS / shard_name(rank)
        stats = EditStats()
        changes: list[tuple[str, Change]] = []

        def documents() -> Iterator[Document]:
            for document in data:
                edited: EditedDocument | None = document.metadata.pop(EDITED, None)
                stats.add(edited.stats if edited else EditStats(documents=1))
                if edited and (self.schema is not None or len(changes) < SAMPLED):
                    changes.extend((document.id, change) for change in edited.changes)
                yield document

        if self.schema is not None:
            write_rows(path, documents(), read_schema(Path(self.schema)), self.reading)
            write_changes(folder / CHANGED / shard_name(rank), changes, self.generation)
        else:
            write_documents(path, documents())
            if changes:
                sample = changes[:SAMPLED]
                write_changes(folder / CHANGED / shard_name(rank), sample, self.generation)
        write_json(folder / STATISTICS / f"{rank:05d}.json", stats.to_json())


class WriteParts(PipelineStep):
    """Write the documents of a unit of any length as shards that fit in memory."""

    name, type = "parts", "writer"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        write_shards(Path(self.folder), data, f"{rank:05d}-", PART)


class WriteDocumentScores(PipelineStep):
    """Write the perplexity of documents and optionally of tokens, and the unit's statistics.

    Args:
        folder: output folder.
        tokens: also write the log-probability of every token.
        k: candidates a position that are written, with the scores, to a shard of their own.
    """

    name, type = "document scores", "writer"

    def __init__(self, folder: str, tokens: bool = False, k: int = 0) -> None:
        super().__init__()
        self.folder, self.tokens, self.k = folder, tokens, k

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        folder, stats, rows = Path(self.folder), ScoreStats(), []
        for document in data:
            scores = document.metadata[SCORES]
            stats.add(ScoreStats.of(document.id, scores))
            rows.append((document.id, scores))
        write_document_scores(folder / SHARDS / shard_name(rank), rows, self.tokens)
        if self.k:
            write_scores(folder / CANDIDATES / shard_name(rank), rows, self.k)
        write_json(folder / STATISTICS / f"{rank:05d}.json", stats.to_json())


Kind = TypeVar("Kind", bound=Sums)


def read_statistics(folder: Path, kind: type[Kind], units: int = 0) -> Kind:
    """Sum the statistics that a writer wrote for each unit.

    Args:
        folder: of the output.
        kind: of statistics.
        units: number of finished units, each of which has a shard and statistics; 0 for any.

    Raises:
        UserError: a file is damaged, or missing.
    """
    for rank in range(units):
        for path in (folder / SHARDS / shard_name(rank), folder / STATISTICS / f"{rank:05d}.json"):
            if not path.is_file():
                raise UserError(
                    f"{str(path)!r} is gone, though its unit is finished: start over with --force"
                )
    total = kind()
    for path in sorted((folder / STATISTICS).glob("*.json")):
        with damaged_as(path):
            total.add(kind.from_json(read_json(path, dict)))
    return total
