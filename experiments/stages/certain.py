"""Count the tokens that a prior is nearly certain of, in whole texts and in responses alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evals.clusters import document_clusters
from experiments.analysis.metrics import DOCUMENTS
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import training_text
from toedit.corpora import SHARDS
from toedit.corpora.files import load_table, save_table
from toedit.corpora.scores import pair_scores, read_all_scores
from toedit.document import Document, inside
from toedit.edit import applies
from toedit.errors import UserError
from toedit.priors.base import TokenScores
from toedit.rules import EditRule

COUNTS = ("tokens", "certain", "response_tokens", "response_certain")


@dataclass
class CertainStage(StageConfig, kind="certain"):
    """Threshold and strictness of near-certainty, as in :class:`EditRule`."""

    threshold: float
    strict: bool

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write the counts of every document; return their sums.

        Counts are of scored tokens and of near-certain ones among them, in the whole text and in
        its editable part: the responses of a conversation, all of a plain text. All counts of a
        document whose scoring failed are 0.
        """
        rule = EditRule(threshold=self.threshold, strict=self.strict)
        documents, counts, failed = [], [], []
        all_scores = read_all_scores(context.inputs["scores"] / SHARDS)
        for document, scores in pair_scores(training_text(context, "text"), all_scores):
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
    """The near-certain tokens of a scored text, by threshold and strictness of a rule.

    ``arm`` is the name without the seed; None for the name.

    Raises:
        UserError: the rule has no threshold.
    """
    if rule.threshold is None:
        raise UserError(
            "edit.threshold=null, but tokens are counted that are at least so probable; set "
            "edit.threshold"
        )
    inputs = {"text": scores.inputs["corpus"], "scores": scores}
    return Stage(CertainStage(rule.threshold, rule.strict), name, inputs, arm=arm or name)


def _counts(document: Document, scores: TokenScores | None, rule: EditRule) -> list[int]:
    """The :data:`COUNTS` of one document."""
    if scores is None:
        return [0] * len(COUNTS)
    response = scores.scored & inside(scores.tokens, document.editable)
    certain = applies(rule, scores.logprobs)
    masks = (scores.scored, certain, response, certain & response)
    return [int(counted.sum()) for counted in masks]


def read(folder: Path) -> tuple[list[str], np.ndarray]:
    """Ids of the documents and their :data:`COUNTS`, int64 ``[documents, 4]``, from the folder of
    the stage."""
    table = load_table(folder / DOCUMENTS)
    counts = np.stack([table[name].to_numpy() for name in COUNTS], axis=1)
    return table["id"].to_pylist(), counts
