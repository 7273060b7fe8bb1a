"""Whether two stages hold the same training text, so that one training may stand for both.

The no-edit control is the source itself: once this stage has a record, its arm is the source's.
"""

import hashlib
import json
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import text_folder, text_inputs
from toedit.corpora.sources import local_documents
from toedit.document import Document
from toedit.errors import UserError


@dataclass
class IdenticalStage(StageConfig, kind="identical"):
    """Nothing but the two texts decides the result."""

    def run(self, context: StageContext) -> dict[str, Any]:
        """Compares the texts document by document; returns their number and a hash of ids and
        texts, as :func:`toedit.corpora.documents.write_shards` computes it.

        Raises:
            UserError: the texts differ; the first document that does is named.
        """
        inputs = context.stage.inputs
        texts = [
            local_documents([text_folder(inputs[name], context.inputs[name])])
            for name in ("text", "text1")
        ]
        number, digest = 0, hashlib.sha256()
        for own, other in zip_longest(*texts):
            difference = _difference(own, other)
            if difference is not None:
                labels = f"{inputs['text1'].label} is not the text of {inputs['text'].label}"
                raise UserError(f"{labels}: document {number}, {difference}")
            digest.update(f"{own.id}\x1f{own.text}\x1e".encode("utf-8", "surrogatepass"))
            number += 1
        return {"documents": number, "sha256": digest.hexdigest()}


def stage(source: Stage, copy: Stage) -> Stage:
    """The comparison of a text with one that should equal it."""
    return Stage(IdenticalStage(), copy.name, text_inputs([source, copy]))


def _difference(own: Document | None, other: Document | None) -> str | None:
    """How a document differs from the one that should equal it; None where it does not.

    Training reads text, spans that are edited (responses) and metadata (roles, domains).
    """
    if other is None:
        return None if own is None else f"{own.id!r}, is missing"
    if own is None:
        return f"{other.id!r}, is one too many"
    if own.id != other.id:
        return f"{own.id!r}, is {other.id!r} there"
    if own.text != other.text:
        pairs = enumerate(zip_longest(own.text, other.text))
        place = next(i for i, (a, b) in pairs if a != b)
        return f"{own.id!r}, has another text from character {place} on"
    if own.editable != other.editable:
        return f"{own.id!r}, has other responses"
    if json.dumps(own.metadata, default=str) != json.dumps(other.metadata, default=str):
        return f"{own.id!r}, has other metadata"
    return None
