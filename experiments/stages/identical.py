"""Check that two stages have the same training text, so that one training serves both.

The no-edit control is the source itself: once this stage has a record, its arm is the source's.
"""

import hashlib
import json
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import text_inputs, training_text
from toedit.document import Document
from toedit.errors import UserError


@dataclass
class IdenticalStage(StageConfig, kind="identical"):
    """No settings: the result depends on the two texts alone."""

    def run(self, context: StageContext) -> dict[str, Any]:
        """Compare the texts document by document; return their number and a hash of ids and texts,
        as :func:`toedit.corpora.documents.write_shards` computes it.

        Raises:
            UserError: the texts differ; it names the first document that does.
        """
        texts = [training_text(context, name) for name in context.stage.inputs]
        number, digest = 0, hashlib.sha256()
        for source, copy in zip_longest(*texts):
            difference = _difference(source, copy)
            if difference is not None:
                first, second = (stage.label for stage in context.stage.inputs.values())
                raise UserError(
                    f"{second} is not the text of {first}: document {number}, {difference}"
                )
            digest.update(f"{source.id}\x1f{source.text}\x1e".encode("utf-8", "surrogatepass"))
            number += 1
        return {"documents": number, "sha256": digest.hexdigest()}


def stage(source: Stage, copy: Stage) -> Stage:
    """The comparison of a text with a copy that should equal it."""
    return Stage(IdenticalStage(), copy.name, text_inputs([source, copy]))


def _difference(source: Document | None, copy: Document | None) -> str | None:
    """How a document differs from its copy; None if it does not.

    Training reads text, spans that are edited (responses) and metadata (roles, domains).
    """
    if copy is None:
        return None if source is None else f"{source.id!r}, is missing"
    if source is None:
        return f"{copy.id!r}, is one too many"
    if source.id != copy.id:
        return f"{source.id!r}, is {copy.id!r} there"
    if source.text != copy.text:
        pairs = enumerate(zip_longest(source.text, copy.text))
        position = next(i for i, (a, b) in pairs if a != b)
        return f"{source.id!r}, has another text from character {position} on"
    if source.editable != copy.editable:
        return f"{source.id!r}, has other responses"
    if json.dumps(source.metadata, default=str) != json.dumps(copy.metadata, default=str):
        return f"{source.id!r}, has other metadata"
    return None
