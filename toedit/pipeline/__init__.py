"""Pipelines of datatrove steps that read a unit of documents, score, edit, and write a shard.

    score:           ReadUnit -> ScoreStep -> WriteScores
    edit:            ReadUnit -> AttachScores -> EditStep -> WriteDocuments
    synthesise:      ReadUnit -> Generate -> WriteDocuments
    tokenise:        ReadUnit -> Tokenize -> WriteTokens
    fetch:           ReadFile -> WriteParts
    both in one go:  ReadUnit -> ScoreStep -> EditStep [-> Measure] -> WriteDocuments

One task processes one unit of the manifest. It writes one shard atomically and then datatrove's
completion marker, so a killed run continues with the units that have no marker. Steps pass on
:class:`~toedit.document.Document` objects with their scores in ``metadata[SCORES]``; datatrove's
documents work too.
"""

from pathlib import Path

from datatrove.pipeline.base import PipelineStep
from loguru import logger

from toedit.corpora import SHARDS, WORK
from toedit.corpora.units import Unit, read_units
from toedit.engines import Engine
from toedit.engines.executors import RUNNERS
from toedit.pipeline.base import CANDIDATES, CHANGED, SCORES, shard_name
from toedit.pipeline.editing import EditStep, Measure, Plain, ScoreStep
from toedit.pipeline.generating import Generate
from toedit.pipeline.progress import (
    CountProgress,
    Speed,
    forget_unfinished,
    speed_elsewhere,
    watch,
)
from toedit.pipeline.reading import AttachScores, ReadFile, ReadUnit
from toedit.pipeline.tokenizing import Tokenize, WriteTokens
from toedit.pipeline.writing import (
    WriteDocuments,
    WriteDocumentScores,
    WriteParts,
    WriteScores,
    read_statistics,
)

__all__ = [
    "CANDIDATES",
    "CHANGED",
    "SCORES",
    "SHARDS",
    "AttachScores",
    "EditStep",
    "Generate",
    "Measure",
    "Plain",
    "ReadFile",
    "ReadUnit",
    "ScoreStep",
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


def run_steps(
    steps: list[PipelineStep],
    units: list[Unit],
    folder: Path,
    label: str,
    engine: Engine = Engine(),  # noqa: B008
) -> Speed:
    """Run steps on each unit; units with a completion marker are skipped.

    Args:
        steps: a pipeline of the steps above, the writer last.
        units: the manifest; one task each.
        folder: the output; completion markers and logs go into its work folder.
        label: label of the progress bar.
        engine: where the tasks run.

    Returns:
        Tokens and seconds of the units that were not finished before; of Slurm, of all units.

    Raises:
        Submitted: the tasks were submitted to Slurm, or are still queued or running there.
        UserError: the engine is not installed here, or a task failed.
    """
    if not units:
        return Speed()
    logger.disable("datatrove")
    run, work = RUNNERS[engine.kind], folder / WORK
    slow = sum(getattr(step, "slow", False) for step in steps)
    steps = [*steps[:-1], CountProgress(str(work / "progress"), slow), steps[-1]]
    if engine.kind == "slurm":
        run(engine, steps, len(units), work)
        return speed_elsewhere(work)
    documents = sum(unit.stop - unit.start for unit in units) or None
    forget_unfinished(work / "progress", work / "completions")
    with watch(work / "progress", documents, label) as speed:
        run(engine, steps, len(units), work)
    if engine.kind != "local":
        speed.measured = speed_elsewhere(work).measured
    return speed
