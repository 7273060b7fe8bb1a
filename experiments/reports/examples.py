"""Edits as they are: changed tokens with the text around them and what the prior thought."""

from itertools import islice
from typing import Any

from experiments.stage import Stage
from experiments.stages.corpus import text_folder
from experiments.store import Store
from toedit.corpora.sources import local_documents

SHOWN, CONTEXT = 12, 40
"""Changes of an edit that are kept, and the characters on either side."""


def examples(stage: Stage, store: Store) -> list[dict[str, Any]]:
    """The first changed tokens of an edit, one a document as far as there are so many.

    Args:
        stage: the edit.
        store: where it and its source text are.

    Returns:
        ``id``, ``before`` and ``after`` (characters of the source), ``old`` and ``new``,
        ``probability`` of the old token, and ``drawn_probability`` of the new one, None where it
        was deleted or not among the candidates that were noted. None at all where the text changed
        nothing, or was edited before.
    """
    from toedit.diffs import recorded
    from toedit.pipeline import CHANGED

    text = stage.inputs["scores"].inputs["corpus"]
    changes = recorded(store.folder(stage) / CHANGED)
    found = []
    for document in local_documents([text_folder(text, store.folder(text))]) if changes else ():
        for change in islice(changes.get(document.id, ()), 1):
            end = change["start"] + len(change["old"])
            if document.text[change["start"] : end] != change["old"]:
                continue
            known = dict(zip(change["candidates"], change["probabilities"], strict=True))
            found.append(
                {
                    "id": document.id,
                    "before": document.text[max(0, change["start"] - CONTEXT) : change["start"]],
                    "old": change["old"],
                    "new": change["new"],
                    "after": document.text[end : end + CONTEXT],
                    "probability": change["probability"],
                    "drawn_probability": known.get(change["new"]),
                }
            )
        if len(found) == SHOWN:
            break
    return found
