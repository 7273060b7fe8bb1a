"""Scoring and editing as datatrove steps: read a unit, score, edit, write a shard.

    score:           ReadUnit -> Score -> WriteScores
    edit:            ReadUnit -> AttachScores -> Edit -> WriteDocuments
    both in one go:  ReadUnit -> Score -> Edit -> WriteDocuments

One task is one unit of the manifest and leaves one shard, written whole, and then datatrove's
completion marker; a run that was killed continues with the units that have no marker. Between steps
a document carries its scores in ``metadata[SCORES]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from datatrove.data import Document as Carrier
from datatrove.pipeline.base import PipelineStep

from toedit.corpora import WORK
from toedit.corpora.columns import read_schema, write_changes, write_rows
from toedit.corpora.documents import Reading, read_documents, write_documents
from toedit.corpora.files import damaged_as, read_json, write_json
from toedit.corpora.scores import read_scores, write_document_scores, write_scores
from toedit.corpora.units import Unit, read_units
from toedit.document import Document
from toedit.editor import Change, edit_document, score_documents
from toedit.engines import Engine
from toedit.engines.executors import run_tasks
from toedit.errors import UserError
from toedit.priors import PriorConfig, load_prior, load_vocabulary
from toedit.priors.base import CandidateRange
from toedit.progress import Count, watch
from toedit.rules import EditRule
from toedit.stats.edits import EditStats
from toedit.stats.scores import ScoreStats

SCORES = "toedit_scores"
STATS = "toedit_stats"
EDITABLE = "toedit_editable"
CHANGES = "toedit_changes"
SHARDS = "shards"
CHANGED = "changes"


def shard_name(rank: int) -> str:
    """File name of a unit's shard."""
    return f"{rank:05d}.parquet"


@lru_cache(maxsize=2)
def _manifest(path: str) -> list[Unit]:
    return read_units(Path(path))


class ReadUnit(PipelineStep):
    """Reads the rows of the task's unit; unlike datatrove's readers it drops no document."""

    name, type = "unit", "reader"

    def __init__(self, manifest: str, reading: Reading = Reading()) -> None:  # noqa: B008
        super().__init__()
        self.manifest, self.reading = manifest, reading

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Carrier]:
        unit = _manifest(self.manifest)[rank]
        for document in read_documents(unit, self.reading):
            carrier = Carrier(text=document.text, id=document.id, metadata=document.metadata)
            if document.editable is not None:
                carrier.metadata[EDITABLE] = document.editable
            yield carrier


class Score(PipelineStep):
    """Scores documents by a prior, loaded once a process."""

    name, type = "score", "prior"

    def __init__(self, prior: PriorConfig, candidates: CandidateRange, threads: int = 0) -> None:
        super().__init__()
        self.prior, self.candidates, self.threads = prior, candidates, threads

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Carrier]:
        if self.threads:
            import torch

            torch.set_num_threads(self.threads)
        for carrier, scores in score_documents(data, load_prior(self.prior), self.candidates):
            carrier.metadata[SCORES] = scores
            yield carrier


class CountProgress(PipelineStep):
    """Counts documents and tokens as they pass, for the driver's progress bar."""

    name, type = "progress", "counter"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Carrier]:
        count = Count(self.folder, rank)
        for carrier in data:
            stats, scores = carrier.metadata.get(STATS), carrier.metadata.get(SCORES)
            count.add(stats.tokens if stats else len(scores.tokens) if scores else 0)
            yield carrier


class WriteScores(PipelineStep):
    """Writes the scores of a unit as one shard."""

    name, type = "scores", "writer"

    def __init__(self, folder: str, k: int) -> None:
        super().__init__()
        self.folder, self.k = folder, k

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> None:
        scored = ((carrier.id, carrier.metadata[SCORES]) for carrier in data)
        write_scores(Path(self.folder) / shard_name(rank), scored, self.k)


class AttachScores(PipelineStep):
    """Reads the scores of the same unit from an earlier scoring pass."""

    name, type = "scores", "reader"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Carrier]:
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


class Edit(PipelineStep):
    """Applies an editing rule to scored documents; ids and metadata stay as they are."""

    name, type = "edit", "editor"

    def __init__(
        self,
        prior: PriorConfig,
        rule: EditRule,
        seed: int = 0,
        generation: int = 0,
        autoregressive: bool = False,
    ) -> None:
        super().__init__()
        self.prior, self.rule, self.seed, self.generation = prior, rule, seed, generation
        self.autoregressive = autoregressive

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Carrier]:
        vocabulary = load_vocabulary(self.prior)
        again = load_prior(self.prior) if self.autoregressive else None
        for carrier in data:
            scores, editable = carrier.metadata.pop(SCORES), carrier.metadata.pop(EDITABLE, None)
            source = Document(carrier.id, carrier.text, carrier.metadata, editable)
            edited = edit_document(
                source, scores, self.rule, vocabulary, self.seed, self.generation, again
            )
            carrier.text = edited.document.text
            carrier.metadata[STATS] = edited.stats
            carrier.metadata[CHANGES] = edited.changes
            if editable is not None:
                carrier.metadata[EDITABLE] = edited.document.editable
            yield carrier


class WriteDocuments(PipelineStep):
    """Writes the documents of a unit as one shard, and what was done to them beside it.

    Args:
        folder: where the shards go.
        schema: file with the schema of the source, whose columns are then written as they came;
            None for id, text and the other columns as JSON.
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
            nonlocal stats
            for carrier in data:
                stats = stats + carrier.metadata.pop(STATS, EditStats(documents=1))
                changes.extend((carrier.id, change) for change in carrier.metadata.pop(CHANGES, ()))
                editable = carrier.metadata.pop(EDITABLE, None)
                yield Document(carrier.id, carrier.text, carrier.metadata, editable)

        if self.schema is None:
            write_documents(folder / SHARDS / shard_name(rank), documents())
        else:
            schema = read_schema(Path(self.schema))
            path = folder / SHARDS / shard_name(rank)
            write_rows(path, documents(), schema, self.reading, self.encoded)
            write_changes(folder / CHANGED / shard_name(rank), changes)
        write_json(folder / WORK / "edits" / f"{rank:05d}.json", stats.to_json())


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
            stats = stats + ScoreStats.of(carrier.id, scores)
            rows.append((carrier.id, scores))
        write_document_scores(folder / SHARDS / shard_name(rank), rows, self.tokens)
        write_json(folder / WORK / "edits" / f"{rank:05d}.json", stats.to_json())


def read_score_statistics(folder: Path) -> ScoreStats:
    """Sums the statistics that :class:`WriteDocumentScores` left in a folder."""
    total = ScoreStats()
    for path in sorted((folder / WORK / "edits").glob("*.json")):
        with damaged_as(path):
            total = total + ScoreStats.from_json(read_json(path))
    return total


def read_statistics(folder: Path) -> EditStats:
    """Sums the statistics that :class:`WriteDocuments` left in a folder."""
    total = EditStats()
    for path in sorted((folder / WORK / "edits").glob("*.json")):
        total = total + _statistics(path)
    return total


def _statistics(path: Path) -> EditStats:
    with damaged_as(path):
        return EditStats.from_json(read_json(path))


def run_steps(
    steps: list[PipelineStep],
    units: list[Unit],
    folder: Path,
    label: str,
    engine: Engine = Engine(),  # noqa: B008
) -> None:
    """Runs steps over units; finished units are skipped.

    Args:
        steps: a pipeline of the steps above, the writer last.
        units: the manifest; one task each.
        folder: the output; completion markers and logs go into its work folder.
        label: what the progress bar says.
        engine: where they run.
    """
    if not units:
        return
    documents = sum(unit.stop - unit.start for unit in units)
    progress = folder / WORK / "progress"
    counted = [*steps[:-1], CountProgress(str(progress)), steps[-1]]
    if engine.kind == "slurm":
        run_tasks(engine, counted, len(units), folder / WORK)
        return
    with watch(progress, documents, label):
        run_tasks(engine, counted, len(units), folder / WORK)
