"""Steps that write: scores and edited documents, a shard a unit, and sums beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from datatrove.pipeline.base import PipelineStep

from toedit.corpora import WORK
from toedit.corpora.columns import read_schema, write_changes, write_rows
from toedit.corpora.documents import EDITABLE, Reading, write_documents, write_shards
from toedit.corpora.files import damaged_as, read_json, write_json
from toedit.corpora.scores import write_document_scores, write_scores
from toedit.document import Document
from toedit.editor import Change, EditedDocument
from toedit.pipeline.base import CHANGED, EDITED, SCORES, SHARDS, shard_name
from toedit.stats.edits import EditStats
from toedit.stats.scores import ScoreStats
from toedit.stats.sums import Sums

STATISTICS = f"{WORK}/edits"
SAMPLED = 64
"""Changes of a unit that are kept as examples where not all are."""

PART = 65_536
"""Documents in a shard of a large text: few shards, since a mixture keeps many of them open."""


class WriteScores(PipelineStep):
    """Writes the scores of a unit as one shard."""

    name, type = "scores", "writer"

    def __init__(self, folder: str, k: int) -> None:
        super().__init__()
        self.folder, self.k = folder, k

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        scored = ((carrier.id, carrier.metadata[SCORES]) for carrier in data)
        write_scores(Path(self.folder) / shard_name(rank), scored, self.k)


class WriteDocuments(PipelineStep):
    """Writes the documents of a unit as one shard, and what was done to them beside it.

    Args:
        folder: where the shards go.
        schema: file with the schema of the source, whose columns are then written as they came,
            and every change beside them; None for id, text and the other columns as JSON, and a
            sample of the changes.
        reading: how the documents were read, with a schema.
        encoded: they were read from shards that this step wrote.
    """

    name, type = "documents", "writer"

    def __init__(
        self,
        folder: str,
        schema: str | None = None,
        reading: Reading = Reading(),  # noqa: B008
        encoded: bool = False,
    ) -> None:
        super().__init__()
        self.folder, self.schema, self.reading, self.encoded = folder, schema, reading, encoded

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        folder = Path(self.folder)
        stats = EditStats()
        changes: list[tuple[str, Change]] = []

        def documents() -> Iterator[Document]:
            for carrier in data:
                edited: EditedDocument | None = carrier.metadata.pop(EDITED, None)
                stats.add(edited.stats if edited else EditStats(documents=1))
                if edited and (self.schema is not None or len(changes) < SAMPLED):
                    changes.extend((carrier.id, change) for change in edited.changes)
                editable = carrier.metadata.pop(EDITABLE, None)
                yield Document(carrier.id, carrier.text, carrier.metadata, editable)

        if self.schema is None:
            write_documents(folder / SHARDS / shard_name(rank), documents())
        else:
            schema = read_schema(Path(self.schema))
            path = folder / SHARDS / shard_name(rank)
            write_rows(path, documents(), schema, self.reading, self.encoded)
        if self.schema is not None or changes:
            kept = changes if self.schema is not None else changes[:SAMPLED]
            write_changes(folder / CHANGED / shard_name(rank), kept)
        write_json(folder / STATISTICS / f"{rank:05d}.json", stats.to_json())


class WriteParts(PipelineStep):
    """Writes the documents of a unit of any length as shards that fit in memory."""

    name, type = "parts", "writer"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        documents = (Document(carrier.id, carrier.text, carrier.metadata) for carrier in data)
        write_shards(Path(self.folder), documents, f"{rank:05d}-", PART)


class WriteDocumentScores(PipelineStep):
    """Writes a row a document, its perplexity and on demand every token, and sums beside it."""

    name, type = "document scores", "writer"

    def __init__(self, folder: str, tokens: bool = False) -> None:
        super().__init__()
        self.folder, self.tokens = folder, tokens

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        folder, stats, rows = Path(self.folder), ScoreStats(), []
        for carrier in data:
            scores = carrier.metadata[SCORES]
            stats.add(ScoreStats.of(carrier.id, scores))
            rows.append((carrier.id, scores))
        write_document_scores(folder / SHARDS / shard_name(rank), rows, self.tokens)
        write_json(folder / STATISTICS / f"{rank:05d}.json", stats.to_json())


Kind = TypeVar("Kind", bound=Sums)


def read_statistics(folder: Path, kind: type[Kind]) -> Kind:
    """Sums the statistics that a writer left in a folder.

    Raises:
        UserError: a file is damaged.
    """
    total = kind()
    for path in sorted((folder / STATISTICS).glob("*.json")):
        with damaged_as(path):
            total.add(kind.from_json(read_json(path)))
    return total
