"""Scoring and editing as datatrove steps: read a unit, score, edit, write a shard.

    score:           ReadUnit -> Score -> WriteScores
    edit:            ReadUnit -> AttachScores -> Edit -> WriteDocuments
    synthesise:      ReadUnit -> Generate -> WriteDocuments
    tokenise:        ReadUnit -> Tokenize -> WriteTokens
    fetch:           ReadFile -> WriteParts
    both in one go:  ReadUnit -> Score -> Edit [-> Measure] -> WriteDocuments

One task is one unit of the manifest and leaves one shard, written whole, and then datatrove's
completion marker; a run that was killed continues with the units that have no marker. Between steps
a document carries its scores in ``metadata[SCORES]``.
"""

from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document as StepDocument
from datatrove.pipeline.base import PipelineStep

from toedit.corpora import WORK
from toedit.corpora.units import Unit, read_units
from toedit.engines import Engine
from toedit.engines.executors import run_tasks
from toedit.pipeline.base import CHANGED, EDITED, SCORES, SHARDS, TOKENS, shard_name
from toedit.pipeline.editing import Edit, Measure, Plain, Score
from toedit.pipeline.generating import Generate
from toedit.pipeline.reading import AttachScores, ReadFile, ReadUnit
from toedit.pipeline.tokenizing import Tokenize, WriteTokens
from toedit.pipeline.writing import (
    WriteDocuments,
    WriteDocumentScores,
    WriteParts,
    WriteScores,
    read_statistics,
)
from toedit.progress import Count, Speed, watch

__all__ = [
    "CHANGED",
    "SCORES",
    "SHARDS",
    "AttachScores",
    "Edit",
    "Generate",
    "Measure",
    "Plain",
    "ReadFile",
    "ReadUnit",
    "Score",
    "Tokenize",
    "WriteDocumentScores",
    "WriteDocuments",
    "WriteParts",
    "WriteScores",
    "WriteTokens",
    "read_statistics",
    "read_units",
    "run_steps",
    "shard_name",
]


class CountProgress(PipelineStep):
    """Counts documents and tokens as they pass, for the driver's progress bar."""

    name, type = "progress", "counter"

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[StepDocument]:
        count = Count(self.folder, rank)
        for carrier in data:
            edited, scores = carrier.metadata.get(EDITED), carrier.metadata.get(SCORES)
            known = scores.tokens if scores else carrier.metadata.get(TOKENS, ())
            count.add(edited.stats.tokens if edited else len(known))
            yield carrier
        count.write()


def run_steps(
    steps: list[PipelineStep],
    units: list[Unit],
    folder: Path,
    label: str,
    engine: Engine = Engine(),  # noqa: B008
) -> Speed:
    """Runs steps over units; finished units are skipped.

    Args:
        steps: a pipeline of the steps above, the writer last.
        units: the manifest; one task each.
        folder: the output; completion markers and logs go into its work folder.
        label: what the progress bar says.
        engine: where they run.

    Returns:
        Tokens and seconds of the units that were not finished before.
    """
    if not units:
        return Speed()
    documents = sum(unit.stop - unit.start for unit in units) or None
    progress = folder / WORK / "progress"
    counted = [*steps[:-1], CountProgress(str(progress)), steps[-1]]
    if engine.kind == "slurm":
        run_tasks(engine, counted, len(units), folder / WORK)
        return Speed()
    with watch(progress, documents, label) as speed:
        run_tasks(engine, counted, len(units), folder / WORK)
    return speed
