"""How many tokens a prior is almost certain of, in whole texts and in their responses alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evals.clusters import document_clusters
from experiments.analysis.metrics import DOCUMENTS
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import text_folder
from toedit.corpora.files import load_table, save_table
from toedit.corpora.sources import local_documents
from toedit.document import Document, inside
from toedit.errors import UserError
from toedit.priors.base import TokenScores
from toedit.rules import EditRule

COUNTS = ("tokens", "certain", "response_tokens", "response_certain")


@dataclass
class CertainStage(StageConfig, kind="certain"):
    """Where certainty begins, as the editing rule has it: its threshold and strictness."""

    threshold: float
    strict: bool

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes the counts of every document; returns their sums.

        Counted are scored tokens and, of them, near-certain ones, in the whole text and in its
        editable part: the responses of a conversation, all of a plain text. A document whose
        scoring failed counts nothing.
        """
        rule = EditRule(threshold=self.threshold, strict=self.strict)
        documents, counts, failed = [], [], []
        for document, scores in _scored(context):
            documents.append(document)
            counts.append(_counts(document, scores, rule))
            if scores is None:
                failed.append(document.id)
        table = np.array(counts, np.int64)
        columns = {"id": [d.id for d in documents], "cluster": document_clusters(documents),
                   **dict(zip(COUNTS, table.T, strict=True))}  # fmt: skip
        save_table(context.folder / DOCUMENTS, pa.table(columns))
        sums = dict(zip(COUNTS, table.sum(axis=0).tolist(), strict=True))
        return {"documents": len(documents), "failed": failed, **sums}


def stage(scores: Stage, name: str, rule: EditRule, arm: str | None = None) -> Stage:
    """The near-certain tokens of a scored text.

    Args:
        scores: of the text.
        name: of the stage.
        rule: whose threshold counts; whatever else it says does not matter.
        arm: which text it is, whatever the seed; None for the name.

    Raises:
        UserError: the rule has no threshold.
    """
    if rule.threshold is None:
        raise UserError(
            "edit.threshold=null, but tokens are counted that are at least so probable; set "
            "edit.threshold"
        )
    config = CertainStage(rule.threshold, rule.strict)
    inputs = {"text": scores.inputs["corpus"], "scores": scores}
    return Stage(config, name, inputs, arm=arm or name)


def _counts(document: Document, scores: TokenScores | None, rule: EditRule) -> list[int]:
    """The :data:`COUNTS` of one document."""
    from toedit.edit import applies

    if scores is None:
        return [0] * len(COUNTS)
    mask = inside(scores.tokens, document.editable)
    response = scores.scored if mask is None else scores.scored & mask
    certain = applies(rule, scores.logprobs)
    masks = (scores.scored, certain, response, certain & response)
    return [int(counted.sum()) for counted in masks]


def _scored(context: StageContext) -> Iterator[tuple[Document, TokenScores | None]]:
    """Documents of the text with their scores."""
    from toedit import pipeline
    from toedit.corpora.scores import read_scores

    documents = local_documents([text_folder(context.stage.inputs["text"], context.inputs["text"])])
    shards = sorted((context.inputs["scores"] / pipeline.SHARDS).glob("*.parquet"))
    found = (pair for shard in shards for pair in read_scores(shard))
    for document, (identity, scores) in zip(documents, found, strict=True):
        if identity != document.id:
            raise RuntimeError(f"scores of {identity!r} stand where {document.id!r} was expected")
        yield document, scores


def read(folder: Path) -> tuple[list[str], np.ndarray]:
    """Ids of the documents and their :data:`COUNTS`, int64 ``[documents, 4]``, from the folder of
    the stage."""
    table = load_table(folder / DOCUMENTS)
    counts = np.stack([table[name].to_numpy() for name in COUNTS], axis=1)
    return table["id"].to_pylist(), counts
